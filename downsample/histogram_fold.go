package downsample

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
)

// histogramFold is what is told of a counter that is reset again and again within
// one window: all of it from the first reset up to the last as two histograms, the
// first one there was, and what was counted from each reset to the next, added up.
// By their values a reader finds a reset before and after them, and none in between.
// So there are three chunks for such a window at most, however often a counter is
// reset in it. There is none if first.h is nil.
type histogramFold struct {
	first   histogramSample
	t       int64 // of the last sample in it
	count   float64
	counted bool
	sum     *histogram.FloatHistogram
	counter *histogram.FloatHistogram
}

// folds reports whether what is there, between a reset and one at t, goes into the
// fold. The start of a series does not: there is nothing that it was reset from.
func (w *histogramWork) folds(t, r int64) bool {
	if w.prev == nil || w.run != runReset || len(w.batch) == 0 || windowEnd(w.batch[0].t, r) != windowEnd(t, r) {
		return false
	}
	return w.fold.first.h == nil || sameBuckets(w.fold.counter, w.batch[0].h)
}

// foldBatch puts the samples that are there into the fold.
func (w *histogramWork) foldBatch() error {
	f := &w.fold
	last := w.batch[len(w.batch)-1]
	w.remember(last.h)
	sums := w.batch
	if w.aggregates {
		sums = w.sums
		f.counted = f.counted || len(w.count.vs) > 0
		for _, v := range w.count.vs {
			f.count += v
		}
	} else {
		f.count, f.counted = f.count+float64(len(sums)), true
	}
	if f.first.h == nil {
		f.first = histogramSample{w.batch[0].t, w.pool.clone(w.batch[0].h)}
	}
	err := w.addUp(&f.counter, last.h)
	for _, s := range sums {
		if err == nil {
			err = w.addUp(&f.sum, s.h)
		}
	}
	if err != nil {
		return fmt.Errorf("add histograms up to %d: %w", last.t, err)
	}
	f.t = last.t
	w.release()
	return nil
}

// addUp adds a histogram to one, which is nil if there is none.
func (w *histogramWork) addUp(to **histogram.FloatHistogram, h *histogram.FloatHistogram) error {
	h.CounterResetHint = histogram.GaugeType // they are added as numbers
	if *to == nil {
		*to = w.pool.clone(h)
		return nil
	}
	_, _, _, err := (*to).Add(h)
	return err
}

// emitFold makes a chunk of the fold, if there is one. What follows begins with a
// reset.
func (d *Downsampler) emitFold() error {
	w := &d.histograms
	f := &w.fold
	if f.first.h == nil {
		return nil
	}
	w.windows = append(w.windows[:0], histogramWindow{t: f.t, count: f.count, counted: f.counted, sum: f.sum, counter: f.counter})
	err := d.emitHistograms(f.first)
	w.run = runReset
	w.dropFold()
	return err
}

func (w *histogramWork) dropFold() {
	w.pool.put(w.fold.first.h)
	w.pool.put(w.fold.sum)
	w.pool.put(w.fold.counter)
	w.fold = histogramFold{}
}
