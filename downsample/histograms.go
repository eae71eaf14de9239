package downsample

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

// histogramWork is what histograms of a series are worked on with.
//
// Histograms come in runs: consecutive counters with the same buckets between which
// there is no reset, and consecutive gauges that have the same custom bounds or
// none. A chunk that is made is of one run.
type histogramWork struct {
	pool histogramPool
	it   chunkenc.Iterator

	// batch is what the next chunk is made of: raw histograms or, if they come from
	// aggregates, counters, and then sums and count go with them.
	batch      []histogramSample
	aggregates bool
	sums       []histogramSample
	count      column
	last       [aggr.Kinds]int64 // time of the one before, of aggregates

	run  runState
	fold histogramFold
	// prev is the last one before the batch as it was, nil for none.
	prev *histogram.FloatHistogram

	windows []histogramWindow
	build   histogramBuilder
}

// histogramSample is a histogram at t, in ms, from the pool.
type histogramSample struct {
	t int64
	h *histogram.FloatHistogram
}

// runState is where in a run a chunk is.
type runState int

// The places in a run.
const (
	runBegins    runState = iota // and what was before is not known, or of another kind
	runReset                     // it begins, with a reset of the counter
	runContinues                 // there was a chunk before
)

// rawHistograms downsamples chunks of raw histograms.
//
// Source: Thanos v0.42.4, pkg/compact/downsample/downsample.go
// downsampleHistogramBatch. What is different is in the package comment.
func (d *Downsampler) rawHistograms(r block.Resolution, chunks []block.Chunk) (err error) {
	w := &d.histograms
	w.start(false)
	n := 0
	for i := range chunks {
		samples, err := chunks[i].NumSamples()
		if err != nil {
			return chunkError(&chunks[i], err)
		}
		n += samples
	}
	size := n/chunkCount(chunks[0].MinTime, chunks[len(chunks)-1].MaxTime, rawStep, r, n) + 1
	current := &chunks[0]
	defer d.recoverHistograms(&current, &err)
	for i := range chunks {
		current = &chunks[i]
		if err := d.rawHistogramChunk(int64(r), size, current); err != nil {
			return chunkError(current, err)
		}
	}
	if err := d.flushRaw(int64(r)); err != nil {
		return chunkError(current, err)
	}
	return nil
}

// rawHistogramChunk reads a chunk, and flushes when size samples and those of the
// same window as the last of them are there.
func (d *Downsampler) rawHistogramChunk(r int64, size int, c *block.Chunk) error {
	w := &d.histograms
	first := true
	return w.each(c, func(h *histogram.FloatHistogram, t int64) (bool, error) {
		if t <= d.last || value.IsStaleNaN(h.Sum) {
			return false, nil
		}
		if first { // within a chunk there is none
			if err := w.cutAt(h, t, r, func() error { return d.flushRaw(r) }); err != nil {
				return false, err
			}
			first = false
		}
		if len(w.batch) >= size && t > windowEnd(w.batch[len(w.batch)-1].t, r) {
			if err := d.flushRaw(r); err != nil {
				return false, err
			}
		}
		d.last = t
		w.batch = append(w.batch, histogramSample{t, h})
		return true, nil
	})
}

// flushRaw makes a chunk of the samples that are there.
func (d *Downsampler) flushRaw(r int64) error {
	w := &d.histograms
	if len(w.batch) == 0 {
		return nil
	}
	w.remember(w.batch[len(w.batch)-1].h)
	if err := errors.Join(d.emitFold(), unify(w.batch)); err != nil {
		return err
	}
	first := w.batch[0]
	last := w.batch[len(w.batch)-1].t
	w.windows = w.windows[:0]
	for i := 0; i < len(w.batch); {
		s := w.batch[i]
		end := min(windowEnd(s.t, r), last)
		sum := w.pool.clone(s.h)
		sum.CounterResetHint = histogram.GaugeType
		n := 1
		for i++; i < len(w.batch) && w.batch[i].t <= end; i++ {
			if _, _, _, err := sum.Add(w.batch[i].h); err != nil {
				return fmt.Errorf("add histogram at %d: %w", w.batch[i].t, err)
			}
			n++
		}
		w.windows = append(w.windows, histogramWindow{t: end, count: float64(n), counted: true, sum: sum, counter: w.batch[i-1].h})
	}
	// The first is a window's counter as well if it is alone in it.
	first.h = w.pool.clone(first.h)
	if err := d.emitHistograms(first); err != nil {
		return err
	}
	for _, win := range w.windows {
		w.pool.put(win.sum)
	}
	w.pool.put(first.h)
	w.release()
	return nil
}

// start begins a series, or what follows something else.
func (w *histogramWork) start(aggregates bool) {
	w.aggregates = aggregates
	w.release()
	w.dropFold()
	w.pool.put(w.prev)
	w.prev, w.run = nil, runBegins
	for k := range w.last {
		w.last[k] = math.MinInt64
	}
}

// release gives the histograms of a chunk back.
func (w *histogramWork) release() {
	for _, s := range w.batch {
		w.pool.put(s.h)
	}
	for _, s := range w.sums {
		w.pool.put(s.h)
	}
	w.batch, w.sums = w.batch[:0], w.sums[:0]
	w.count.reset()
}

