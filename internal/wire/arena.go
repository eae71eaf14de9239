package wire

import (
	"github.com/thanoskit/thanoskit/internal/encoded"
)

// Sizes of the structures that decoding makes, on a 64-bit machine. A test
// compares them.
const (
	sizeofSeries     = 64
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
	// outgrown is the size of slices that were too small, which series go on
	// pointing to.
	outgrown int

	// msg is the SeriesBatch or Series being decoded. When memory runs out, it
	// is counted through, so that each slice grows once for each response.
	msg     []byte
	isBatch bool
}

// growSeries makes room in f for the series of the message. most is the number
// of series, the next one included, that may still come.
func (a *arena) growSeries(f *encoded.Frame, most int) {
	n := len(f.Series)
	f.Series = append(make([]encoded.Series, 0, n+room(a.count().series-n, most)), f.Series...)
}

// room is for how many more things room is made, at least one: for all that are
// still missing, but not for more than may come.
func room(missing, most int) int { return max(1, min(missing, most)) }

// newChunk adds a chunk to the series being decoded. most is the number of
// chunks, this one included, that may still come.
func (a *arena) newChunk(most int) *encoded.Chunk {
	n := len(a.chunks)
	if n == cap(a.chunks) {
		begun := a.chunks[a.chunkStart:] // must not lie apart from what follows
		a.outgrown += a.chunkStart * sizeofChunk
		n = len(begun)
		a.chunks = append(make([]encoded.Chunk, 0, n+room(a.count().chunks-n, most)), begun...)
		a.chunkStart = 0
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
	if n == cap(a.aggrs) {
		a.outgrown += n * sizeofAggregates
		a.aggrs = make([]encoded.Aggregates, 0, room(a.count().aggregated, cap(a.chunks)))
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
	a.outgrown = 0
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
	return len(a.chunks)*sizeofChunk + len(a.aggrs)*sizeofAggregates + len(a.labels) + a.outgrown
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
