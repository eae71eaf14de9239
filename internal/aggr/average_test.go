package aggr_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/promcompat"
)

func ExampleAverages() {
	sums := []float64{30, 9}
	err := aggr.Averages([]int64{299, 599}, sums, []int64{299, 599}, []float64{20, 12})
	fmt.Println(sums, err)
	// Output: [1.5 0.75] <nil>
}

func TestAverages(t *testing.T) {
	t.Parallel()
	sums := []float64{6, 0, 1}
	testutil.Ok(t, aggr.Averages([]int64{1, 2, 3}, sums, []int64{1, 2, 3}, []float64{4, 5, 0}))
	testutil.Equals(t, []float64{1.5, 0, math.Inf(1)}, sums)
	for name, counts := range map[string][]int64{"fewer": {1, 2}, "more": {1, 2, 3, 4}, "other times": {1, 2, 4}} {
		err := aggr.Averages([]int64{1, 2, 3}, []float64{1, 1, 1}, counts, make([]float64, len(counts)))
		testutil.Assert(t, errors.Is(err, aggr.ErrMisaligned), "%s: %v", name, err)
	}
}

func ExampleHistogramAverages() {
	sum := floatHistograms(1000, 2, 8, 2000, 3, 9)
	count := xorChunk(1000, 2, 2000, 3)
	it := aggr.NewHistogramAverages(sum.Iterator(nil), count.Iterator(nil))
	for it.Next() != chunkenc.ValNone {
		fmt.Println(it.AtFloatHistogram(nil))
	}
	fmt.Println(it.Err())
	// Output:
	// 1000 {count:1, sum:4, [-0.001,0.001]:1}
	// 2000 {count:1, sum:3, [-0.001,0.001]:1}
	// <nil>
}

// floatHistograms makes a chunk of histograms from times, counts and sums.
func floatHistograms(tcs ...float64) chunkenc.Chunk {
	return histograms(func(count, sum float64) *histogram.FloatHistogram {
		return &histogram.FloatHistogram{CounterResetHint: histogram.GaugeType, ZeroThreshold: 0.001, ZeroCount: count, Count: count, Sum: sum}
	}, tcs...)
}

func histograms(make func(count, sum float64) *histogram.FloatHistogram, tcs ...float64) chunkenc.Chunk {
	c := chunkenc.NewFloatHistogramChunk()
	app, err := promcompat.NewAppender(c)
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(tcs); i += 3 {
		if _, _, err := app.AppendFloatHistogram(nil, int64(tcs[i]), make(tcs[i+1], tcs[i+2]), true); err != nil {
			panic(err)
		}
	}
	return c
}

func xorChunk(tv ...float64) chunkenc.Chunk {
	c := chunkenc.NewXORChunk()
	app, err := promcompat.NewAppender(c)
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(tv); i += 2 {
		app.Append(int64(tv[i]), tv[i+1])
	}
	return c
}

// TestHistogramAveragesLeaveTheChunkAlone: a chunk's buckets are decoded from
// those of the sample before, which dividing must not touch.
func TestHistogramAveragesLeaveTheChunkAlone(t *testing.T) {
	t.Parallel()
	withBuckets := func(count, sum float64) *histogram.FloatHistogram {
		return &histogram.FloatHistogram{
			CounterResetHint: histogram.GaugeType, Count: count, Sum: sum,
			PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []float64{count / 2, count / 2},
			NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}}, NegativeBuckets: []float64{3 * count},
		}
	}
	tcs := []float64{1, 4, 8, 2, 8, 8, 3, 16, 64, 4, 2, 0}
	sum, count := histograms(withBuckets, tcs...), xorChunk(1, 2, 2, 4, 3, 8, 4, 2)

	it := aggr.NewHistogramAverages(sum.Iterator(nil), count.Iterator(nil))
	var reused *histogram.FloatHistogram
	for i := 0; it.Next() != chunkenc.ValNone; i++ {
		ts, first := it.AtFloatHistogram(nil)
		_, reused = it.AtFloatHistogram(reused) // a second look sees the same
		c := tcs[3*i+1]
		want := withBuckets(c, tcs[3*i+2]).Div([]float64{2, 4, 8, 2}[i])
		testutil.Equals(t, int64(tcs[3*i]), ts)
		testutil.Equals(t, want.String(), first.String())
		testutil.Equals(t, want.String(), reused.String())
		testutil.Equals(t, ts, it.AtT())
		testutil.Equals(t, int64(0), it.AtST())
	}
	testutil.Ok(t, it.Err())
}

func TestHistogramAveragesSeek(t *testing.T) {
	t.Parallel()
	it := aggr.NewHistogramAverages(floatHistograms(1, 2, 8, 2, 3, 9, 3, 1, 1).Iterator(nil), xorChunk(1, 2, 2, 3, 3, 1).Iterator(nil))
	testutil.Equals(t, chunkenc.ValFloatHistogram, it.Seek(2))
	ts, h := it.AtFloatHistogram(nil)
	testutil.Equals(t, "2 3", fmt.Sprint(ts, h.Sum))
	testutil.Equals(t, chunkenc.ValFloatHistogram, it.Next())
	testutil.Equals(t, chunkenc.ValNone, it.Seek(4))
	testutil.Ok(t, it.Err())
}

func TestHistogramAveragesErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ sum, count chunkenc.Chunk }{
		"fewer counts":    {floatHistograms(1, 2, 8, 2, 3, 9), xorChunk(1, 2)},
		"fewer sums":      {floatHistograms(1, 2, 8), xorChunk(1, 2, 2, 3)},
		"other times":     {floatHistograms(1, 2, 8, 2, 3, 9), xorChunk(1, 2, 3, 3)},
		"sum is a float":  {xorChunk(1, 2), xorChunk(1, 2)},
		"count has kinds": {floatHistograms(1, 2, 8), floatHistograms(1, 2, 8)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			it := aggr.NewHistogramAverages(tc.sum.Iterator(nil), tc.count.Iterator(nil))
			for it.Next() != chunkenc.ValNone {
			}
			testutil.Assert(t, errors.Is(it.Err(), aggr.ErrMisaligned), "%v", it.Err())
			testutil.Equals(t, chunkenc.ValNone, it.Next())
			testutil.Equals(t, chunkenc.ValNone, it.Seek(0))
		})
	}
	truncated, err := chunkenc.FromData(chunkenc.EncXOR, xorChunk(1, 2, 2, 3).Bytes()[:12])
	testutil.Ok(t, err)
	it := aggr.NewHistogramAverages(floatHistograms(1, 2, 8, 2, 3, 9).Iterator(nil), truncated.Iterator(nil))
	for it.Next() != chunkenc.ValNone {
	}
	testutil.NotOk(t, it.Err())
}
