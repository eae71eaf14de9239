package dedup

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
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
	was := w.total
	if c.counts {
		w.count(t, i, follows)
	}
	if win.t >= w.from {
		if w.run.to > w.run.from && follows && i > c.from {
			w.run.to++
		} else {
			raw := w.raw
			if c.counts && w.begun && !follows {
				raw = w.seam(win.counter, t.valueBefore(i), w.total-was)
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
	if c.counts {
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
		w.total += risen(w.raw, c.first) + win.total - c.rise
	default:
		w.total += win.total - c.rise
	}
}

// raw returns the raw value of a counter at window i, and whether it is known: a
// chunk tells the last one only, if there was a reset in it. If not, it is the best
// guess.
func (t *track) raw(i int) (float64, bool) {
	c := &t.chunks[t.windows[i].chunk]
	reset := t.windows[c.to-1].counter != c.last
	if i == c.to-1 || reset {
		return c.last, i == c.to-1
	}
	return t.windows[i].counter, true
}

// valueBefore is the counter before window i in its chunk.
func (t *track) valueBefore(i int) float64 {
	if c := &t.chunks[t.windows[i].chunk]; i == c.from {
		return c.first
	}
	return t.windows[i-1].counter
}
