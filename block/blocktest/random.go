package blocktest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/thanoskit/thanoskit/block"
)

// Kind is what the samples of a random series are like.
type Kind string

// The kinds of series.
const (
	Counter          Kind = "counter"           // floats that rise, with resets
	Gauge            Kind = "gauge"             // floats, NaN and infinities among them
	Stale            Kind = "stale"             // a gauge with gaps that begin with a stale marker
	IntHistogram     Kind = "histogram"         // integer counts that rise, with resets
	FloatHistogram   Kind = "float histogram"   // floating-point counts that rise, with resets
	GaugeHistogram   Kind = "gauge histogram"   // integer counts that rise and fall
	CustomBuckets    Kind = "custom buckets"    // integer counts, bounds of the user's own
	CustomFloats     Kind = "custom floats"     // floating-point counts, likewise
	MixedTypes       Kind = "mixed types"       // floats, then histograms, then floats
	ChangingSchemata Kind = "changing schemata" // histograms whose buckets are not those of before

	GaugeFloatHistogram Kind = "gauge float histogram" // floating-point counts that rise and fall
	CustomGauge         Kind = "custom gauge"          // custom buckets whose integer counts rise and fall
)

// Kinds returns all kinds of series.
func Kinds() []Kind {
	return []Kind{
		Counter, Gauge, Stale, IntHistogram, FloatHistogram, GaugeHistogram, CustomBuckets, CustomFloats, MixedTypes, ChangingSchemata,
		GaugeFloatHistogram, CustomGauge,
	}
}

// gauge reports whether histograms of the kind are gauges, custom whether their
// bounds are the user's own.
func (k Kind) gauge() bool {
	return k == GaugeHistogram || k == GaugeFloatHistogram || k == CustomGauge
}
func (k Kind) custom() bool { return k == CustomBuckets || k == CustomFloats || k == CustomGauge }

// RandomOptions say what random series are like. The zero value, and nil, are 20
// series of all kinds over 2 h.
type RandomOptions struct {
	Series  int   // 20 if 0
	Samples int   // of each series; 480 if 0
	Start   int64 // ms; 1700000400000, the start of an hour, if 0
	Step    int64 // ms between samples, 15000 if 0
	// Jitter is by how many ms at most a sample comes later. It is below Step.
	Jitter int64
	// Gaps is the share of samples that are left out, from 0 to 1.
	Gaps float64
	// Kinds of the series, in turn; all if nil.
	Kinds []Kind
}

// Random returns series that are the same for the same seed and options: sorted,
// with a label kind that says what they are, and a UTF-8 name among them.
func Random(seed uint64, opts *RandomOptions) []block.Series {
	var o RandomOptions
	if opts != nil {
		o = *opts
	}
	defaults := RandomOptions{Series: 20, Samples: 480, Start: 1_700_000_400_000, Step: 15_000, Kinds: Kinds()}
	setDefault(&o.Series, defaults.Series)
	setDefault(&o.Samples, defaults.Samples)
	setDefault(&o.Start, defaults.Start)
	setDefault(&o.Step, defaults.Step)
	if o.Kinds == nil {
		o.Kinds = defaults.Kinds
	}
	rnd := rand.New(rand.NewPCG(seed, 0))
	out := make([]block.Series, o.Series)
	for i := range out {
		kind := o.Kinds[i%len(o.Kinds)]
		lset := labels.FromStrings(
			labels.MetricName, fmt.Sprintf("metric_%d", i%7),
			"instance", fmt.Sprintf("host-%03d:9100", i),
			"kind", string(kind),
			"température.°C", []string{"froid", "chaud"}[i%2],
		)
		out[i] = Series(lset, randomSamples(rnd, kind, &o)...)
	}
	slices.SortFunc(out, func(a, b block.Series) int { return labels.Compare(a.Labels, b.Labels) })
	return out
}

