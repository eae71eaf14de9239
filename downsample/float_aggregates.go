package downsample

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

// aggregateChunk is a chunk of aggregates taken apart.
type aggregateChunk struct {
	*block.Chunk
	parts   aggr.Chunk
	windows int
	made    *memoChunk // nil if it was not made just before
}

// floatAggregates makes one chunk of those of aggregates of floats.
//
// The counter goes on from chunk to chunk as a query sees it, so that it is the
// same whether a query reads the chunks or what becomes of them.
//
// Source: Thanos v0.42.4, pkg/compact/downsample/downsample.go
// downsampleFloatAggrBatch.
func (d *Downsampler) floatAggregates(r int64, chunks []aggregateChunk) error {
	w := &d.floats
	for k := range w.columns {
		w.columns[k].reset()
	}
	for k := range aggr.CounterKind { // count, sum, min, max
		if err := d.decodeParts(k, chunks); err != nil {
			return err
		}
		widen(&w.columns[k], k, r, w.ts, w.vs)
	}
	if err := d.decodeParts(aggr.CounterKind, chunks); err != nil {
		return err
	}
	d.counters(r)
	if err := d.emitColumns(); err != nil {
		return chunkError(chunks[0].Chunk, err)
	}
	return nil
}

// decodeParts decodes one aggregate of all chunks.
func (d *Downsampler) decodeParts(k aggr.Kind, chunks []aggregateChunk) error {
	w := &d.floats
	w.ts, w.vs = w.ts[:0], w.vs[:0]
	last := int64(math.MinInt64)
	for i := range chunks {
		p := chunks[i].parts[k]
		if p.Encoding == chunkenc.EncNone {
			continue
		}
		var err error
		switch {
		case chunks[i].made != nil:
			last = d.recall(chunks[i].made, k, last)
		case p.Encoding != chunkenc.EncXOR:
			err = fmt.Errorf("encoding %d: %w", p.Encoding, errMalformed)
		default:
			w.ts, w.vs, last, err = decodeFloats(p.Data, last, w.ts, w.vs)
		}
		if err != nil {
			return chunkError(chunks[i].Chunk, fmt.Errorf("%s: %w", k, err))
		}
	}
	return nil
}

// recall is decodeFloats of an aggregate of a chunk that was made just before.
func (d *Downsampler) recall(made *memoChunk, k aggr.Kind, last int64) int64 {
	w, m, c := &d.floats, &d.memo, made.columns[k]
	n := len(w.ts)
	w.ts, w.vs = append(w.ts, m.ts[c.from:c.to]...), append(w.vs, m.vs[c.from:c.to]...)
	kept, after := keepSamples(w.ts[n:], w.vs[n:], last)
	w.ts, w.vs = w.ts[:n+kept], w.vs[:n+kept]
	return after
}

// widen makes windows of windows: sums of counts and sums, the least and the
// greatest.
func widen(c *column, k aggr.Kind, r int64, ts []int64, vs []float64) {
	for i := 0; i < len(ts); {
		end := min(windowEnd(ts[i], r), ts[len(ts)-1])
		sum, low, high := 0.0, math.MaxFloat64, -math.MaxFloat64
		for first := true; first || i < len(ts) && ts[i] <= end; i++ {
			first = false
			v := vs[i]
			sum += v
			if v < low {
				low = v
			}
			if v > high {
				high = v
			}
		}
		switch k {
		case aggr.Min:
			c.add(end, low)
		case aggr.Max:
			c.add(end, high)
		default:
			c.add(end, sum)
		}
	}
}

// counters makes the counter of the counters that were decoded.
func (d *Downsampler) counters(r int64) {
	w := &d.floats
	var counter aggr.Counter
	n := counter.Floats(w.ts, w.vs)
	if n == 0 {
		return
	}
	ts, vs := w.ts[:n], w.vs[:n]
	c := &w.columns[aggr.CounterKind]
	c.add(ts[0], vs[0])
	total := vs[0]
	for i := 0; i < n; {
		end := min(windowEnd(ts[i], r), ts[n-1])
		for first := true; first || i < n && ts[i] <= end; i++ {
			first = false
			switch {
			case i == 0:
			case vs[i] < vs[i-1]: // as with gauges below 0
				total += vs[i]
			default:
				total += vs[i] - vs[i-1]
			}
		}
		c.add(end, total)
	}
	c.add(ts[n-1], counter.Last())
}