// remember keeps the last histogram, as it was, for the next one to be compared
// with.
func (w *histogramWork) remember(h *histogram.FloatHistogram) {
	w.pool.put(w.prev)
	w.prev = w.pool.clone(h)
}

// cutAt flushes if h is not of the same run as what was before. h is the first of
// a chunk. Whether there was a reset is found out, whatever its hint says, since the
// chunk that it was made for need not be the one before it.
func (w *histogramWork) cutAt(h *histogram.FloatHistogram, t, r int64, flush func() error) error {
	prev := w.prev
	if n := len(w.batch); n > 0 {
		prev = w.batch[n-1].h
	}
	gauge := h.CounterResetHint == histogram.GaugeType
	if !gauge {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	if prev == nil {
		return nil
	}
	next := runBegins
	switch {
	case gauge != (prev.CounterResetHint == histogram.GaugeType):
	case gauge:
		if sameBounds(h, prev) {
			return nil
		}
	case h.DetectReset(prev):
		next = runReset
	case sameBuckets(h, prev):
		return nil
	}
	var err error
	if next == runReset && w.folds(t, r) {
		err = w.foldBatch()
	} else {
		err = flush()
	}
	w.run = next
	return err
}

// sameBounds reports whether two histograms can be brought to the same buckets.
func sameBounds(a, b *histogram.FloatHistogram) bool {
	if a.UsesCustomBuckets() != b.UsesCustomBuckets() {
		return false
	}
	return !a.UsesCustomBuckets() || histogram.CustomBucketBoundsMatch(a.CustomValues, b.CustomValues)
}

// sameBuckets reports whether two histograms have the same buckets, but for those
// that have nothing in them.
func sameBuckets(a, b *histogram.FloatHistogram) bool {
	return a.Schema == b.Schema && a.ZeroThreshold == b.ZeroThreshold && sameBounds(a, b)
}

// unify brings gauges of a run to the same buckets: the coarsest schema, and a zero
// bucket that is as wide as the widest and ends where no bucket of any of them is
// cut in two. Counters have them already.
func unify(samples []histogramSample) error {
	schema := int32(math.MaxInt32)
	for _, s := range samples {
		schema = min(schema, s.h.Schema)
	}
	for _, s := range samples {
		if s.h.Schema > schema {
			if err := s.h.ReduceResolution(schema); err != nil {
				return fmt.Errorf("reduce resolution of histogram at %d: %w", s.t, err)
			}
		}
	}
	if histogram.IsCustomBucketsSchema(schema) {
		return nil
	}
	for same := false; !same; {
		widest := 0.0
		for _, s := range samples {
			widest = max(widest, s.h.ZeroThreshold)
		}
		same = true
		for _, s := range samples {
			if s.h.ZeroThreshold == widest {
				continue
			}
			// Nothing, in a zero bucket so wide.
			nothing := &histogram.FloatHistogram{Schema: schema, ZeroThreshold: widest, CounterResetHint: s.h.CounterResetHint}
			if _, _, _, err := s.h.Add(nothing); err != nil {
				return fmt.Errorf("widen zero bucket of histogram at %d: %w", s.t, err)
			}
			same = same && s.h.ZeroThreshold == widest
		}
	}
	return nil
}

// each decodes a histogram chunk. use reports whether it has kept the histogram.
func (w *histogramWork) each(c *block.Chunk, use func(h *histogram.FloatHistogram, t int64) (bool, error)) error {
	plain, err := c.Plain()
	if err != nil {
		return err
	}
	w.it = plain[0].Iterator(w.it)
	for w.it.Next() != chunkenc.ValNone {
		t, h := w.it.AtFloatHistogram(w.pool.get())
		if math.IsNaN(h.ZeroThreshold) || h.ZeroThreshold < 0 {
			// To bring two zero buckets together would never end.
			return fmt.Errorf("%w: zero threshold %v of histogram at %d", errMalformed, h.ZeroThreshold, t)
		}
		kept, err := use(h, t)
		if err != nil {
			return err
		}
		if !kept {
			w.pool.put(h)
		}
	}
	return w.it.Err()
}

// recoverHistograms makes an error of what the code for histograms does with bytes
// that are no chunk: it trusts them, and panics.
func (d *Downsampler) recoverHistograms(current **block.Chunk, err *error) {
	if r := recover(); r != nil {
		d.histograms = histogramWork{}
		*err = chunkError(*current, fmt.Errorf("%w: decoding panics: %v", errMalformed, r))
	}
}

// histogramPool keeps histograms to be used again.
type histogramPool struct{ free []*histogram.FloatHistogram }

func (p *histogramPool) get() *histogram.FloatHistogram {
	n := len(p.free)
	if n == 0 {
		return &histogram.FloatHistogram{}
	}
	h := p.free[n-1]
	p.free = p.free[:n-1]
	return h
}

// put takes a histogram back, if it is one.
func (p *histogramPool) put(h *histogram.FloatHistogram) {
	if h != nil {
		p.free = append(p.free, h)
	}
}

func (p *histogramPool) clone(h *histogram.FloatHistogram) *histogram.FloatHistogram {
	c := p.get()
	h.CopyTo(c)
	return c
}
