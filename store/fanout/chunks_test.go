package fanout

import (
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

func data(e chunkenc.Encoding, s string) encoded.Data {
	return encoded.Data{Encoding: e, Bytes: []byte(s)}
}

func TestCopySeriesSharesNothing(t *testing.T) {
	t.Parallel()
	lset := encoded.AppendLabel(nil, "a", "b")
	make1 := func() encoded.Series {
		return encoded.Series{Labels: slices.Clone(lset), Chunks: []encoded.Chunk{
			{MinTime: 1, MaxTime: 2, Raw: data(chunkenc.EncXOR, "raw"), Wire: []byte("wire")},
			{MinTime: 3, MaxTime: 4, Aggregates: &encoded.Aggregates{
				Count: data(chunkenc.EncXOR, "c"), Sum: data(chunkenc.EncXOR, "s"), Min: data(chunkenc.EncXOR, "min"),
				Max: data(chunkenc.EncXOR, "max"), Counter: data(chunkenc.EncXOR, "counter"),
			}},
		}}
	}
	s, want := make1(), make1()
	f := copySeries(&s)
	clear(s.Labels)
	for i := range s.Chunks {
		clear(s.Chunks[i].Raw.Bytes)
		if a := s.Chunks[i].Aggregates; a != nil {
			for _, d := range []encoded.Data{a.Count, a.Sum, a.Min, a.Max, a.Counter} {
				clear(d.Bytes)
			}
			*a = encoded.Aggregates{}
		}
	}
	testutil.Equals(t, want.Size(), f.Size)
	testutil.Equals(t, 1, len(f.Series))
	got := f.Series[0]
	testutil.Equals(t, string(want.Labels), string(got.Labels))
	testutil.Assert(t, sameChunks(want.Chunks, got.Chunks))
	testutil.Assert(t, got.Chunks[0].Wire == nil)
}
