package dedup

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/recode"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// close writes the run. raw is the last raw value of its counter.
func (w *windowWriter) close(raw float64) error {
	if w.run.from == w.run.to {
		return w.amend(raw)
	}
	t := w.last
	c := &t.chunks[t.windows[w.run.from].chunk]
	source := t.source[t.windows[w.run.from].chunk]
	whole := w.run == unit{c.from, c.to} && c.same(raw)
	if whole {
		w.dst = append(w.dst, source)
	} else {
		chunk, err := w.encode(t, w.run, raw)
		if err != nil {
			return newChunkError(t.replica, &source, err)
		}
		w.dst = append(w.dst, chunk)
	}
	w.run = unit{}
	return nil
}

// same reports whether raw is the last raw value of a chunk, or it has none.
func (a *aggregateChunk) same(raw float64) bool {
	return !a.counts || math.Float64bits(raw) == math.Float64bits(a.last)
}

// amend changes the last raw value of the chunk that was passed on before the first
// run.
func (w *windowWriter) amend(raw float64) error {
	if !w.begun || len(w.dst) == 0 {
		return nil
	}
	t := w.last
	n := t.windows[w.window].chunk
	c, last := &t.chunks[n], &w.dst[len(w.dst)-1]
	if last.MaxTime != t.windows[w.window].t || w.window != c.to-1 || last.MinTime != t.source[n].MinTime || c.same(raw) {
		return nil
	}
	chunk, err := w.encode(t, unit{c.from, c.to}, raw)
	if err != nil {
		return newChunkError(t.replica, &t.source[n], err)
	}
	*last = chunk
	return nil
}

// encode encodes a run of windows.
func (w *windowWriter) encode(t *track, run unit, raw float64) (Chunk, error) {
	windows := t.windows[run.from:run.to]
	c := &t.chunks[windows[0].chunk]
	var out aggr.Chunk
	for kind := range c.parts {
		p := &c.parts[kind]
		from, to := run.from-c.from, run.to-c.from
		if aggr.Kind(kind) == aggr.CounterKind {
			from, to = t.counterFrom(run.from), windows[len(windows)-1].to
		}
		var err error
		switch {
		case p.encoding == chunkenc.EncNone:
		case p.encoding != chunkenc.EncXOR:
			out[kind], err = encodeHistograms(p.ts[from:to], p.hs[from:to])
		case aggr.Kind(kind) != aggr.CounterKind:
			out[kind], err = encodeFloats(p.ts[from:to], p.vs[from:to])
		case c.counts:
			out[kind], err = encodeFloats(w.counter(t, run, raw))
		}
		if err != nil {
			return Chunk{}, fmt.Errorf("%s: %w", aggr.Kind(kind), err)
		}
	}
	return Chunk{MinTime: windows[0].t, MaxTime: windows[len(windows)-1].t, Encoding: aggr.Encoding, Data: out.Append(nil)}, nil
}

// counterFrom returns the first sample of the counter of window i.
func (t *track) counterFrom(i int) int {
	if i == t.chunks[t.windows[i].chunk].from {
		return 0
	}
	return t.windows[i-1].to
}

// counter returns the counter of a run whose last raw value is raw: what it was
// before, what it is in the windows, or at the last if it is in none, and raw.
func (w *windowWriter) counter(t *track, run unit, raw float64) ([]int64, []float64) {
	c, last := &t.chunks[t.windows[run.from].chunk], &t.windows[run.to-1]
	p, from := &c.parts[aggr.CounterKind], t.counterFrom(run.from)
	n := last.to - from + 3
	ts, vs := append(make([]int64, 0, n), c.firstT), append(make([]float64, 0, n), c.firstV)
	if run.from > c.from {
		if vs[0] = t.valueBefore(run.from); from > 0 {
			ts[0] = p.ts[from-1]
		}
		if w.begun && ts[0] <= w.before {
			ts[0] = w.before + 1 // there is another value at that time
		}
	}
	ts, vs = append(ts, p.ts[from:last.to]...), append(vs, p.vs[from:last.to]...)
	if len(ts) == 1 {
		ts, vs = append(ts, last.t), append(vs, last.counter)
	}
	ts[0] = min(ts[0], ts[1])
	if run.to == c.to && c.same(raw) {
		raw = c.lastV
	}
	return append(ts, ts[len(ts)-1]), append(vs, raw)
}

// encodeFloats encodes an aggregate that is floats.
func encodeFloats(ts []int64, vs []float64) (aggr.Sub, error) {
	if len(ts) > xor.MaxSamples {
		return aggr.Sub{}, fmt.Errorf("%w: %d samples do not fit into a chunk", ErrMalformedChunk, len(ts))
	}
	return aggr.Sub{Encoding: chunkenc.EncXOR, Data: xor.Encode(nil, ts, vs)}, nil
}

// encodeHistograms encodes an aggregate that is histograms. It is absent if there are
// none.
func encodeHistograms(ts []int64, hs []*histogram.FloatHistogram) (aggr.Sub, error) {
	e := recode.Encoder{PerChunk: xor.MaxSamples}
	for i, h := range hs {
		if err := e.FloatHistogram(ts[i], h.Copy()); err != nil {
			return aggr.Sub{}, err
		}
	}
	switch chunks := e.Chunks(); len(chunks) {
	case 0:
		return aggr.Sub{}, nil
	case 1:
		return aggr.Sub{Encoding: chunks[0].Encoding, Data: chunks[0].Data}, nil
	default:
		return aggr.Sub{}, fmt.Errorf("%w: histograms do not fit into a chunk", ErrMalformedChunk)
	}
}
