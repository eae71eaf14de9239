package downsample_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

// randomSeries is samples of any kind, with gaps, jitter, resets, NaN, and what a
// target that restarts with another configuration does to a series.
func randomSeries(rnd *rand.Rand, from int64, n int) []blocktest.Sample {
	g := &generator{rnd: rnd, schema: rnd.Int32N(4), zero: 0.1}
	step := int64(1000 * (1 + rnd.IntN(120)))
	var out []blocktest.Sample
	kind := rnd.IntN(kinds)
	change := []float64{0, 0, 0.01, 0.002}[rnd.IntN(4)]
	t := from
	for len(out) < n {
		if rnd.Float64() < change {
			kind = rnd.IntN(kinds)
			g.restart()
		}
		if rnd.IntN(200) == 0 {
			t += rnd.Int64N(500 * step) // a gap
		}
		s := g.sample(kind)
		s.T = t
		out = append(out, s)
		t += 1 + step + rnd.Int64N(step)/4
	}
	return out
}

const kinds = 10

type generator struct {
	rnd    *rand.Rand
	v      float64
	counts [6]float64
	schema int32
	zero   float64
	bounds []float64
}

func (g *generator) restart() {
	g.v, g.counts = 0, [6]float64{}
}

func (g *generator) sample(kind int) blocktest.Sample {
	switch g.rnd.IntN(120) {
	case 0:
		g.restart()
	case 1:
		stale := math.Float64frombits(value.StaleNaN)
		switch {
		case kind < 4:
			return blocktest.Sample{F: stale}
		case kind%2 == 0:
			return blocktest.Sample{H: &histogram.Histogram{Sum: stale}}
		}
		return blocktest.Sample{FH: &histogram.FloatHistogram{Sum: stale}}
	}
	switch kind {
	case 0:
		g.v += float64(g.rnd.IntN(100))
	case 1:
		g.v += g.rnd.Float64()
	case 2:
		g.v += g.rnd.NormFloat64()
	case 3:
		if g.rnd.IntN(10) == 0 {
			return blocktest.Sample{F: math.NaN()}
		}
		g.v = float64(g.rnd.IntN(3))
	default:
		return g.histogram(kind)
	}
	return blocktest.Sample{F: g.v}
}

// histogram is: 4 and 5 a counter, 6 and 7 a gauge, 8 one with custom buckets, 9 one
// that is reset all the time; counts are integers where kind is even.
func (g *generator) histogram(kind int) blocktest.Sample {
	for i := range g.counts {
		d := float64(g.rnd.IntN(3))
		if kind == 9 && g.rnd.IntN(6) == 0 {
			d = -g.counts[i]
		}
		if kind == 6 || kind == 7 {
			d = max(-g.counts[i], float64(g.rnd.IntN(7)-3))
		}
		g.counts[i] += d
	}
	switch g.rnd.IntN(300) {
	case 0: // buckets become fewer, with and without a restart
		g.schema = max(0, g.schema-1)
	case 1:
		g.schema = min(8, g.schema+1)
	case 2:
		g.zero = min(8*g.zero, 0.2)
	case 3:
		g.zero = 0.1
	case 4:
		g.bounds = []float64{0.1, 1, 10, 100, 1000}[:3+g.rnd.IntN(3)]
	}
	c := &g.counts
	h := &histogram.FloatHistogram{Schema: g.schema, Sum: 2*c[1] + 3*c[2] - 5*c[4]}
	if kind == 8 {
		if g.bounds == nil {
			g.bounds = []float64{0.1, 1, 10}
		}
		h.Schema, h.CustomValues = histogram.CustomBucketsSchema, g.bounds
		h.PositiveSpans = []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 1}}
		h.PositiveBuckets = []float64{c[0], c[1], c[2]}
		h.Count = c[0] + c[1] + c[2]
		return integers(h)
	}
	h.ZeroThreshold, h.ZeroCount = g.zero, c[0]
	h.PositiveSpans = []histogram.Span{{Offset: -2, Length: 2}, {Offset: 3, Length: 1}}
	if g.zero == 0.2 { // which is in the middle of one of them
		h.PositiveSpans[0].Offset = 0
	}
	h.PositiveBuckets = []float64{c[1], c[2], c[3]}
	if c[4] > 0 {
		h.NegativeSpans = []histogram.Span{{Offset: 1, Length: 1}}
		h.NegativeBuckets = []float64{c[4]}
	}
	h.Count = c[0] + c[1] + c[2] + c[3] + c[4]
	if kind == 6 || kind == 7 {
		h.CounterResetHint = histogram.GaugeType
	}
	if kind%2 == 0 {
		return integers(h)
	}
	return blocktest.Sample{FH: h}
}

