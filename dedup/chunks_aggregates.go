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

// mergeAggregates appends the chunks that the algorithm makes of stretches i to to,
// exclusive, of downsampled data. It chooses windows by their times alone; all that
// is known of a window comes from the replica that was chosen.
//
// A chunk that comes out is a row of windows of one chunk that went in, with their
// values. What changes where replicas do is the last raw value of a counter, of
// which the only use is to be compared with the first one of the next chunk: it is
// made such that from one window to the next the counter rises by as much as in the
// replica that has the later one.
func (m *ChunkMerger) mergeAggregates(dst []Chunk, i, to int) ([]Chunk, error) {
	warm := m.warmUp(i)
	m.open(warm, to)
	var tracks []*track
	var err error
	for replica, r := range m.ranges {
		if r[0] < 0 {
			continue
		}
		if tracks, err = m.split(tracks, replica, m.lists[replica][r[0]:r[1]]); err != nil {
			return dst, err
		}
	}
	w := windowWriter{tracks: tracks, dst: dst, from: m.stretches[i].minTime}
	if _, chain := m.alg.(Chain); chain || m.present == 1 {
		err = w.chooseAll()
	} else {
		err = w.chooseBy(m)
	}
	if err != nil {
		return dst, err
	}
	if err := w.close(w.raw); err != nil {
		return dst, err
	}
	return w.dst, nil
}

// windowWriter writes the windows that were chosen.
type windowWriter struct {
	tracks []*track
	dst    []Chunk
	from   int64 // what is before is only to be known

	// The latest window that was chosen, the counter's total and raw value at it, as
	// far as that is known.
	begun      bool
	last       *track
	window     int
	total, raw float64
	rawKnown   bool
	// run is the windows of the chunk to come, of one chunk of last. before is the time
	// of the window before.
	run    unit
	before int64
}

// chooseBy adds the units that the algorithm chooses.
func (w *windowWriter) chooseBy(m *ChunkMerger) error {
	m.iterables = m.iterables[:0]
	for _, t := range w.tracks {
		m.iterables = append(m.iterables, t)
	}
	m.reuse = m.alg.Merge(m.reuse, Untyped, m.iterables...)
	for m.reuse.Next() != chunkenc.ValNone {
		at, v := m.reuse.At()
		bits := math.Float64bits(v)
		number, i := int(bits&^quietNaN), 0
		for i < len(w.tracks) && number >= len(w.tracks[i].units) {
			number -= len(w.tracks[i].units)
			i++
		}
		if bits&quietNaN != quietNaN || i == len(w.tracks) || number < 0 || w.tracks[i].ts[number] != at {
			return fmt.Errorf("merge aggregates: %w", errAltered)
		}
		if err := w.choose(w.tracks[i], number); err != nil {
			return err
		}
	}
	return m.reuse.Err()
}

// chooseAll adds a unit each time, that of the first track that has one. Chain would
// change among them at every window.
func (w *windowWriter) chooseAll() error {
	next := make([]int, len(w.tracks))
	for {
		var first *track
		unit := 0
		for i, t := range w.tracks {
			if next[i] < len(t.ts) && (first == nil || t.ts[next[i]] < first.ts[unit]) {
				first, unit = t, next[i]
			}
		}
		if first == nil {
			return nil
		}
		if err := w.choose(first, unit); err != nil {
			return err
		}
		for i, t := range w.tracks {
			if next[i] < len(t.ts) && t.ts[next[i]] == first.ts[unit] {
				next[i]++
			}
		}
	}
}

// choose adds a unit of a track.
func (w *windowWriter) choose(t *track, number int) error {
	was, begun := w.total, w.begun
	u := t.units[number]
	for i := u.from; i < u.to; i++ {
		if err := w.add(t, i); err != nil {
			return err
		}
	}
	if !begun {
		was = w.total
	}
	w.settle(t.ts[number], was)
	return nil
}

// settle takes note of where the counters of all tracks are at a unit's time, when
// that of the result has become total from was.
func (w *windowWriter) settle(at int64, was float64) {
	for _, t := range w.tracks {
		for t.pos < len(t.units) && t.ts[t.pos] <= at {
			t.anchorAt, t.anchor = t.windows[t.units[t.pos].to-1].total, was
			if t.ts[t.pos] == at {
				t.anchor = w.total
			}
			t.anchored = true
			t.pos++
		}
	}
}

// add adds a window.
func (w *windowWriter) add(t *track, i int) error {
	win := &t.windows[i]
	c := &t.chunks[win.chunk]
	follows := w.begun && w.last == t && w.window == i-1
	counts := c.encodings[aggr.CounterKind] == chunkenc.EncXOR
	was := w.total
	if counts {
		w.count(t, i, follows)
	}
	if win.t >= w.from {
		if w.run.to > w.run.from && follows && i > c.from {
			w.run.to++
		} else {
			raw := w.raw
			if counts && w.begun && !follows {
				raw = w.seam(win.v[aggr.CounterKind], t.valueBefore(i), w.total-was)
			}
			if err := w.close(raw); err != nil {
				return err
			}
			if w.begun {
				w.before = w.last.windows[w.window].t
			}
			w.run = unit{i, i + 1}
		}
	}
	w.begun, w.last, w.window = true, t, i
	if counts {
		t.anchored, t.anchorAt, t.anchor = true, win.total, w.total
		w.raw, w.rawKnown = t.raw(i)
	}
	return nil
}

