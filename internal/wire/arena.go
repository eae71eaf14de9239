package wire

import (
	"github.com/thanoskit/thanoskit/internal/encoded"
)

// Sizes of the structures that decoding makes, on a 64-bit machine. A test
// compares them.
const (
	sizeofSeries     = 48
	sizeofChunk      = 80
	sizeofAggregates = 160
)

// What an arena keeps for the next response; anything larger is left to the
// garbage collector, so that one huge response does not stay for ever.
const (
	keepChunks     = 1 << 14
	keepAggregates = 1 << 13
	keepLabels     = 1 << 20
	keepLabelViews = 1 << 14
)

// arena is the memory that decoded series point to beside the response itself.
// Slots beyond the length of a slice are always zero.
type arena struct {
	chunks []encoded.Chunk
	aggrs  []encoded.Aggregates
	labels []byte   // label sets that were not canonical
	set    labelSet // scratch

	// Where the chunks and aggregates of the series being decoded begin.
	chunkStart, aggrStart int

	// msg is the SeriesBatch or Series being decoded. When memory runs out, it
	// is counted through, so that each slice grows once for each response.
	msg     []byte
	isBatch bool
}

// growSeries makes room in f for the series of the message, one at least.
func (a *arena) growSeries(f *encoded.Frame) {
	n := len(f.Series)
	grown := make([]encoded.Series, n, max(n+1, a.count().series))
	copy(grown, f.Series)
	f.Series = grown
}

// newChunk adds a chunk to the series being decoded. most is the number of
// chunks, this one included, that may still come.
func (a *arena) newChunk(most int) *encoded.Chunk {
	n := len(a.chunks)
	if n == cap(a.chunks) {
		begun := a.chunks[a.chunkStart:]
		want := len(begun) + 1
		if n := a.count().chunks; n > want {
			want += min(n-want, most-1)
		}
		a.chunks = append(make([]encoded.Chunk, 0, want), begun...)
		a.chunkStart, n = 0, len(begun)
	}
	a.chunks = a.chunks[:n+1]
	return &a.chunks[n]
}

// aggregates returns the aggregates of c, which it makes if there are none.
func (a *arena) aggregates(c *encoded.Chunk) *encoded.Aggregates {
	if c.Aggregates != nil {
		return c.Aggregates
	}
	n := len(a.aggrs)
	if n == cap(a.aggrs) { // chunks go on pointing to the old ones
		a.aggrs = make([]encoded.Aggregates, 0, max(1, a.count().aggregated))
		a.aggrStart, n = 0, 0
	}
	a.aggrs = a.aggrs[:n+1]
	c.Aggregates = &a.aggrs[n]
	return c.Aggregates
}

// rewindSeries takes back what was added to the series being decoded, and returns
// how many chunks that were.
func (a *arena) rewindSeries() int {
	n := len(a.chunks) - a.chunkStart
	clear(a.chunks[a.chunkStart:])
	clear(a.aggrs[a.aggrStart:])
	a.chunks, a.aggrs = a.chunks[:a.chunkStart], a.aggrs[:a.aggrStart]
	return n
}

// rewind takes back everything.
func (a *arena) rewind() {
	clear(a.chunks)
	clear(a.aggrs)
	a.chunks, a.aggrs, a.labels = a.chunks[:0], a.aggrs[:0], a.labels[:0]
}

// drop drops all references, and memory of unusual size.
func (a *arena) drop() {
	a.rewind()
	a.set.reset()
	a.msg = nil
	if cap(a.chunks) > keepChunks {
		a.chunks = nil
	}
	if cap(a.aggrs) > keepAggregates {
		a.aggrs = nil
	}
	if cap(a.labels) > keepLabels {
		a.labels = nil
	}
	if cap(a.set.views) > keepLabelViews {
		a.set.views = nil
	}
}

// size is the memory in use, in bytes.
func (a *arena) size() int {
	return len(a.chunks)*sizeofChunk + len(a.aggrs)*sizeofAggregates + len(a.labels)
}

// counts are numbers of things in a message.
type counts struct{ series, chunks, aggregated int }

// count counts what the message being decoded holds, up to the first damage.
func (a *arena) count() (n counts) {
	if !a.isBatch {
		n.addSeries(a.msg)
		return n
	}
	m := message{rest: a.msg}
	for m.next() {
		if m.num == 1 {
			n.addSeries(m.data)
		}
	}
	return n
}

func (n *counts) addSeries(b []byte) {
	n.series++
	m := message{rest: b}
	for m.next() {
		if m.num == 2 {
			n.addChunk(m.data)
		}
	}
}

func (n *counts) addChunk(b []byte) {
	n.chunks++
	m := message{rest: b}
	for m.next() {
		if m.num >= 4 && m.num <= 8 {
			n.aggregated++
			return
		}
	}
}
