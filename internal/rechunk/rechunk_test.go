package rechunk_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/rechunk"
	"github.com/thanoskit/thanoskit/store"
)

// floats encodes the times that are given, with values that tell who wrote them.
func floats(t testing.TB, v float64, ts ...int64) []encoded.Chunk {
	t.Helper()
	var e rechunk.Encoder
	for _, x := range ts {
		testutil.Ok(t, e.Float(x, v))
	}
	return e.Chunks()
}

// text shows the samples of chunks.
func text(t testing.TB, chunks []encoded.Chunk) (out []string) {
	t.Helper()
	last := int64(math.MinInt64)
	for _, c := range chunks {
		testutil.Assert(t, c.MinTime > last && c.MaxTime >= c.MinTime, "chunk from %d to %d after %d", c.MinTime, c.MaxTime, last)
		chk, err := chunkenc.FromData(c.Raw.Encoding, c.Raw.Bytes)
		testutil.Ok(t, err)
		testutil.Assert(t, chk.NumSamples() <= store.SamplesPerChunk)
		it := chk.Iterator(nil)
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			last = it.AtT()
			switch vt {
			case chunkenc.ValHistogram:
				_, h := it.AtHistogram(nil)
				out = append(out, fmt.Sprintf("%d h%d %d", last, h.Count, h.CounterResetHint))
			case chunkenc.ValFloatHistogram:
				_, h := it.AtFloatHistogram(nil)
				out = append(out, fmt.Sprintf("%d f%v %d", last, h.Count, h.CounterResetHint))
			default:
				_, v := it.At()
				out = append(out, fmt.Sprintf("%d %v", last, v))
			}
		}
		testutil.Ok(t, it.Err())
		testutil.Equals(t, c.MaxTime, last)
	}
	return out
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		chunks [][]encoded.Chunk
		want   []string
		n      int // chunks
	}{
		{name: "none"},
		{name: "one", chunks: [][]encoded.Chunk{floats(t, 1, 1, 2)}, want: []string{"1 1", "2 1"}, n: 1},
		{name: "in order", chunks: [][]encoded.Chunk{floats(t, 1, 1, 2), floats(t, 2, 3)}, want: []string{"1 1", "2 1", "3 2"}, n: 2},
		{name: "out of order", chunks: [][]encoded.Chunk{floats(t, 2, 3), floats(t, 1, 1, 2)}, want: []string{"1 1", "2 1", "3 2"}, n: 2},
		{name: "equal", chunks: [][]encoded.Chunk{floats(t, 1, 1, 2), floats(t, 1, 1, 2)}, want: []string{"1 1", "2 1"}, n: 1},
		{name: "touching", chunks: [][]encoded.Chunk{floats(t, 1, 1, 2), floats(t, 2, 2, 3)}, want: []string{"1 1", "2 1", "3 2"}, n: 1},
		{name: "interleaved", chunks: [][]encoded.Chunk{floats(t, 2, 2, 4), floats(t, 1, 1, 3, 5)}, want: []string{"1 1", "2 2", "3 1", "4 2", "5 1"}, n: 1},
		{name: "contained", chunks: [][]encoded.Chunk{floats(t, 1, 1, 9), floats(t, 2, 3), floats(t, 3, 5, 6), floats(t, 4, 10)}, want: []string{"1 1", "3 2", "5 3", "6 3", "9 1", "10 4"}, n: 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := rechunk.Merge(slices.Concat(tc.chunks...))
			testutil.Ok(t, err)
			testutil.Equals(t, tc.n, len(got))
			testutil.Equals(t, tc.want, text(t, got))
		})
	}
}

// TestMergeRandom merges random pieces of a known series.
func TestMergeRandom(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var chunks []encoded.Chunk
		want := map[int64]bool{}
		for range 1 + rng.IntN(8) {
			var ts []int64
			for x := rng.Int64N(500); len(ts) < 1+rng.IntN(300); x += 1 + rng.Int64N(3) {
				ts, want[x] = append(ts, x), true
			}
			chunks = append(chunks, floats(t, 1, ts...)...)
		}
		before := slices.Clone(chunks)
		got, err := rechunk.Merge(chunks)
		testutil.Ok(t, err)
		testutil.Equals(t, len(want), len(text(t, got)))
		again, err := rechunk.Merge(slices.Clone(got))
		testutil.Ok(t, err)
		testutil.Equals(t, text(t, got), text(t, again))

		var it rechunk.Samples // and again over the same memory
		for range 2 {
			it.Reset(rechunk.Sort(slices.Clone(before)))
			n, last := 0, int64(-1)
			for ; it.Next() != chunkenc.ValNone; n++ {
				ts, v := it.At()
				testutil.Assert(t, ts > last && ts == it.AtT() && want[ts] && v == 1)
				last = ts
			}
			testutil.Ok(t, it.Err())
			testutil.Equals(t, len(want), n)
		}
	}
}

