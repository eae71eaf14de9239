package downsample_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
)

// sameChunks compares two blocks series by series and chunk by chunk, byte for
// byte, and returns how many chunks there are.
func sameChunks(t testing.TB, want, got string) int {
	t.Helper()
	w, g := readBlock(t, want), readBlock(t, got)
	testutil.Equals(t, len(w), len(g))
	chunks := 0
	for i := range w {
		testutil.Assert(t, labels.Equal(w[i].Labels, g[i].Labels), "%s, not %s", g[i].Labels, w[i].Labels)
		if len(w[i].Chunks) != len(g[i].Chunks) {
			t.Fatalf("%s: %d chunks, not %d", w[i].Labels, len(g[i].Chunks), len(w[i].Chunks))
		}
		for j, wc := range w[i].Chunks {
			gc := g[i].Chunks[j]
			if wc.MinTime != gc.MinTime || wc.MaxTime != gc.MaxTime || wc.Encoding != gc.Encoding || !bytes.Equal(wc.Data, gc.Data) {
				t.Fatalf("%s: chunk %d of [%d, %d] is not that of Thanos, [%d, %d]", w[i].Labels, j, gc.MinTime, gc.MaxTime, wc.MinTime, wc.MaxTime)
			}
			chunks++
		}
	}
	return chunks
}

func readBlock(t testing.TB, dir string) []block.Series {
	t.Helper()
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, r.Close()) })
	var out []block.Series
	for s, err := range r.All(context.Background()) {
		testutil.Ok(t, err)
		s.Chunks = append([]block.Chunk(nil), s.Chunks...)
		out = append(out, s)
	}
	return out
}

// randomFloats is a series of floats of some kind, with gaps, resets, NaN,
// infinities and stale markers, of any length and density.
func randomFloats(rnd *rand.Rand, lset labels.Labels, from, to int64) block.Series {
	step := int64(1) << (10 + rnd.IntN(10)) // a second to a quarter of an hour
	if rnd.IntN(4) == 0 {
		from += rnd.Int64N(to - from)
	}
	if rnd.IntN(4) == 0 {
		to = from + 1 + rnd.Int64N(to-from)
	}
	var samples []blocktest.Sample
	v, kind := 0.0, rnd.IntN(5)
	limit := 1 + rnd.IntN(20_000)
	for t := from; t < to && len(samples) < limit; t += 1 + rnd.Int64N(2*step) {
		switch kind {
		case 0:
			v += float64(rnd.IntN(50))
			if rnd.IntN(300) == 0 {
				v = 0
			}
		case 1:
			v = rnd.NormFloat64()
		case 2:
			v += rnd.Float64() * 1e9
			if rnd.IntN(20) == 0 {
				v = rnd.Float64()
			}
		case 3:
			v = math.Round(rnd.NormFloat64()*1000) / 100
			switch rnd.IntN(9) {
			case 0:
				v = math.NaN()
			case 1:
				v = math.Inf(1 - 2*rnd.IntN(2))
			case 2:
				v = math.Copysign(0, -1)
			case 3:
				v = math.Float64frombits(value.StaleNaN)
			}
		}
		if rnd.IntN(500) == 0 {
			samples = append(samples, blocktest.Sample{T: t, F: math.Float64frombits(value.StaleNaN)})
			t += rnd.Int64N(200 * step)
			continue
		}
		samples = append(samples, blocktest.Sample{T: t, F: v})
	}
	return block.Series{Labels: lset, Chunks: blocktest.Chunks(1+rnd.IntN(200), samples...)}
}

// TestFloats: of the same block, 5m of raw floats are byte for byte what Thanos
// makes, and so is 1h of its 5m, which are ours.
func TestFloats(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			from := rnd.Int64N(1 << 41)
			if seed < 3 {
				from = int64(seed) // the first there are in Thanos
			}
			to := from + int64(1+rnd.IntN(30))*86_400_000
			var series []block.Series
			for i := range 40 {
				series = append(series, randomFloats(rnd, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)), from, to))
			}
			dir := t.TempDir()
			raw := blocktest.Build(t, dir, &blocktest.Options{MinTime: from, MaxTime: to}, series...)
			theirs, us := thanos(t, raw, dir, block.FiveMinutes), ours(t, raw, dir, block.FiveMinutes, nil)
			n := sameChunks(t, theirs, us)
			theirHours, ourHours := thanos(t, theirs, dir, block.OneHour), ours(t, theirs, dir, block.OneHour, &downsample.Options{Concurrency: 1})
			t.Logf("%d chunks of 5m, %d of 1h", n, sameChunks(t, theirHours, ourHours))
		})
	}
}

// TestRawAmongAggregates: chunks of samples in a block of 5m, which it should not
// have and sometimes has, go into 1h as in Thanos, and empty ones into nothing.
func TestRawAmongAggregates(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		var series []block.Series
		for i := range 10 {
			s := block.Series{Labels: labels.FromStrings("i", fmt.Sprint(i))}
			var d downsample.Downsampler
			from := int64(1_700_000_400_000)
			for range 1 + rnd.IntN(6) {
				part := randomFloats(rnd, s.Labels, from, from+10*86_400_000)
				if len(part.Chunks) == 0 {
					continue
				}
				from = part.Chunks[len(part.Chunks)-1].MaxTime + 1
				switch rnd.IntN(4) {
				case 0:
					s.Chunks = append(s.Chunks, part.Chunks...)
				case 1:
					from += 300_000
					s.Chunks = append(s.Chunks, block.Chunk{MinTime: from, MaxTime: from, Encoding: chunkenc.EncXOR, Data: []byte{0, 0}})
				default:
					var err error
					s.Chunks, err = d.Append(s.Chunks, block.Raw, block.FiveMinutes, part.Chunks)
					testutil.Ok(t, err)
				}
				from += 1_000_000
			}
			if len(s.Chunks) > 0 {
				series = append(series, s)
			}
		}
		dir := t.TempDir()
		five := blocktest.Build(t, dir, &blocktest.Options{Resolution: block.FiveMinutes, Unchecked: true}, series...)
		t.Logf("%d chunks", sameChunks(t, thanos(t, five, dir, block.OneHour), ours(t, five, dir, block.OneHour, nil)))
	}
}
