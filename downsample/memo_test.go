package downsample_test

import (
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// TestKnownChunks: what is made of chunks that were made just before is what is made
// of the same bytes elsewhere, also if only some of them are given, and others in
// between.
func TestKnownChunks(t *testing.T) {
	t.Parallel()
	elsewhere := func(chunks []block.Chunk) []block.Chunk {
		out := slices.Clone(chunks)
		for i := range out {
			out[i].Data = slices.Clone(out[i].Data)
		}
		return out
	}
	coarser := func(d *downsample.Downsampler, chunks []block.Chunk) []block.Chunk {
		out, err := d.Append(nil, block.FiveMinutes, block.OneHour, chunks)
		testutil.Ok(t, err)
		return elsewhere(out)
	}
	var d, raws downsample.Downsampler
	for i, s := range blocktest.Random(5, &blocktest.RandomOptions{Series: 40 / raceDivisor, Samples: 9000, Jitter: 20_000, Gaps: 0.02}) {
		finer := func() []block.Chunk {
			out, err := d.Append(nil, block.Raw, block.FiveMinutes, s.Chunks)
			testutil.Ok(t, err)
			return out
		}
		made := finer()
		want := coarser(&downsample.Downsampler{}, elsewhere(made))
		testutil.Equals(t, want, coarser(&d, made), "series %d", i)
		testutil.Equals(t, want, coarser(&d, made), "series %d once more", i)

		made = finer()
		some := make([]block.Chunk, 0, len(made))
		for j, c := range made {
			switch j % 3 {
			case 0:
				some = append(some, c)
			case 1:
				some = append(some, elsewhere(made[j : j+1])[0])
			}
		}
		testutil.Equals(t, coarser(&raws, elsewhere(some)), coarser(&d, some), "some of series %d", i)
	}
}

// TestNothingIsKnownAfterReset: what is made where something else was made before
// Reset, as long as that, is not taken for it.
func TestNothingIsKnownAfterReset(t *testing.T) {
	t.Parallel()
	constant := func(v float64) []block.Chunk {
		ts, vs := make([]int64, 1000), make([]float64, 1000)
		for i := range ts {
			ts[i], vs[i] = int64(i)*15_000, v
		}
		return []block.Chunk{{MinTime: 0, MaxTime: ts[len(ts)-1], Encoding: chunkenc.EncXOR, Data: xor.Encode(nil, ts, vs)}}
	}
	var d, other downsample.Downsampler
	_, err := d.Append(nil, block.Raw, block.FiveMinutes, constant(1))
	testutil.Ok(t, err)
	d.Reset()
	got, err := d.Append(nil, block.FiveMinutes, block.OneHour, constant(2))
	testutil.Ok(t, err)
	want, err := other.Append(nil, block.FiveMinutes, block.OneHour, constant(2))
	testutil.Ok(t, err)
	testutil.Equals(t, want, got)
}
