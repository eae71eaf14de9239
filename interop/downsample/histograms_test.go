package downsample_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// shape is what the histograms of a series are like.
type shape struct {
	gauge, floats, custom bool
	schema                int32
	// resets are how often a counter is reset, as one in so many samples; 0 is never.
	resets int
	// coarser is after how many samples the schema becomes a coarser one; 0 is never.
	coarser int
}

// randomHistograms is a series of n histograms with jitter and gaps. Sums are whole
// numbers, so that it makes no difference in which order they are added.
func randomHistograms(rnd *rand.Rand, lset labels.Labels, from int64, n int, s shape) block.Series {
	samples := make([]blocktest.Sample, n)
	var counts [4]int64
	t := from
	for i := range samples {
		if s.resets > 0 && rnd.IntN(s.resets) == 0 {
			counts = [4]int64{}
		}
		for j := range counts {
			counts[j] += int64(rnd.IntN(4))
			if s.gauge {
				counts[j] = int64(rnd.IntN(20))
			}
		}
		h := &histogram.Histogram{
			Schema: s.schema, ZeroThreshold: 0.001, ZeroCount: uint64(counts[0]), Sum: float64(2*counts[1] + counts[2] - counts[3]),
			PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}, {Offset: 2, Length: 1}}, PositiveBuckets: []int64{counts[1], counts[2] - counts[1]},
			NegativeSpans: []histogram.Span{{Offset: 3, Length: 1}}, NegativeBuckets: []int64{counts[3]},
		}
		if s.custom {
			h.Schema, h.CustomValues = histogram.CustomBucketsSchema, []float64{1, 2, 3}
			h.ZeroThreshold, h.ZeroCount, h.NegativeSpans, h.NegativeBuckets = 0, 0, nil, nil
			h.PositiveSpans = []histogram.Span{{Offset: 0, Length: 2}}
			counts[0], counts[3] = 0, 0
		}
		h.Count = uint64(counts[0] + counts[1] + counts[2] + counts[3])
		if s.gauge {
			h.CounterResetHint = histogram.GaugeType
		}
		if s.coarser > 0 && i >= s.coarser {
			must(h.ReduceResolution(s.schema - int32(i/s.coarser)))
		}
		samples[i] = blocktest.Sample{T: t, H: h}
		if s.floats {
			samples[i] = blocktest.Sample{T: t, FH: h.ToFloat(nil)}
		}
		t += 10_000 + rnd.Int64N(5000)
		if rnd.IntN(400) == 0 {
			t += rnd.Int64N(7_200_000)
		}
	}
	return blocktest.Series(lset, samples...)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

var shapes = []shape{
	{schema: 3}, {schema: 0, floats: true}, {gauge: true, schema: 2}, {gauge: true, floats: true}, {custom: true}, {custom: true, floats: true},
}

// TestHistograms: where no counter is reset and buckets stay as wide as they are, our chunks are Thanos', of 5m and of 1h:
// count and sum byte for byte, the counter but for its first sample, which Thanos
// does not keep.
func TestHistograms(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 3))
			var series []block.Series
			for i, s := range shapes {
				series = append(series, randomHistograms(rnd, labels.FromStrings("i", fmt.Sprint(i)), rnd.Int64N(1<<41), 1+rnd.IntN(6000), s))
			}
			dir := t.TempDir()
			raw := blocktest.Build(t, dir, nil, series...)
			theirs, us := thanos(t, raw, dir, block.FiveMinutes), ours(t, raw, dir, block.FiveMinutes, nil)
			n := sameHistogramChunks(t, theirs, us)
			n1h := sameHistogramChunks(t, thanos(t, theirs, dir, block.OneHour), ours(t, theirs, dir, block.OneHour, nil))
			t.Logf("%d chunks of 5m, %d of 1h", n, n1h)
		})
	}
}

