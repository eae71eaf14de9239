package storetest

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/thanoskit/thanoskit/store"
)

// Feature is something that not every Store can hold.
type Feature string

// The features that a Store may lack; its Harness gives the reason.
const (
	// DownsampledData is aggregated chunks.
	DownsampledData Feature = "downsampled data"
	// NativeHistograms are native histograms of every kind.
	NativeHistograms Feature = "native histograms"
	// CustomBuckets are native histograms with custom buckets.
	CustomBuckets Feature = "custom buckets"
	// UTF8Names are metric and label names beyond [a-zA-Z_:][a-zA-Z0-9_:]*.
	UTF8Names Feature = "UTF-8 names"
	// NegativeZero is the float -0 as another than 0.
	NegativeZero Feature = "negative zero"
	// LargeSeries are series of more than 5 MiB.
	LargeSeries Feature = "large series"
)

func features() []Feature {
	return []Feature{DownsampledData, NativeHistograms, CustomBuckets, UTF8Names, NegativeZero, LargeSeries}
}

// The metrics of the fixture.
const (
	metricFloats         = "storetest_floats"
	metricNegativeZero   = "storetest_negative_zero"
	metricStale          = "storetest_stale"
	metricLong           = "storetest_long"
	metricSingle         = "storetest_single"
	metricMixed          = "storetest_mixed"
	metricHistogram      = "storetest_histogram"
	metricFloatHistogram = "storetest_float_histogram"
	metricGaugeHistogram = "storetest_gauge_histogram"
	metricCustomBuckets  = "storetest_custom_buckets"
	metricUTF8           = "storetest_größe.°C"
	metricUTF8Labels     = "storetest_utf8"
	metricAfter          = "storetest_after"
	metricOverride       = "storetest_override"
	metricReplica        = "storetest_replica"
	metricLabels         = "storetest_labels"
	metricDownsampled    = "storetest_downsampled"
	metricLarge          = "storetest_large"
)

// The label names of the fixture that checks rely on.
const (
	labelValue   = "v"
	labelReplica = "r"
	labelOrder   = "x"
)

