package dedup

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/recode"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// unitTime is as what a window of downsampled data counts to an algorithm, in ms:
// as a sample a minute, so that one that looks at the times between samples knows
// them for neighbours.
const unitTime = 60_000

// track is the windows of chunks of one replica that do not overlap.
type track struct {
	replica int
	source  []Chunk
	chunks  []aggregateChunk // of source
	windows []aggregateWindow
	units   []unit
	// ts and vs are what stands for the units while an algorithm chooses.
	ts []int64
	vs []float64

	// pos is the first unit later than what was chosen last. anchored is whether
	// there was one before; its counter was anchorAt when that of the result was
	// anchor.
	pos              int
	anchored         bool
	anchorAt, anchor float64
}

// aggregateChunk is what is known of a chunk as a whole.
type aggregateChunk struct {
	encodings [aggr.Kinds]chunkenc.Encoding
	from, to  int // its windows
	// firstT and firstV are the first raw sample, if began says that it is there, and
	// lastV is the last raw value. rise is the counter before the first window, with
	// the resets before undone.
	began        bool
	firstT       int64
	firstV, rise float64
	lastV        float64
}

// aggregateWindow is one window. Aggregates that its chunk lacks are zero.
type aggregateWindow struct {
	t     int64
	chunk int
	v     [aggr.Kinds]float64 // the counter as it is in the chunk
	// total is the counter with all resets of the track undone.
	total        float64
	sum, counter *histogram.FloatHistogram
}

// unit is the windows of a track in one aligned window, which two chunks may share.
type unit struct{ from, to int }

// split returns the tracks of a replica's chunks, decoded.
func (m *ChunkMerger) split(tracks []*track, replica int, chunks []Chunk) ([]*track, error) {
	for _, source := range Tracks(chunks, func(c *Chunk) (int64, int64) { return c.MinTime, c.MaxTime }) {
		t := &track{replica: replica, source: source}
		for i := range source {
			m.decoded++
			if err := t.decode(i); err != nil {
				return nil, newChunkError(replica, &source[i], err)
			}
		}
		t.divide(m.resolution(), tracks)
		tracks = append(tracks, t)
	}
	return tracks, nil
}

// divide divides the windows into units, and gives each a value that tells which it
// is and that no algorithm can compare: a NaN.
func (t *track) divide(resolution int64, before []*track) {
	number := uint64(0)
	for _, b := range before {
		number += uint64(len(b.units))
	}
	step := min(resolution, unitTime)
	for i, w := range t.windows {
		at := alignedWindow(w.t, resolution) * step
		if n := len(t.units); n > 0 && t.ts[n-1] == at {
			t.units[n-1].to = i + 1
			continue
		}
		t.vs = append(t.vs, math.Float64frombits(quietNaN|(number+uint64(len(t.units)))))
		t.units = append(t.units, unit{i, i + 1})
		t.ts = append(t.ts, at)
	}
}

// alignedWindow returns the number of the window, aligned to the epoch, that t is in.
func alignedWindow(t, resolution int64) int64 {
	if t < 0 {
		return (t+1)/resolution - 1
	}
	return t / resolution
}

const quietNaN = 0x7ff8 << 48

// decode decodes chunk i of the track.
func (t *track) decode(i int) error {
	c := &t.source[i]
	parts, err := aggr.Parse(c.Data)
	if err != nil {
		return err
	}
	a := aggregateChunk{from: len(t.windows)}
	if parts[aggr.Count].Encoding != chunkenc.EncXOR {
		return fmt.Errorf("%w: count is %s", ErrMalformedChunk, parts[aggr.Count].Encoding)
	}
	ts, vs, err := xor.Decode(parts[aggr.Count].Data, math.MaxInt64, nil, nil)
	if err != nil {
		return fmt.Errorf("count: %w", err)
	}
	if err := checkTimes(ts, c); err != nil {
		return err
	}
	for k, at := range ts {
		w := aggregateWindow{t: at, chunk: i}
		w.v[aggr.Count] = vs[k]
		t.windows = append(t.windows, w)
	}
	a.to = len(t.windows)
	for kind, sub := range parts {
		a.encodings[kind] = sub.Encoding
		if err := t.part(&a, aggr.Kind(kind), sub); err != nil {
			return fmt.Errorf("%s: %w", aggr.Kind(kind), err)
		}
	}
	t.chunks = append(t.chunks, a)
	return nil
}

