package dedup

import (
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
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