// seam returns the last raw value after which a counter that goes on with value, and
// had before in its own replica, is read as having risen by so much.
func (w *windowWriter) seam(value, before, rise float64) float64 {
	if w.rawKnown && risen(w.raw, before)+value-before == rise {
		return w.raw
	}
	return min(value-rise, before)
}

// count makes the total that of window i of a track. It rises by as much as in that
// track since that was last told from the result, or, if that is more, by what the
// raw values differ: a track may have missed a reset, and what was before it.
func (w *windowWriter) count(t *track, i int, follows bool) {
	win := &t.windows[i]
	c := &t.chunks[win.chunk]
	if !w.begun {
		w.total = win.total
		return
	}
	was := w.total
	if t.anchored {
		w.total = max(w.total, t.anchor+win.total-t.anchorAt)
	}
	raw, known := t.raw(i)
	switch known = known && w.rawKnown; {
	case follows:
	case known && raw >= w.raw:
		w.total = max(w.total, was+raw-w.raw)
	case t.anchored:
	case w.rawKnown:
		w.total += risen(w.raw, c.firstV) + win.total - c.rise
	default:
		w.total += win.total - c.rise
	}
}

// raw returns the raw value of a counter at window i, and whether it is known: a
// chunk tells the last one only, if there was a reset in it. If not, it is the best
// guess.
func (t *track) raw(i int) (float64, bool) {
	c := &t.chunks[t.windows[i].chunk]
	reset := t.windows[c.to-1].v[aggr.CounterKind] != c.lastV
	if i == c.to-1 || reset {
		return c.lastV, i == c.to-1
	}
	return t.windows[i].v[aggr.CounterKind], true
}

// valueBefore is the counter before window i in its chunk.
func (t *track) valueBefore(i int) float64 {
	if c := &t.chunks[t.windows[i].chunk]; i == c.from {
		return c.firstV
	}
	return t.windows[i-1].v[aggr.CounterKind]
}

// close writes the run. raw is the last raw value of its counter.
func (w *windowWriter) close(raw float64) error {
	if w.run.from == w.run.to {
		return w.amend(raw)
	}
	t := w.last
	c := &t.chunks[t.windows[w.run.from].chunk]
	source := t.source[t.windows[w.run.from].chunk]
	whole := w.run == unit{c.from, c.to} && w.same(c, raw)
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

// same reports whether raw is the last raw value of a chunk, or none is known.
func (*windowWriter) same(c *aggregateChunk, raw float64) bool {
	return c.encodings[aggr.CounterKind] != chunkenc.EncXOR || math.Float64bits(raw) == math.Float64bits(c.lastV)
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
	if last.MaxTime != t.windows[w.window].t || w.window != c.to-1 || last.MinTime != t.source[n].MinTime || w.same(c, raw) {
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
	ts, vs := make([]int64, len(windows), len(windows)+2), make([]float64, len(windows), len(windows)+2)
	var out aggr.Chunk
	for kind, e := range c.encodings {
		if e == chunkenc.EncNone {
			continue
		}
		if e != chunkenc.EncXOR {
			sub, err := encodeHistograms(windows, aggr.Kind(kind))
			if err != nil {
				return Chunk{}, err
			}
			out[kind] = sub
			continue
		}
		ts, vs = ts[:len(windows)], vs[:len(windows)]
		for i := range windows {
			ts[i], vs[i] = windows[i].t, windows[i].v[kind]
		}
		if aggr.Kind(kind) == aggr.CounterKind {
			firstT := w.firstTime(t, run.from)
			ts, vs = append(ts, windows[len(windows)-1].t, 0), append(vs, raw, 0)
			copy(ts[1:], ts[:len(ts)-1])
			copy(vs[1:], vs[:len(vs)-1])
			ts[0], vs[0] = firstT, t.valueBefore(run.from)
		}
		out[kind] = aggr.Sub{Encoding: chunkenc.EncXOR, Data: xor.Encode(nil, ts, vs)}
	}
	return Chunk{MinTime: windows[0].t, MaxTime: windows[len(windows)-1].t, Encoding: aggr.Encoding, Data: out.Append(nil)}, nil
}

// firstTime is when the counter had the value before window i.
func (w *windowWriter) firstTime(t *track, i int) int64 {
	c := &t.chunks[t.windows[i].chunk]
	if i == c.from {
		return min(c.firstT, t.windows[i].t)
	}
	at := t.windows[i-1].t
	if w.begun && at <= w.before {
		at = w.before + 1 // there is another value at that time
	}
	return min(at, t.windows[i].t)
}

// encodeHistograms encodes an aggregate that is histograms.
func encodeHistograms(windows []aggregateWindow, kind aggr.Kind) (aggr.Sub, error) {
	e := recode.Encoder{PerChunk: xor.MaxSamples}
	for i := range windows {
		h := windows[i].sum
		if kind == aggr.CounterKind {
			h = windows[i].counter
		}
		h = h.Copy()
		if i == 0 && h.CounterResetHint != histogram.GaugeType {
			h.CounterResetHint = histogram.UnknownCounterReset
		}
		if err := e.FloatHistogram(windows[i].t, h); err != nil {
			return aggr.Sub{}, err
		}
	}
	chunks := e.Chunks()
	if len(chunks) != 1 {
		return aggr.Sub{}, fmt.Errorf("%w: %s does not fit into a chunk", ErrMalformedChunk, kind)
	}
	return aggr.Sub{Encoding: chunks[0].Encoding, Data: chunks[0].Data}, nil
}
