package downsample_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	thanosdownsample "github.com/thanos-io/thanos/pkg/compact/downsample"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// classic is an exponential histogram of n observations in its bucket 2 at the
// schema, and as many in its zero bucket.
func classic(n int64, schema int32, zero float64) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: schema, ZeroThreshold: zero, ZeroCount: uint64(n), Count: uint64(2 * n), Sum: float64(n),
		PositiveSpans: []histogram.Span{{Offset: 2, Length: 1}}, PositiveBuckets: []int64{n},
	}
}

// custom is a histogram of n observations in the second of the buckets with bounds.
func custom(n int64, bounds ...float64) *histogram.Histogram {
	return &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: uint64(n), Sum: float64(n), CustomValues: bounds,
		PositiveSpans: []histogram.Span{{Offset: 1, Length: 1}}, PositiveBuckets: []int64{n},
	}
}

// every15s is the histograms, the first a minute after from.
func every15s(from int64, n int, h func(i int) *histogram.Histogram) []blocktest.Sample {
	out := make([]blocktest.Sample, n)
	for i := range out {
		out[i] = blocktest.Sample{T: from + 60_000 + int64(i)*15_000, H: h(i)}
	}
	return out
}

// told is what a reader has of a series: how many samples its windows count, how
// many observations their sums have, and by how many the counter has risen as
// PromQL reckons it.
type told struct{ samples, observed, increase float64 }

func tell(t testing.TB, chunks []block.Chunk) (out told) {
	t.Helper()
	var prev *histogram.FloatHistogram
	for _, c := range chunks {
		p := split(t, c)
		for _, s := range samplesOf(t, p.Count) {
			out.samples += s.F
		}
		for _, s := range samplesOf(t, p.Sum) {
			out.observed += s.FH.Count
		}
		for _, s := range samplesOf(t, p.Counter) {
			out.increase += rise(s.FH, prev)
			prev = s.FH
		}
	}
	return out
}

// rise is what rate adds for a sample.
func rise(h, prev *histogram.FloatHistogram) float64 {
	switch {
	case prev == nil:
		return 0
	case h.DetectReset(prev):
		return h.Count
	}
	return h.Count - prev.Count
}

// raw is the same of raw samples.
func raw(samples []blocktest.Sample) (out told) {
	var prev *histogram.FloatHistogram
	for _, s := range samples {
		h := s.FH
		if s.H != nil {
			h = s.H.ToFloat(nil)
		}
		out.samples++
		out.observed += h.Count
		out.increase += rise(h, prev)
		prev = h
	}
	return out
}

// TestDifferences: where we do not make what Thanos makes of histograms. Each time
// ours says what raw data says, at 5m and at 1h, and Thanos' does not.
func TestDifferences(t *testing.T) {
	t.Parallel()
	const from = 1_700_000_400_000
	const n = 7000 // more than one chunk of 5m
	start := int64(from)
	for _, tc := range []struct {
		name string
		from int64
		h    func(i int) *histogram.Histogram
		// What Thanos' 5m say beside raw data: 1 is more, -1 is less, 0 the same.
		samples, observed, increase float64
		panics                      bool
	}{
		{
			// The running total of a chunk ends above the raw value, with which the next
			// one begins: that looks like one more reset.
			name: "reset in the chunk before",
			h: func(i int) *histogram.Histogram {
				if i < 1000 {
					return classic(int64(i), 3, 0.001)
				}
				return classic(int64(i)-1000, 3, 0.001)
			},
			increase: 1,
		},
		{
			name: "buckets become wider",
			h: func(i int) *histogram.Histogram {
				h := classic(int64(i), 3, 0.001)
				if i >= 1000 {
					must(h.ReduceResolution(1))
				}
				return h
			},
			increase: 1,
		},
		{
			name: "zero bucket becomes wider",
			h: func(i int) *histogram.Histogram {
				zero := 0.001
				if i >= 1000 {
					zero = 0.01
				}
				return classic(int64(i), 3, zero)
			},
			observed: -1, increase: -1,
		},
		{
			name: "other custom bounds",
			h: func(i int) *histogram.Histogram {
				if i < 1000 {
					return custom(int64(i), 1, 2, 3)
				}
				return custom(int64(i), 1, 2, 4)
			},
			observed: -1, increase: -1,
		},
		{
			name: "custom bounds become exponential buckets",
			h: func(i int) *histogram.Histogram {
				if i < 1000 {
					return custom(int64(i), 1, 2, 3)
				}
				return classic(int64(i), 3, 0.001)
			},
			panics: true,
		},
		{
			name: "NaN was observed",
			h: func(i int) *histogram.Histogram {
				h := classic(int64(i), 3, 0.001)
				if i >= 1000 {
					h.Sum = math.NaN()
				}
				return h
			},
			samples: -1, observed: -1, increase: -1,
		},
		{
			name: "before 1970", from: -n * 15_000,
			h:       func(i int) *histogram.Histogram { return classic(int64(i), 3, 0.001) },
			samples: -1, observed: -1, increase: -1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			begin := start
			if tc.from != 0 {
				begin = tc.from
			}
			samples := every15s(begin, n, tc.h)
			want := raw(samples)
			dir := t.TempDir()
			in := blocktest.Build(t, dir, nil, blocktest.Series(labels.FromStrings("a", "b"), samples...))
			five := ours(t, in, dir, block.FiveMinutes, nil)
			for _, b := range []string{five, ours(t, five, dir, block.OneHour, nil)} {
				testutil.Equals(t, want, tell(t, readBlock(t, b)[0].Chunks))
			}
			if tc.panics {
				testutil.Assert(t, panics(t, in), "Thanos does not panic")
				return
			}
			got := tell(t, readBlock(t, thanos(t, in, dir, block.FiveMinutes))[0].Chunks)
			t.Logf("raw data: %v, Thanos: %v", want, got)
			for _, d := range []struct {
				what            string
				got, want, sign float64
			}{{"samples", got.samples, want.samples, tc.samples}, {"observed", got.observed, want.observed, tc.observed}, {"increase", got.increase, want.increase, tc.increase}} {
				// The first sample of all is not in Thanos' counter, which is no more
				// than what was observed in a window.
				ok := math.Abs(d.got-d.want) <= 2*20
				if d.sign != 0 {
					ok = d.sign*(d.got-d.want) > 2*20
				}
				testutil.Assert(t, ok, fmt.Sprintf("%s: %v of Thanos, %v of raw data", d.what, d.got, d.want))
			}
		})
	}
}

// panics reports whether Thanos panics at a block.
func panics(t testing.TB, dir string) (yes bool) {
	t.Helper()
	meta, b := openThanos(t, dir)
	defer func() {
		// What it had open stays open, and so the block is not closed.
		yes = recover() != nil
	}()
	_, _ = thanosdownsample.Downsample(context.Background(), log.NewNopLogger(), meta, b, t.TempDir(), int64(block.FiveMinutes))
	return false
}
