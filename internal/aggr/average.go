package aggr

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// ErrMisaligned says that sums and counts do not have the same times.
var ErrMisaligned = errors.New("sum and count aggregates do not have the same times")

// Averages divides sums by counts, in place: the average of the raw samples of
// each window.
//
// Errors: ErrMisaligned if the times are not the same; sums is then spoilt.
func Averages(sumTs []int64, sums []float64, countTs []int64, counts []float64) error {
	if len(sumTs) != len(countTs) {
		return fmt.Errorf("%w: %d sums, %d counts", ErrMisaligned, len(sumTs), len(countTs))
	}
	for i, t := range sumTs {
		if t != countTs[i] {
			return fmt.Errorf("%w: a sum at %d, a count at %d", ErrMisaligned, t, countTs[i])
		}
		sums[i] /= counts[i]
	}
	return nil
}

// HistogramAverages iterates over histograms divided by counts.
//
// Input: sum holds histograms, count floats at the same times. Both are owned
// by the iterator.
// Output: histograms with floating-point counts, each the caller's own.
// Errors: ErrMisaligned from Err if the times are not the same, or if sum holds a
// float; else what sum and count end with.
type HistogramAverages struct {
	sum, count chunkenc.Iterator
	divisor    float64
	err        error
}

// NewHistogramAverages returns an iterator before the first sample.
func NewHistogramAverages(sum, count chunkenc.Iterator) *HistogramAverages {
	return &HistogramAverages{sum: sum, count: count}
}

// Next implements chunkenc.Iterator.
func (it *HistogramAverages) Next() chunkenc.ValueType {
	if it.err != nil {
		return chunkenc.ValNone
	}
	return it.aligned(it.sum.Next(), it.count.Next())
}

// Seek implements chunkenc.Iterator.
func (it *HistogramAverages) Seek(t int64) chunkenc.ValueType {
	if it.err != nil {
		return chunkenc.ValNone
	}
	return it.aligned(it.sum.Seek(t), it.count.Seek(t))
}

func (it *HistogramAverages) aligned(sum, count chunkenc.ValueType) chunkenc.ValueType {
	switch {
	case sum == chunkenc.ValNone && count == chunkenc.ValNone:
		return chunkenc.ValNone
	case sum == chunkenc.ValNone || sum == chunkenc.ValFloat || count != chunkenc.ValFloat:
		it.err = fmt.Errorf("%w: sum is %s, count is %s", ErrMisaligned, sum, count)
		return chunkenc.ValNone
	}
	t, divisor := it.count.At()
	if t != it.sum.AtT() {
		it.err = fmt.Errorf("%w: a sum at %d, a count at %d", ErrMisaligned, it.sum.AtT(), t)
		return chunkenc.ValNone
	}
	it.divisor = divisor
	return chunkenc.ValFloatHistogram
}

// At implements chunkenc.Iterator. No sample is a float: the value is NaN.
func (it *HistogramAverages) At() (int64, float64) { return it.sum.AtT(), math.NaN() }

// AtHistogram implements chunkenc.Iterator. Averages have floating-point counts:
// the histogram is nil.
func (it *HistogramAverages) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) {
	return it.sum.AtT(), nil
}

// AtFloatHistogram implements chunkenc.Iterator.
func (it *HistogramAverages) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	if h == nil {
		// Without a histogram to fill, the chunk's iterator would hand out its
		// own buckets, from which it decodes the next ones.
		h = &histogram.FloatHistogram{}
	}
	t, h := it.sum.AtFloatHistogram(h)
	return t, h.Div(it.divisor)
}

// AtT implements chunkenc.Iterator.
func (it *HistogramAverages) AtT() int64 { return it.sum.AtT() }

// AtST returns 0: windows have no start timestamp. chunkenc.Iterator has it
// since Prometheus v0.310.
func (it *HistogramAverages) AtST() int64 { return 0 }

// Err implements chunkenc.Iterator.
func (it *HistogramAverages) Err() error {
	return errors.Join(it.sum.Err(), it.count.Err(), it.err)
}
