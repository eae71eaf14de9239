package downsample

import (
	"slices"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

// memo is what is in the chunks of floats that were made last, so that they need not
// be decoded to be downsampled further.
type memo struct {
	chunks []memoChunk
	ts     []int64
	vs     []float64
	next   int // among chunks: where the next is looked for
}

// memoChunk is a chunk that was made.
type memoChunk struct {
	data    *byte // the first of size bytes, which tells it from all others
	size    int
	columns [aggr.Kinds]struct{ from, to int }
}

// forget forgets everything.
func (m *memo) forget() { m.chunks, m.ts, m.vs, m.next = m.chunks[:0], m.ts[:0], m.vs[:0], 0 }

// add remembers what is in a chunk.
func (m *memo) add(c *block.Chunk, columns *[aggr.Kinds]column) {
	kept := memoChunk{data: &c.Data[0], size: len(c.Data)}
	for k := range columns {
		col := &columns[k]
		from := len(m.ts)
		m.ts, m.vs = append(m.ts, col.ts...), append(m.vs, col.vs...)
		kept.columns[k].from, kept.columns[k].to = from, len(m.ts)
	}
	m.chunks = append(m.chunks, kept)
}

// find returns what is remembered of a chunk, or nil. Chunks are asked for in the
// order in which they were made.
func (m *memo) find(c *block.Chunk) *memoChunk {
	if len(c.Data) == 0 {
		return nil
	}
	is := func(kept memoChunk) bool { return kept.data == &c.Data[0] && kept.size == len(c.Data) }
	if m.next >= len(m.chunks) || !is(m.chunks[m.next]) {
		if m.next = slices.IndexFunc(m.chunks, is); m.next < 0 {
			m.next = 0
			return nil
		}
	}
	m.next++
	return &m.chunks[m.next-1]
}