// families returns the raw data.
func families(start int64) []fixtureSeries {
	var out []fixtureSeries
	add := func(f Feature, samples []sample, metric string, ls ...string) {
		out = append(out, fixtureSeries{labels: labels.FromStrings(append(ls, labels.MetricName, metric)...).WithoutEmpty(), samples: samples, feature: f})
	}
	at := func(i int) int64 { return start + int64(i)*interval }

	special := []float64{0, 1, -1.5, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64}
	add("", floats(scrapes, at, func(i int) float64 { return special[i%len(special)] }), metricFloats, labelValue, "special")
	add("", floats(scrapes, at, func(i int) float64 { return float64(i % 100) }), metricFloats, labelValue, "counter")
	add("", floats(scrapes, at, func(i int) float64 { return math.Sin(float64(i)) }), metricFloats, labelValue, "noise")
	add(NegativeZero, floats(scrapes, at, func(i int) float64 { return math.Copysign(0, float64(i%3-1)) }), metricNegativeZero)
	add("", floats(scrapes, at, func(i int) float64 {
		if i%10 == 9 {
			return math.Float64frombits(value.StaleNaN)
		}
		return float64(i)
	}), metricStale)
	add("", floats(scrapes*6, func(i int) int64 { return start + int64(i)*interval/6 }, func(i int) float64 { return float64(i) / 3 }), metricLong)
	for i := range 4 {
		add("", floats(1, func(int) int64 { return at(1 + 20*i) }, func(int) float64 { return float64(i) }), metricSingle, labelOrder, strconv.Itoa(i))
	}
	add("", floats(scrapes, at, func(i int) float64 { return float64(i) }), metricDownsampled, labelValue, "a")

	short := func(n int) []sample { return floats(10, at, func(i int) float64 { return float64(n + i) }) }
	for n, ls := range [][]string{{"a", "1"}, {"a", "1", "b", "2"}, {"a", "1", "b", "2", "c", "3"}} {
		add("", short(n), metricAfter, ls...)
	}
	add("", short(1), metricOverride, "job", "z", labelOrder, "1")
	add("", short(2), metricOverride, "job", "a", labelOrder, "2")
	add("", short(3), metricOverride, labelOrder, "3")
	add("", short(4), metricOverride, "A", "z", "job", "b", labelOrder, "4")
	for n, ls := range [][3]string{{"1", "r1", "2"}, {"1", "r2", "1"}, {"2", "r1", "1"}, {"2", "r2", "1"}, {"3", "r1", "3"}, {"3", "r1", "4"}, {"3", "r2", "3"}} {
		add("", short(n), metricReplica, "a", ls[0], labelReplica, ls[1], labelOrder, ls[2])
	}
	for n, v := range []string{"", "a", "b", "ab", "abc", "A", "a|b", "a.b", "1", "01", " ", "a\nb", `"`, `\`, "ä", "null", "a,b"} {
		add("", short(n), metricLabels, labelValue, v, labelOrder, strconv.Itoa(n))
	}

	add(UTF8Names, short(1), metricUTF8, labelValue, "a")
	add(UTF8Names, short(2), metricUTF8, labelValue, "b")
	add(UTF8Names, short(3), metricUTF8Labels, "straße", "Königsallee")
	add(UTF8Names, short(4), metricUTF8Labels, "straße", "\uFF21")     // In UTF-16, this
	add(UTF8Names, short(5), metricUTF8Labels, "straße", "\U0001F600") // comes after this.
	add(UTF8Names, short(6), metricUTF8Labels, "a.b", "1", "with space", "2")
	return append(out, histogramFamilies(at)...)
}

func floats(n int, at func(i int) int64, v func(i int) float64) []sample {
	out := make([]sample, n)
	for i := range out {
		out[i] = floatSample(at(i), v(i))
	}
	return out
}

func histogramFamilies(at func(i int) int64) []fixtureSeries {
	var out []fixtureSeries
	add := func(f Feature, metric string, sample func(i int) sample) {
		s := fixtureSeries{labels: labels.FromStrings(labels.MetricName, metric), feature: f}
		for i := range scrapes {
			s.samples = append(s.samples, sample(i))
		}
		out = append(out, s)
	}
	add(NativeHistograms, metricHistogram, func(i int) sample { return histogramSample(at(i), integerHistogram(i)) })
	add(NativeHistograms, metricFloatHistogram, func(i int) sample {
		fh := integerHistogram(i).ToFloat(nil)
		fh.Count, fh.ZeroCount = fh.Count+0.5, fh.ZeroCount+0.5
		return floatHistogramSample(at(i), fh)
	})
	add(NativeHistograms, metricGaugeHistogram, func(i int) sample {
		h := integerHistogram(i * 7 % 31)
		h.CounterResetHint = histogram.GaugeType
		return histogramSample(at(i), h)
	})
	add(CustomBuckets, metricCustomBuckets, func(i int) sample { return histogramSample(at(i), customBuckets(i)) })
	add(NativeHistograms, metricMixed, func(i int) sample {
		switch i / 20 % 4 {
		case 0:
			return floatSample(at(i), float64(i))
		case 1:
			return histogramSample(at(i), integerHistogram(i))
		case 2:
			return floatHistogramSample(at(i), integerHistogram(i).ToFloat(nil))
		}
		if i%2 == 0 {
			return histogramSample(at(i), &histogram.Histogram{Sum: math.Float64frombits(value.StaleNaN)})
		}
		return histogramSample(at(i), integerHistogram(i))
	})
	return out
}

// The size of large series: of the labels, and samples that take more than 1 MiB
// of chunks.
const (
	manyBytes   = 5 << 20
	manySamples = 130_000
)

// largeFamilies returns a series with a label of so many bytes, which no server
// can send in parts, and one of so many samples, which most do.
func largeFamilies(start int64, size, samples int) []fixtureSeries {
	noise := func(i int) float64 { // any bits, but not those of infinities and NaN
		x := uint64(i) * 0x9e37_79b9_7f4a_7c15
		return math.Float64frombits((x ^ x>>29) * 0xbf58_476d_1ce4_e5b9 &^ (1 << 62))
	}
	return []fixtureSeries{
		{
			labels:  labels.FromStrings(labels.MetricName, metricLarge, labelValue, strings.Repeat("0123456789abcdef", size/16)),
			samples: floats(2, func(i int) int64 { return start + int64(i) }, noise),
		},
		{
			labels:  labels.FromStrings(labels.MetricName, metricLarge),
			samples: floats(samples, func(i int) int64 { return start + int64(i)*10 }, noise),
		},
	}
}

// integerHistogram is the i-th of a counter that is reset every 100 samples and
// gets more buckets in between.
func integerHistogram(i int) *histogram.Histogram {
	n := int64(i % 100)
	h := &histogram.Histogram{
		Schema: 1, ZeroThreshold: 0.001, ZeroCount: uint64(2 + n), Sum: 18.4 * float64(n+1),
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 2}}, PositiveBuckets: []int64{n + 1, 1, -1, 0},
		NegativeSpans: []histogram.Span{{Offset: 0, Length: 2}}, NegativeBuckets: []int64{n + 1, 1},
	}
	h.Count = h.ZeroCount + uint64(4*(n+1)+1) + uint64(2*(n+1)+1)
	if n >= 40 {
		h.PositiveSpans = append(h.PositiveSpans, histogram.Span{Offset: 2, Length: 1})
		h.PositiveBuckets = append(h.PositiveBuckets, 0)
		h.Count += uint64(n + 1)
	}
	return h
}

func customBuckets(i int) *histogram.Histogram {
	n := int64(i)
	return &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: uint64(3*(n+1) + 1), Sum: float64(n) * 2.5,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 3}}, PositiveBuckets: []int64{n + 1, 0, 1},
		CustomValues: []float64{0.5, 1, 2.5, 10},
	}
}

// The resolutions of the downsampled data, and where it lies relative to the
// start of raw data: of the coarse, what is more than 4 hours older; of the fine,
// what is less than 6 hours older.
const (
	fine   = 5 * time.Minute
	coarse = time.Hour

	coarseFrom, coarseTo = -10 * time.Hour, -4 * time.Hour
	fineFrom             = -6 * time.Hour
)

// downsampled returns the downsampled data, whose every aggregate tells
// resolution and time.
func downsampled(start int64) ([]Downsampled, error) {
	lset := labels.FromStrings(labels.MetricName, metricDownsampled, labelValue, "a")
	at := func(d time.Duration) int64 { return start + d.Milliseconds() }
	old, err := aggregated(at(coarseFrom), at(coarseTo), coarse)
	if err != nil {
		return nil, err
	}
	before, err := aggregated(at(fineFrom), at(coarseTo), fine)
	if err != nil {
		return nil, err
	}
	after, err := aggregated(at(coarseTo), at(0), fine)
	if err != nil {
		return nil, err
	}
	return []Downsampled{
		{fine, &store.Series{Labels: lset, Chunks: []store.Chunk{before, after}}},
		{coarse, &store.Series{Labels: lset, Chunks: []store.Chunk{old}}},
	}, nil
}

// aggregated makes one aggregated chunk of the windows after from until to.
func aggregated(from, to int64, resolution time.Duration) (store.Chunk, error) {
	step := resolution.Milliseconds()
	n := int((to - from) / step)
	at := func(i int) int64 { return from + int64(i+1)*step }
	c := store.Chunk{MinTime: at(0), MaxTime: at(n - 1), Aggregated: &store.AggregatedChunk{}}
	for i, d := range []*store.ChunkData{&c.Aggregated.Count, &c.Aggregated.Sum, &c.Aggregated.Min, &c.Aggregated.Max, &c.Aggregated.Counter} {
		samples := floats(n, at, func(k int) float64 { return float64(step/interval + int64(1000*i+k)) })
		chunks, err := encode(samples)
		if err != nil {
			return c, err
		}
		if len(chunks) != 1 {
			return c, fmt.Errorf("encode aggregates: %d chunks of %d samples", len(chunks), n)
		}
		*d = chunks[0].Raw
	}
	return c, nil
}