func sameHistogramChunks(t *testing.T, want, got string) int {
	t.Helper()
	w, g := readBlock(t, want), readBlock(t, got)
	testutil.Equals(t, len(w), len(g))
	chunks := 0
	for i := range w {
		testutil.Assert(t, labels.Equal(w[i].Labels, g[i].Labels), "%s, not %s", g[i].Labels, w[i].Labels)
		testutil.Equals(t, len(w[i].Chunks), len(g[i].Chunks), "chunks of %s", w[i].Labels)
		for j, wc := range w[i].Chunks {
			gc := g[i].Chunks[j]
			testutil.Equals(t, []int64{wc.MinTime, wc.MaxTime}, []int64{gc.MinTime, gc.MaxTime})
			wp, gp := split(t, wc), split(t, gc)
			testutil.Assert(t, bytes.Equal(wp.Count.Bytes(), gp.Count.Bytes()), "counts")
			testutil.Assert(t, bytes.Equal(wp.Sum.Bytes(), gp.Sum.Bytes()), "sums")
			testutil.Assert(t, gp.Min == nil && gp.Max == nil, "min and max")
			counters := samplesOf(t, gp.Counter)
			theirs := samplesOf(t, wp.Counter)
			if len(counters) == len(theirs)+1 {
				testutil.Assert(t, j == 0 && counters[0].T < theirs[0].T, "a sample at %d, which is not the first", counters[0].T)
				counters = counters[1:]
			}
			testutil.Equals(t, len(theirs), len(counters))
			for k, s := range theirs {
				testutil.Equals(t, s.T, counters[k].T)
				a, b := s.FH.Copy().Compact(0), counters[k].FH.Copy().Compact(0)
				testutil.Assert(t, a.Equals(b), "counter at %d is %s, not %s", s.T, b, a)
			}
			chunks++
		}
	}
	return chunks
}

func split(t testing.TB, c block.Chunk) blocktest.Aggregates {
	t.Helper()
	a, err := blocktest.SplitAggregates(c)
	testutil.Ok(t, err)
	return a
}

func samplesOf(t testing.TB, c chunkenc.Chunk) []blocktest.Sample {
	t.Helper()
	out, err := blocktest.Samples(block.Chunk{Encoding: c.Encoding(), Data: c.Bytes()})
	testutil.Ok(t, err)
	return out
}

// TestThanosGoesOn: of our 5m of counters that are reset, Thanos makes 1h in which
// all is counted, and we make 1h in which counters rise as raw ones do.
func TestThanosGoesOn(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(4, 4))
	var series []block.Series
	for i, s := range []shape{{schema: 3, resets: 50}, {schema: 1, floats: true, resets: 1000}, {custom: true, resets: 300}, {gauge: true}, {schema: 2, resets: 2}} {
		series = append(series, randomHistograms(rnd, labels.FromStrings("i", fmt.Sprint(i)), 1_700_000_400_000, 5000, s))
	}
	dir := t.TempDir()
	in := blocktest.Build(t, dir, nil, series...)
	five := ours(t, in, dir, block.FiveMinutes, nil)
	byThanos, byUs := readBlock(t, thanos(t, five, dir, block.OneHour)), readBlock(t, ours(t, five, dir, block.OneHour, nil))
	testutil.Equals(t, len(series), len(byThanos))
	for i, s := range readBlock(t, in) {
		samples, err := blocktest.Samples(s.Chunks...)
		testutil.Ok(t, err)
		want, us, got := raw(samples), tell(t, byUs[i].Chunks), tell(t, byThanos[i].Chunks)
		if samples[0].Type() == chunkenc.ValHistogram && samples[0].H.CounterResetHint == histogram.GaugeType {
			us.increase = want.increase // which gauges have none of
		}
		testutil.Equals(t, want, us, "%s", s.Labels)
		testutil.Equals(t, []float64{want.samples, want.observed}, []float64{got.samples, got.observed}, "%s", s.Labels)
	}
}
