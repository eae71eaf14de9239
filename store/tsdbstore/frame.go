package tsdbstore

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// framePool recycles frames with their memory. It is safe for concurrent use.
type framePool struct{ pool sync.Pool }

func newFramePool() *framePool {
	p := &framePool{}
	p.pool.New = func() any {
		f := &frame{}
		f.Frame = encoded.NewFrame(func(*encoded.Frame) { p.pool.Put(f) })
		return f
	}
	return p
}

// get returns an empty frame with one reference, with room for as much as is
// expected.
func (p *framePool) get(expected frameSize) *frame {
	f := p.pool.Get().(*frame)
	f.Reset()
	clear(f.chunks)
	f.arena, f.used, f.chunks = f.arena[:0], 0, f.chunks[:0]
	f.reserve(expected.bytes)
	f.Series = slices.Grow(f.Series, expected.series)
	f.chunks = slices.Grow(f.chunks, expected.chunks)
	return f
}

// frameSize is what a frame holds.
type frameSize struct{ bytes, series, chunks int }

// size is what the frame holds, and a little more, so that a frame which holds
// about as much need not grow.
func (f *frame) size() frameSize {
	more := func(n int) int { return n + n/8 }
	return frameSize{more(f.used + len(f.arena)), more(len(f.Series)), more(len(f.chunks))}
}

// frame is a frame that owns all that its series point to.
type frame struct {
	*encoded.Frame
	arena  []byte
	used   int // of the arenas before this one
	chunks []encoded.Chunk
	first  int // of the last series' chunks
}

// begin starts a series.
func (f *frame) begin(lset labels.Labels) {
	n := 0
	lset.Range(func(l labels.Label) { n += labelOverhead + len(l.Name) + len(l.Value) })
	f.reserve(n)
	from := len(f.arena)
	f.arena = encoded.AppendLabels(f.arena, lset)
	f.Series = append(f.Series, encoded.Series{Labels: f.arena[from:len(f.arena):len(f.arena)]})
	f.Size += len(f.arena) - from + seriesOverhead
	f.first = len(f.chunks)
}

// add adds a copy of a chunk to the series that was begun.
func (f *frame) add(m chunks.Meta) {
	b := m.Chunk.Bytes()
	f.reserve(len(b))
	from := len(f.arena)
	f.arena = append(f.arena, b...)
	f.chunks = append(f.chunks, encoded.Chunk{
		MinTime: m.MinTime, MaxTime: m.MaxTime,
		Raw: encoded.Data{Encoding: m.Chunk.Encoding(), Bytes: f.arena[from:len(f.arena):len(f.arena)]},
	})
	f.Size += len(b) + chunkOverhead
}

// end ends the series that was begun. A new array of chunks, if one had to be
// made, has all of its chunks.
func (f *frame) end() {
	if f.first < len(f.chunks) {
		f.Series[len(f.Series)-1].Chunks = f.chunks[f.first:len(f.chunks):len(f.chunks)]
	}
}

// reserve makes room for n bytes. What is in the arena stays where it is; views
// of it keep the old array alive.
func (f *frame) reserve(n int) {
	if cap(f.arena)-len(f.arena) < n {
		f.used += len(f.arena)
		f.arena = make([]byte, 0, max(n, 2*cap(f.arena), 4<<10))
	}
}

// What the parts of a frame take beside their bytes; labelOverhead is at least
// the tags and lengths in the wire form of a label.
const (
	labelOverhead  = 3 * (1 + 5)
	seriesOverhead = 48
	chunkOverhead  = 80
)
