package main

import "github.com/prometheus/prometheus/model/histogram"

// exponential returns a histogram whose buckets all count n times something.
func exponential(n int, schema int32) *histogram.FloatHistogram {
	v := float64(n)
	return &histogram.FloatHistogram{
		Schema: schema, ZeroThreshold: 0.001, ZeroCount: v,
		Count: 10 * v, Sum: 3 * v,
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}, {Offset: 3, Length: 1}},
		PositiveBuckets: []float64{v, 2 * v, 3 * v},
		NegativeSpans:   []histogram.Span{{Offset: -1, Length: 2}},
		NegativeBuckets: []float64{2 * v, v},
	}
}

// custom returns a histogram with bounds of its own.
func custom(n int) *histogram.FloatHistogram {
	v := float64(n % 211)
	return &histogram.FloatHistogram{
		Schema: histogram.CustomBucketsSchema,
		Count:  6 * v, Sum: v,
		PositiveSpans:   []histogram.Span{{Offset: 0, Length: 3}},
		PositiveBuckets: []float64{v, 2 * v, 3 * v},
		CustomValues:    []float64{0.1, 1},
	}
}

// integer returns a histogram whose counts are whole as one that stores them so.
func integer(fh *histogram.FloatHistogram) *histogram.Histogram {
	return &histogram.Histogram{
		CounterResetHint: fh.CounterResetHint,
		Schema:           fh.Schema, ZeroThreshold: fh.ZeroThreshold, ZeroCount: uint64(fh.ZeroCount),
		Count: uint64(fh.Count), Sum: fh.Sum,
		PositiveSpans: fh.PositiveSpans, PositiveBuckets: deltas(fh.PositiveBuckets),
		NegativeSpans: fh.NegativeSpans, NegativeBuckets: deltas(fh.NegativeBuckets),
		CustomValues: fh.CustomValues,
	}
}

func deltas(counts []float64) []int64 {
	var out []int64
	last := int64(0)
	for _, c := range counts {
		out = append(out, int64(c)-last)
		last = int64(c)
	}
	return out
}