// part decodes one aggregate of a chunk into its windows.
func (t *track) part(a *aggregateChunk, kind aggr.Kind, sub aggr.Sub) error {
	windows := t.windows[a.from:a.to]
	switch {
	case kind == aggr.Count || sub.Encoding == chunkenc.EncNone:
		return nil
	case sub.Encoding != chunkenc.EncXOR:
		if kind == aggr.Sum || kind == aggr.CounterKind {
			return histogramPart(windows, kind, sub)
		}
		return fmt.Errorf("%w: it is %s", ErrMalformedChunk, sub.Encoding)
	}
	ts, vs, err := xor.Decode(sub.Data, math.MaxInt64, nil, nil)
	if err != nil {
		return err
	}
	if kind == aggr.CounterKind {
		if ts, vs, err = t.counter(a, ts, vs); err != nil {
			return err
		}
	}
	if len(ts) != len(windows) {
		return fmt.Errorf("%w: %d windows, count has %d", ErrMalformedChunk, len(ts), len(windows))
	}
	for i := range windows {
		w := &windows[i]
		if w.t != ts[i] {
			return fmt.Errorf("%w: a window at %d, in count at %d", ErrMalformedChunk, ts[i], w.t)
		}
		w.v[kind] = vs[i]
	}
	return nil
}

// counter takes the first and the last raw value off a counter, and undoes resets
// for the windows' totals.
func (t *track) counter(a *aggregateChunk, ts []int64, vs []float64) ([]int64, []float64, error) {
	windows := a.to - a.from
	if n := len(ts); n == 0 || windows == 0 {
		return ts, vs, nil
	}
	a.lastV = vs[len(vs)-1]
	if n := len(ts); n > windows && n > 1 && ts[n-1] == ts[n-2] {
		ts, vs = ts[:n-1], vs[:n-1]
	}
	a.firstT, a.firstV = ts[0], vs[0]
	if len(ts) == windows+1 {
		a.began = true
		ts, vs = ts[1:], vs[1:]
	}
	if len(ts) != windows {
		return nil, nil, fmt.Errorf("%w: %d windows, count has %d", ErrMalformedChunk, len(ts), windows)
	}
	total := a.firstV
	for k := len(t.chunks) - 1; k >= 0; k-- {
		if b := &t.chunks[k]; b.encodings[aggr.CounterKind] == chunkenc.EncXOR && b.to > b.from {
			total = t.windows[b.to-1].total + risen(b.lastV, a.firstV)
			break
		}
	}
	a.rise = total
	was := a.firstV
	for i, v := range vs {
		total += risen(was, v)
		was = v
		t.windows[a.from+i].total = total
	}
	return ts, vs, nil
}

// risen is by how much a counter rose from one value to another, of which it may
// have been reset in between.
func risen(from, to float64) float64 {
	if to < from {
		return to
	}
	return to - from
}

var errWindows = errors.New("other windows than count has")

// histogramPart decodes an aggregate that is histograms.
func histogramPart(windows []aggregateWindow, kind aggr.Kind, sub aggr.Sub) error {
	chunk, err := recode.Open(sub.Encoding, sub.Data)
	if err != nil {
		return err
	}
	return recode.Safely(func() error {
		it := chunk.Iterator(nil)
		i := 0
		for ; it.Next() != chunkenc.ValNone; i++ {
			if i == len(windows) || it.AtT() != windows[i].t {
				return errWindows
			}
			_, h := it.AtFloatHistogram(&histogram.FloatHistogram{})
			if kind == aggr.Sum {
				windows[i].sum = h
			} else {
				windows[i].counter = h
			}
		}
		if it.Err() == nil && i < len(windows) {
			return errWindows
		}
		return it.Err()
	})
}

// Iterator implements chunkenc.Iterable: over the units.
func (t *track) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return &unitIterator{ts: t.ts, vs: t.vs, at: -1}
}

// unitIterator iterates over units, whose histograms are none.
type unitIterator struct {
	chunkenc.Iterator // never used
	ts                []int64
	vs                []float64
	at                int
}

// Next implements chunkenc.Iterator.
func (it *unitIterator) Next() chunkenc.ValueType {
	if it.at++; it.at >= len(it.ts) {
		it.at = len(it.ts)
		return chunkenc.ValNone
	}
	return chunkenc.ValFloat
}

// Seek implements chunkenc.Iterator.
func (it *unitIterator) Seek(t int64) chunkenc.ValueType {
	for it.at < 0 || it.at < len(it.ts) && it.ts[it.at] < t {
		if it.Next() == chunkenc.ValNone {
			break
		}
	}
	if it.at == len(it.ts) {
		return chunkenc.ValNone
	}
	return chunkenc.ValFloat
}

// At implements chunkenc.Iterator.
func (it *unitIterator) At() (int64, float64) { return it.ts[it.at], it.vs[it.at] }

// AtT implements chunkenc.Iterator.
func (it *unitIterator) AtT() int64 { return it.ts[it.at] }

// AtST returns 0: windows have no start timestamp.
func (*unitIterator) AtST() int64 { return 0 }

// Err implements chunkenc.Iterator.
func (*unitIterator) Err() error { return nil }

// FloatRun implements FloatRunner.
func (it *unitIterator) FloatRun() ([]int64, []float64) {
	from := it.at
	it.at = len(it.ts) - 1
	return it.ts[from:], it.vs[from:]
}
