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

// histogramAggregates makes chunks of size of those of aggregates of histograms
// each, fewer where a run ends.
//
// Source: Thanos v0.42.4, pkg/compact/downsample/downsample.go
// downsampleHistogramAggrBatch. What is different is in the package comment.
func (d *Downsampler) histogramAggregates(r int64, size int, chunks []aggregateChunk) (err error) {
	w := &d.histograms
	w.start(true)
	current := chunks[0].Chunk
	defer d.recoverHistograms(&current, &err)
	n := 0
	flush := func() error {
		n = 0
		return d.flushAggregates(r)
	}
	for i := range chunks {
		current = chunks[i].Chunk
		if n == size {
			err = flush()
		}
		if err == nil {
			err = d.addAggregates(&chunks[i], r, flush)
		}
		if err != nil {
			return chunkError(current, err)
		}
		n++
	}
	if err := flush(); err != nil {
		return chunkError(current, err)
	}
	return nil
}

// addAggregates decodes a chunk. It flushes first if the chunk does not belong to
// the run before it.
func (d *Downsampler) addAggregates(c *aggregateChunk, r int64, flush func() error) error {
	w := &d.histograms
	err := w.part(c, aggr.CounterKind, func(s histogramSample, first bool) error {
		if first {
			if err := w.cutAt(s.h, s.t, r, flush); err != nil {
				return err
			}
		}
		w.batch = append(w.batch, s)
		return nil
	})
	if err != nil {
		return err
	}
	err = w.part(c, aggr.Sum, func(s histogramSample, _ bool) error {
		w.sums = append(w.sums, s)
		return nil
	})
	if err != nil {
		return err
	}
	p := c.parts[aggr.Count]
	switch p.Encoding {
	case chunkenc.EncNone:
		return nil
	case chunkenc.EncXOR:
		w.count.ts, w.count.vs, _, err = decodeFloats(p.Data, lastOf(w.count.ts), w.count.ts, w.count.vs)
	default:
		err = fmt.Errorf("encoding %d: %w", p.Encoding, errMalformed)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", aggr.Count, err)
	}
	return nil
}

func lastOf(ts []int64) int64 {
	if len(ts) == 0 {
		return math.MinInt64
	}
	return ts[len(ts)-1]
}

// part decodes one aggregate of a chunk, which keeps the histograms, without what
// does not ascend.
func (w *histogramWork) part(c *aggregateChunk, k aggr.Kind, keep func(s histogramSample, first bool) error) error {
	p := c.parts[k]
	if p.Encoding == chunkenc.EncNone {
		return nil
	}
	var err error
	if !isHistogram(p.Encoding) {
		err = fmt.Errorf("encoding %d: %w", p.Encoding, errMalformed)
	} else {
		first := true
		err = w.each(&block.Chunk{Encoding: p.Encoding, Data: p.Data}, func(h *histogram.FloatHistogram, t int64) (bool, error) {
			if t <= w.last[k] || value.IsStaleNaN(h.Sum) {
				return false, nil
			}
			err := keep(histogramSample{t, h}, first)
			first, w.last[k] = false, t
			return true, err
		})
	}
	if err != nil {
		return fmt.Errorf("%s: %w", k, err)
	}
	return nil
}

// flushAggregates makes a chunk of the aggregates that are there.
//
// Each aggregate has windows of its own. They end at the same times, unless some
// are missing.
func (d *Downsampler) flushAggregates(r int64) error {
	w := &d.histograms
	if n := len(w.batch); n > 0 {
		w.remember(w.batch[n-1].h)
	}
	if err := errors.Join(d.emitFold(), unify(w.batch), unify(w.sums)); err != nil {
		return err
	}
	first := histogramSample{}
	if len(w.batch) > 0 {
		first = histogramSample{w.batch[0].t, w.pool.clone(w.batch[0].h)}
	}
	w.windows = w.windows[:0]
	counters, sums, counts := w.batch, w.sums, w.count.ts
	for len(counters)+len(sums)+len(counts) > 0 {
		win := histogramWindow{t: math.MaxInt64}
		for _, t := range [3]int64{sampleWindow(counters, r), sampleWindow(sums, r), countWindow(counts, r)} {
			win.t = min(win.t, t)
		}
		if sampleWindow(counters, r) == win.t {
			n := upTo(counters, win.t)
			win.counter, counters = counters[n-1].h, counters[n:]
		}
		if sampleWindow(sums, r) == win.t {
			n := upTo(sums, win.t)
			win.sum = sums[0].h
			for _, s := range sums[1:n] {
				if _, _, _, err := win.sum.Add(s.h); err != nil {
					return fmt.Errorf("add sum at %d: %w", s.t, err)
				}
			}
			sums = sums[n:]
		}
		if win.counted = countWindow(counts, r) == win.t; win.counted {
			vs := w.count.vs[len(w.count.ts)-len(counts):]
			for len(counts) > 0 && counts[0] <= win.t {
				win.count += vs[0]
				counts, vs = counts[1:], vs[1:]
			}
		}
		w.windows = append(w.windows, win)
	}
	if len(w.windows) > 0 {
		if err := d.emitHistograms(first); err != nil {
			return err
		}
	}
	w.pool.put(first.h)
	w.release()
	return nil
}

// sampleWindow returns the end of the window that the first of samples is in.
func sampleWindow(samples []histogramSample, r int64) int64 {
	if len(samples) == 0 {
		return math.MaxInt64
	}
	return min(windowEnd(samples[0].t, r), samples[len(samples)-1].t)
}

func countWindow(ts []int64, r int64) int64 {
	if len(ts) == 0 {
		return math.MaxInt64
	}
	return min(windowEnd(ts[0], r), ts[len(ts)-1])
}

// upTo returns how many samples are at t or before.
func upTo(samples []histogramSample, t int64) int {
	n := 0
	for n < len(samples) && samples[n].t <= t {
		n++
	}
	return n
}