// integers makes a histogram with integer counts of one whose counts are integers.
func integers(f *histogram.FloatHistogram) blocktest.Sample {
	h := &histogram.Histogram{
		CounterResetHint: f.CounterResetHint, Schema: f.Schema, ZeroThreshold: f.ZeroThreshold, CustomValues: f.CustomValues,
		Count: uint64(f.Count), Sum: f.Sum, ZeroCount: uint64(f.ZeroCount), PositiveSpans: f.PositiveSpans, NegativeSpans: f.NegativeSpans,
	}
	deltas := func(counts []float64) (out []int64) {
		prev := int64(0)
		for _, c := range counts {
			out = append(out, int64(c)-prev)
			prev = int64(c)
		}
		return out
	}
	h.PositiveBuckets, h.NegativeBuckets = deltas(f.PositiveBuckets), deltas(f.NegativeBuckets)
	return blocktest.Sample{H: h}
}

// TestAggregates: count, sum, min and max of each aligned window are those of its
// raw samples, and counters rise as the raw ones do, at 5m and at 1h, wherever
// chunks and blocks begin and end.
func TestAggregates(t *testing.T) {
	t.Parallel()
	var d downsample.Downsampler
	for seed := range uint64(300 / raceDivisor) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		from := rnd.Int64N(1<<41) - 1<<40
		if seed%5 == 0 {
			from = -rnd.Int64N(1 << 28) // to both sides of 1970
		}
		samples := randomSeries(rnd, from, 1+rnd.IntN(1500))
		var five, hours []block.Chunk
		for rest := samples; len(rest) > 0; {
			n := len(rest)
			if rnd.IntN(3) > 0 {
				n = 1 + rnd.IntN(n)
			}
			// A block of its own.
			made, err := d.Append(nil, block.Raw, block.FiveMinutes, blocktest.Chunks(1+rnd.IntN(150), rest[:n]...))
			testutil.Ok(t, err, "seed %d", seed)
			five = append(five, made...)
			hours, err = d.Append(hours, block.FiveMinutes, block.OneHour, made)
			testutil.Ok(t, err, "seed %d", seed)
			rest = rest[n:]
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			for _, c := range []struct {
				r      block.Resolution
				chunks []block.Chunk
			}{{block.FiveMinutes, five}, {block.OneHour, hours}} {
				wantF, wantH := rawWindows(c.r, samples)
				gotF, gotH := toldWindows(t, c.r, c.chunks)
				sameWindows(t, wantF, gotF)
				sameWindows(t, wantH, gotH)
				ascending(t, c.chunks)
				sameIncrease(t, samples, c.chunks)
			}
		})
		d.Reset()
	}
}