func setDefault[T int | int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func randomSamples(rnd *rand.Rand, kind Kind, o *RandomOptions) []Sample {
	g := &generator{rnd: rnd, kind: kind, schema: 2}
	out := make([]Sample, 0, o.Samples)
	for i := range o.Samples {
		t := o.Start + int64(i)*o.Step
		if o.Jitter > 0 {
			t += rnd.Int64N(min(o.Jitter, o.Step-1) + 1)
		}
		s := g.sample(i, o.Samples)
		s.T = t
		if i > 0 && rnd.Float64() < o.Gaps {
			continue
		}
		out = append(out, s)
	}
	return out
}

// generator makes the samples of one series.
type generator struct {
	rnd    *rand.Rand
	kind   Kind
	v      float64
	counts [5]int64
	gap    int
	schema int32
}

func (g *generator) sample(i, n int) Sample {
	switch g.kind {
	case Gauge:
		return Sample{F: g.gauge()}
	case Stale:
		return Sample{F: g.stale()}
	case IntHistogram, GaugeHistogram, CustomBuckets, CustomGauge:
		return Sample{H: g.histogram()}
	case FloatHistogram, CustomFloats, GaugeFloatHistogram:
		return Sample{FH: g.histogram().ToFloat(nil)}
	case ChangingSchemata:
		if i%50 == 49 {
			g.schema = g.rnd.Int32N(5)
		}
		return Sample{H: g.histogram()}
	case MixedTypes:
		if i >= n/3 && i < 2*n/3 {
			return Sample{H: g.histogram()}
		}
	case Counter:
	}
	return Sample{F: g.counter()}
}

func (g *generator) counter() float64 {
	if g.rnd.IntN(97) == 0 {
		g.v = 0
	}
	g.v += float64(g.rnd.IntN(100))
	return g.v
}

func (g *generator) gauge() float64 {
	switch g.rnd.IntN(61) {
	case 0:
		return math.NaN()
	case 1:
		return math.Inf(1 - 2*g.rnd.IntN(2))
	}
	g.v += g.rnd.NormFloat64()
	return g.v
}

// stale has a gap as long as stale markers go on: what comes after the first is
// one more of them.
func (g *generator) stale() float64 {
	if g.gap == 0 && g.rnd.IntN(40) == 0 {
		g.gap = 1 + g.rnd.IntN(5)
	}
	if g.gap > 0 {
		g.gap--
		return math.Float64frombits(value.StaleNaN)
	}
	return g.gauge()
}

func (g *generator) histogram() *histogram.Histogram {
	if g.rnd.IntN(83) == 0 {
		g.counts = [5]int64{}
	}
	for i := range g.counts {
		if g.kind.gauge() {
			g.counts[i] = max(0, g.counts[i]+int64(g.rnd.IntN(9)-4))
		} else {
			g.counts[i] += int64(g.rnd.IntN(4))
		}
	}
	h := &histogram.Histogram{Schema: g.schema, Sum: float64(g.counts[0]) * 1.5}
	if g.kind.gauge() {
		h.CounterResetHint = histogram.GaugeType
	}
	h.PositiveSpans = []histogram.Span{{Offset: 0, Length: 2}, {Offset: 2, Length: 1}}
	h.PositiveBuckets = deltas(g.counts[:3])
	h.Count = uint64(g.counts[0] + g.counts[1] + g.counts[2])
	if g.kind.custom() {
		h.Schema = histogram.CustomBucketsSchema
		h.PositiveSpans = []histogram.Span{{Offset: 0, Length: 3}}
		h.CustomValues = []float64{0.1, 1, 10}
		return h
	}
	h.ZeroThreshold, h.ZeroCount = 0.001, uint64(g.counts[3])
	h.NegativeSpans = []histogram.Span{{Offset: 1, Length: 1}}
	h.NegativeBuckets = deltas(g.counts[4:])
	h.Count += uint64(g.counts[3] + g.counts[4])
	return h
}

func deltas(counts []int64) []int64 {
	out := slices.Clone(counts)
	for i := len(out) - 1; i > 0; i-- {
		out[i] -= out[i-1]
	}
	return out
}
