package downsample_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

// TestInvalidHistograms: buckets that overlap, as no Prometheus writes them, are
// downsampled or are corrupt. Prometheus' code for histograms panics at some of them.
func TestInvalidHistograms(t *testing.T) {
	t.Parallel()
	var d downsample.Downsampler
	panicked := 0
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var chunks []block.Chunk
		for i := range 4 {
			chunks = append(chunks, blocktest.Chunks(1, blocktest.Sample{T: int64(i) * 1000, FH: invalid(rnd)})...)
		}
		d.Reset()
		_, err := d.Append(nil, block.Raw, block.FiveMinutes, chunks)
		if err == nil {
			continue
		}
		testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v", err)
		if strings.Contains(err.Error(), "panics") {
			panicked++
		}
		out, err := d.Append(nil, block.Raw, block.FiveMinutes, chunks[:1])
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(out))
	}
	testutil.Assert(t, panicked > 0, "no panic was to be seen")
}

// invalid is a histogram whose spans may go back.
func invalid(rnd *rand.Rand) *histogram.FloatHistogram {
	h := &histogram.FloatHistogram{
		Schema: rnd.Int32N(3), ZeroThreshold: 0.01 * float64(rnd.IntN(3)), Count: float64(rnd.IntN(10)),
		CounterResetHint: []histogram.CounterResetHint{histogram.UnknownCounterReset, histogram.GaugeType}[rnd.IntN(2)],
	}
	for range rnd.IntN(3) {
		s := histogram.Span{Offset: rnd.Int32N(7) - 3, Length: rnd.Uint32N(3)}
		h.PositiveSpans = append(h.PositiveSpans, s)
		for range s.Length {
			h.PositiveBuckets = append(h.PositiveBuckets, float64(rnd.IntN(5)))
		}
	}
	return h
}

// TestHostileAggregates: aggregates of one chunk that do not go together.
func TestHostileAggregates(t *testing.T) {
	t.Parallel()
	var d downsample.Downsampler
	of := func(samples []blocktest.Sample) blocktest.Aggregates {
		five, err := d.Append(nil, block.Raw, block.FiveMinutes, blocktest.Chunks(0, samples...))
		testutil.Ok(t, err)
		return parts(t, five[0])
	}
	floats, hists := of(floatsIn([]float64{1, 2, 3})), of(countsIn([]float64{1, 2, 3}))
	short := func(c chunkenc.Chunk) chunkenc.Chunk {
		b := append([]byte(nil), c.Bytes()[:8]...)
		s, err := chunkenc.FromData(c.Encoding(), b)
		testutil.Ok(t, err)
		return s
	}
	for name, a := range map[string]blocktest.Aggregates{
		"min that is a histogram":         {Count: floats.Count, Sum: floats.Sum, Min: hists.Sum, Max: floats.Max, Counter: floats.Counter},
		"count that is a histogram":       {Count: hists.Sum, Sum: floats.Sum},
		"count of histograms that is one": {Count: hists.Sum, Sum: hists.Sum, Counter: hists.Counter},
		"sum that is none":                {Count: hists.Count, Sum: floats.Sum, Counter: hists.Counter},
		"counter that is none":            {Count: hists.Count, Sum: hists.Sum, Counter: floats.Counter},
		"count that is cut short":         {Count: short(hists.Count), Sum: hists.Sum, Counter: hists.Counter},
		"sum that is cut short":           {Count: floats.Count, Sum: short(floats.Sum), Counter: floats.Counter},
		"counter that is cut short":       {Count: floats.Count, Sum: floats.Sum, Counter: short(floats.Counter)},
		"histogram that is cut short":     {Count: hists.Count, Sum: short(hists.Sum), Counter: hists.Counter},
	} {
		t.Run(name, func(t *testing.T) {
			var d downsample.Downsampler
			_, err := d.Append(nil, block.FiveMinutes, block.OneHour, []block.Chunk{blocktest.AggregateChunk(0, 1, a)})
			e, ok := errors.AsType[*downsample.ChunkError](err)
			testutil.Assert(t, ok && errors.Is(err, block.ErrCorrupt), "%v", err)
			testutil.Equals(t, []int64{0, 1}, []int64{e.MinTime, e.MaxTime})
		})
	}
	var unknown aggr.Chunk
	unknown[aggr.Sum] = aggr.Sub{Encoding: 9, Data: []byte{1, 2, 3}}
	_, err := d.Append(nil, block.FiveMinutes, block.OneHour, []block.Chunk{{Encoding: block.EncodingAggregates, Data: unknown.Append(nil)}})
	testutil.Assert(t, errors.Is(err, block.ErrUnsupported) && !errors.Is(err, block.ErrCorrupt), "%v", err)
	testutil.Equals(t, "chunk of [0, 0]: sum: encoding 9: not supported", err.Error())
}

// TestManyWindows: where an index says that samples are close together and they are
// far apart, there are more windows than a chunk can count, and none is lost.
func TestManyWindows(t *testing.T) {
	t.Parallel()
	const n = 70_000
	for _, floats := range []bool{true, false} {
		samples := make([]blocktest.Sample, n)
		for i := range samples {
			samples[i].T = int64(i) * fiveMinutes
			if !floats {
				samples[i].FH = &histogram.FloatHistogram{Count: 1, ZeroCount: 1}
			}
		}
		chunks := blocktest.Chunks(40_000, samples...)
		for i := range chunks {
			chunks[i].MinTime, chunks[i].MaxTime = int64(i), int64(i)
		}
		var d downsample.Downsampler
		out, err := d.Append(nil, block.Raw, block.FiveMinutes, chunks)
		testutil.Ok(t, err)
		total := 0
		for _, c := range out {
			total += len(decode(t, parts(t, c).Count))
			testutil.Equals(t, len(decode(t, parts(t, c).Count)), len(decode(t, parts(t, c).Sum)))
		}
		testutil.Equals(t, n, total)
		ascending(t, out)
	}
}