// TestManyResets: a counter that is reset all the time does not make more chunks
// than three for each window.
func TestManyResets(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 1))
	const n = 5000
	samples := make([]blocktest.Sample, n)
	for i := range samples {
		c := uint64(rnd.IntN(9))
		samples[i] = blocktest.Sample{T: int64(i) * 15_000, H: &histogram.Histogram{Count: c, ZeroCount: c, ZeroThreshold: 0.1}}
	}
	raw := blocktest.Chunks(0, samples...)
	var d downsample.Downsampler
	five, err := d.Append(nil, block.Raw, block.FiveMinutes, raw)
	testutil.Ok(t, err)
	hours, err := d.Append(nil, block.FiveMinutes, block.OneHour, five)
	testutil.Ok(t, err)
	testutil.Assert(t, len(raw) > n/4 && len(five) <= 3*n/20+1 && len(hours) <= 3*n/240+3, "%d, %d and %d chunks", len(raw), len(five), len(hours))
	sameIncrease(t, samples, five)
	sameIncrease(t, samples, hours)
}

func ascending(t testing.TB, chunks []block.Chunk) {
	t.Helper()
	last := int64(math.MinInt64)
	for _, c := range chunks {
		testutil.Assert(t, last < c.MinTime && c.MinTime <= c.MaxTime, "chunk of [%d, %d] after %d", c.MinTime, c.MaxTime, last)
		last = c.MaxTime
		for _, s := range decode(t, parts(t, c).Count) {
			testutil.Assert(t, s.F >= 1, "window at %d of %v samples", s.T, s.F)
		}
	}
}

// sameIncrease: at the end of each window, counters have risen by as much as the
// raw samples up to there. Where floats and histograms take turns, each goes on
// from where it was.
func sameIncrease(t testing.TB, samples []blocktest.Sample, chunks []block.Chunk) {
	t.Helper()
	var raw, counted increase
	var floats aggr.Counter
	i := 0
	for _, c := range chunks {
		p := parts(t, c)
		if p.Counter == nil {
			t.Fatalf("chunk of [%d, %d] without a counter", c.MinTime, c.MaxTime)
		}
		got := decode(t, p.Counter)
		for j, s := range got {
			if s.FH == nil {
				ts, vs := []int64{s.T}, []float64{s.F}
				if floats.Floats(ts, vs) == 0 {
					testutil.Assert(t, j > 0 && got[j-1].T == s.T, "counter at %d goes back in time", s.T)
					continue
				}
				counted.floatTotal(vs[0])
			} else {
				counted.histogram(s.FH)
			}
			for ; i < len(samples) && samples[i].T <= s.T; i++ {
				if keptFloat(samples[i]) {
					raw.float(samples[i].F)
				} else if h := keptHistogram(samples[i]); h != nil {
					raw.histogram(h)
				}
			}
			testutil.Assert(t, raw.negative || near(raw.floats, counted.floats, raw.most), "counter at %d has risen by %v, not %v", s.T, counted.floats, raw.floats)
			if raw.hist.h != nil {
				sameHistograms(t, raw.hist, counted.hist, fmt.Sprintf("counter up to %d", s.T))
			}
		}
	}
}

// increase is by how much a counter has risen.
type increase struct {
	floats, most       float64
	last               float64
	counting, negative bool // negative is what no counter is, and nothing is promised of
	hist               histogramTotal
	lastHist           *histogram.FloatHistogram
}

func (c *increase) float(v float64) {
	if c.counting {
		if v < c.last {
			c.floats += v
		} else {
			c.floats += v - c.last
		}
	}
	c.last, c.counting = v, true
	c.most += math.Abs(v)
	c.negative = c.negative || v < 0
}

func (c *increase) floatTotal(v float64) {
	if c.counting {
		c.floats += v - c.last
	}
	c.last, c.counting = v, true
}

// histogram counts as PromQL does.
func (c *increase) histogram(h *histogram.FloatHistogram) {
	if h.CounterResetHint == histogram.GaugeType {
		c.lastHist = nil
		return
	}
	h = h.Copy()
	if c.lastHist == nil {
		c.lastHist = h
		return
	}
	d := h.Copy()
	if !h.DetectReset(c.lastHist) {
		_, _, _, err := d.Sub(c.lastHist)
		if err != nil {
			panic(err)
		}
	}
	c.hist.add(d)
	c.lastHist = h
}
