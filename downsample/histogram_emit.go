package downsample

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// histogramWindow is the aggregates of a window that ends at t, in ms. What is
// absent is nil, or not counted.
type histogramWindow struct {
	t            int64
	count        float64
	counted      bool
	sum, counter *histogram.FloatHistogram
}

// histogramBuilder makes a chunk of aggregates of histograms.
type histogramBuilder struct {
	sum, counter histogramColumn
	count        column
	minTime      int64
	maxTime      int64
	windows      int
}

// histogramColumn is a chunk of histograms that is appended to.
type histogramColumn struct {
	chunk chunkenc.Chunk // nil as long as there is none
	app   *promcompat.Appender
}

// mostWindows is how many windows a chunk has at most, with room for a sample
// beside them.
const mostWindows = xor.MaxSamples - 1

// emitHistograms makes chunks of the windows, one unless they do not fit into one.
// first is the first histogram of all: a counter of which a run begins keeps it, so
// that what it rises by up to the end of its window is not lost.
func (d *Downsampler) emitHistograms(first histogramSample) error {
	w := &d.histograms
	b := &w.build
	prev := b.counter.app
	if w.run != runContinues {
		prev, b.counter.app = nil, nil
	}
	b.reset()
	gauge := first.h != nil && first.h.CounterResetHint == histogram.GaugeType
	if !gauge && first.h != nil && w.run != runContinues && first.t < w.windows[0].t {
		first.h.CounterResetHint = w.hint()
		if _, err := b.counter.add(nil, first.t, first.h); err != nil {
			return err
		}
	}
	for i := range w.windows {
		win := &w.windows[i]
		if b.windows == mostWindows {
			prev = b.counter.app
			d.finishHistograms()
		}
		if win.counter != nil {
			switch {
			case gauge:
				win.counter.CounterResetHint = histogram.GaugeType
			case b.counter.chunk == nil:
				win.counter.CounterResetHint = w.hint()
			default:
				win.counter.CounterResetHint = histogram.UnknownCounterReset
			}
			next, err := b.counter.add(prev, win.t, win.counter)
			if err != nil {
				return err
			}
			if next != nil {
				after := histogramColumn{next, b.counter.app}
				d.finishHistograms()
				b.counter = after
			}
			w.run = runContinues
		}
		if err := b.add(win); err != nil {
			return err
		}
	}
	w.run = runContinues
	d.finishHistograms()
	return nil
}

// hint is what the first counter of a chunk says about resets.
func (w *histogramWork) hint() histogram.CounterResetHint {
	if w.run == runReset {
		return histogram.CounterReset
	}
	return histogram.UnknownCounterReset
}

// add appends a histogram. If it does not fit, it goes into the next chunk, which
// is returned.
func (c *histogramColumn) add(prev *promcompat.Appender, t int64, h *histogram.FloatHistogram) (next chunkenc.Chunk, err error) {
	if c.chunk == nil {
		if c.chunk, err = promcompat.NewChunk(chunkenc.ValFloatHistogram); err != nil {
			return nil, err
		}
		if c.app, err = promcompat.NewAppender(c.chunk); err != nil {
			return nil, err
		}
	}
	next, recoded, err := c.app.AppendFloatHistogram(prev, t, h, false)
	if err != nil {
		return nil, err
	}
	if recoded {
		c.chunk = next
		return nil, nil
	}
	return next, nil
}

// sub returns the chunk as a part of a chunk of aggregates.
func (c *histogramColumn) sub() aggr.Sub {
	if c.chunk == nil {
		return aggr.Sub{}
	}
	return aggr.Sub{Encoding: c.chunk.Encoding(), Data: c.chunk.Bytes()}
}

// add appends a window, but for its counter.
func (b *histogramBuilder) add(win *histogramWindow) error {
	if win.sum != nil {
		win.sum.CounterResetHint = histogram.GaugeType
		next, err := b.sum.add(nil, win.t, win.sum)
		if err == nil && next != nil {
			err = fmt.Errorf("%w: sums of one chunk have different buckets", errMalformed)
		}
		if err != nil {
			return err
		}
	}
	if win.counted {
		b.count.add(win.t, win.count)
	}
	if b.windows == 0 {
		b.minTime = win.t
	}
	b.maxTime = win.t
	b.windows++
	return nil
}

// reset begins a chunk. The appender of the counter stays, for the next chunk to
// go on from.
func (b *histogramBuilder) reset() {
	b.sum = histogramColumn{}
	b.counter.chunk = nil
	b.count.reset()
	b.windows = 0
}

// finishHistograms ends a chunk.
func (d *Downsampler) finishHistograms() {
	b := &d.histograms.build
	if b.windows > 0 {
		var c aggr.Chunk
		if len(b.count.ts) > 0 {
			b.count.encoded = xor.Encode(b.count.encoded[:0], b.count.ts, b.count.vs)
			c[aggr.Count] = aggr.Sub{Encoding: chunkenc.EncXOR, Data: b.count.encoded}
		}
		c[aggr.Sum], c[aggr.CounterKind] = b.sum.sub(), b.counter.sub()
		d.emit(b.minTime, b.maxTime, &c)
	}
	b.reset()
}