// TestHints: what a chunk knows of resets is not said of other predecessors.
func TestHints(t *testing.T) {
	t.Parallel()
	encode := func(gauge bool, ts ...int64) []encoded.Chunk {
		var e rechunk.Encoder
		for _, x := range ts {
			h := tsdbutil.GenerateTestHistogram(x)
			if gauge {
				h = tsdbutil.GenerateTestGaugeHistogram(x)
			}
			testutil.Ok(t, e.Histogram(x, h))
		}
		return e.Chunks()
	}
	hints := func(chunks []encoded.Chunk) (out []histogram.CounterResetHint) {
		var it rechunk.Samples
		it.Reset(rechunk.Sort(chunks))
		for it.Next() != chunkenc.ValNone {
			_, h := it.AtHistogram(nil)
			out = append(out, h.CounterResetHint)
		}
		testutil.Ok(t, it.Err())
		return out
	}
	const (
		unknown = histogram.UnknownCounterReset
		no      = histogram.NotCounterReset
		gauge   = histogram.GaugeType
	)
	testutil.Equals(t, []histogram.CounterResetHint{unknown, no, no}, hints(encode(false, 1, 2, 3)))
	// 1 5 6 of one chunk, 3 4 7 of the other
	testutil.Equals(t, []histogram.CounterResetHint{unknown, unknown, no, unknown, no, unknown}, hints(slices.Concat(encode(false, 1, 5, 6), encode(false, 3, 4, 7))))
	testutil.Equals(t, []histogram.CounterResetHint{gauge, gauge, gauge, gauge}, hints(slices.Concat(encode(true, 1, 4), encode(true, 2, 3))))
}

func TestEncoder(t *testing.T) {
	t.Parallel()
	var e rechunk.Encoder
	for i := range int64(300) {
		testutil.Ok(t, e.Float(i, 1))
	}
	testutil.Equals(t, 2, len(e.Take()))
	testutil.Equals(t, 0, len(e.Take()))
	testutil.Equals(t, 1, len(e.Chunks()))
	for _, ts := range []int64{299, 0} {
		err := e.Float(ts, 1)
		testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%v", err)
		err = e.Histogram(ts, tsdbutil.GenerateTestHistogram(1))
		testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%v", err)
		err = e.FloatHistogram(ts, tsdbutil.GenerateTestFloatHistogram(1))
		testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%v", err)
	}
	e.Reset(1)
	testutil.Ok(t, e.Float(math.MinInt64, 1))
	testutil.Ok(t, e.FloatHistogram(5, tsdbutil.GenerateTestFloatHistogram(1)))
	testutil.Ok(t, e.Histogram(6, tsdbutil.GenerateTestHistogram(1)))
	testutil.Ok(t, e.Histogram(7, tsdbutil.GenerateTestHistogram(0))) // a reset
	testutil.Assert(t, e.Sample(chunkenc.ValNone, nil) != nil)
	testutil.Equals(t, 4, len(e.Chunks()))
}

func TestBadChunks(t *testing.T) {
	t.Parallel()
	good := floats(t, 1, 1, 2, 3)[0]
	for _, tc := range []struct {
		name string
		raw  encoded.Data
		want error
	}{
		{"encoding", encoded.Data{Encoding: 99, Bytes: good.Raw.Bytes}, store.ErrEncoding},
		{"none", encoded.Data{}, store.ErrEncoding},
		{"short", encoded.Data{Encoding: chunkenc.EncXOR, Bytes: []byte{0}}, store.ErrMalformed},
		{"short histogram", encoded.Data{Encoding: chunkenc.EncHistogram, Bytes: []byte{0, 1}}, store.ErrMalformed},
		{"truncated", encoded.Data{Encoding: chunkenc.EncXOR, Bytes: good.Raw.Bytes[:len(good.Raw.Bytes)-1]}, store.ErrMalformed},
	} {
		_, err := rechunk.Merge([]encoded.Chunk{good, {MinTime: 2, MaxTime: 4, Raw: tc.raw}})
		testutil.Assert(t, errors.Is(err, tc.want), "%s: %v", tc.name, err)
	}
}

// FuzzSamples: whatever a chunk holds, reading it ends, in order.
func FuzzSamples(f *testing.F) {
	f.Add(uint8(chunkenc.EncXOR), floats(f, 1, 1, 2, 3)[0].Raw.Bytes, int64(0), int64(5))
	var e rechunk.Encoder
	for i := range int64(5) {
		testutil.Ok(f, e.Histogram(i, tsdbutil.GenerateTestHistogram(i)))
	}
	f.Add(uint8(chunkenc.EncHistogram), e.Chunks()[0].Raw.Bytes, int64(0), int64(5))
	f.Fuzz(func(t *testing.T, enc uint8, b []byte, mint, maxt int64) {
		if chunkenc.Encoding(enc) != chunkenc.EncXOR || len(b) > 1<<10 {
			return // decoders of histograms trust their layouts
		}
		var it rechunk.Samples
		it.Reset(rechunk.Sort([]encoded.Chunk{
			{MinTime: mint, MaxTime: maxt, Raw: encoded.Data{Encoding: chunkenc.Encoding(enc), Bytes: b}},
			floats(t, 1, 1, 2, 3)[0],
		}))
		last, n := int64(math.MinInt64), 0
		for ; it.Next() != chunkenc.ValNone; n++ {
			testutil.Assert(t, n == 0 || it.AtT() > last)
			last = it.AtT()
		}
	})
}
