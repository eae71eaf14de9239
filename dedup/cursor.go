package dedup

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
)

// cursor is a position in one replica. It holds the sample's time, type and
// float value, so that comparing replicas costs no further call into them: a
// step is one call that moves and one that reads, or none within a run.
type cursor struct {
	it chunkenc.Iterator
	// runner is it, if it has runs.
	runner FloatRunner
	// credited is it, if it wants to know what comes out.
	credited Credited
	// ts and vs are the present run, in which the cursor is at index at.
	ts []int64
	vs []float64
	at int

	// t is the sample's time in ms; math.MinInt64 before the first sample.
	t int64
	// v is the sample's value as stored, if vt is chunkenc.ValFloat.
	v float64
	// raise is what counter adjustment adds to float values from here on.
	raise float64
	// vt is chunkenc.ValNone before the first sample and after the last.
	vt chunkenc.ValueType
}

// next moves to the next sample.
func (c *cursor) next() {
	if i := c.at + 1; i < len(c.ts) && i < len(c.vs) {
		c.at, c.t, c.v = i, c.ts[i], c.vs[i]
		return
	}
	c.load(c.it.Next())
}

// seek moves to the first sample at or after t, which lies after the present
// one.
func (c *cursor) seek(t int64) {
	for i := c.at + 1; i < len(c.ts) && i < len(c.vs); i++ {
		if c.ts[i] >= t {
			c.at, c.t, c.v = i, c.ts[i], c.vs[i]
			return
		}
	}
	c.load(c.it.Seek(t))
}

// load reads the sample, of type vt, that the replica's iterator has moved to.
func (c *cursor) load(vt chunkenc.ValueType) {
	c.vt = vt
	switch {
	case vt != chunkenc.ValFloat:
		c.ts, c.vs = nil, nil
		if vt != chunkenc.ValNone {
			c.t = c.it.AtT()
		}
	case c.runner != nil:
		c.ts, c.vs = c.runner.FloatRun()
		c.at, c.t, c.v = 0, c.ts[0], c.vs[0]
	default:
		c.t, c.v = c.it.At()
	}
}

// credit says that n more samples of the replica come out.
func (c *cursor) credit(n int) {
	if c.credited != nil {
		c.credited.Credit(n)
	}
}

// startTime is the sample's start timestamp in ms, 0 where the replica knows
// none. Iterators carry one since Prometheus v0.310.
func (c *cursor) startTime() int64 {
	if c.runner != nil && c.vt == chunkenc.ValFloat {
		return 0
	}
	return promcompat.StartTimestamp(c.it)
}

// cursors are the positions in all replicas of a series, in the caller's order.
// Those beyond the length keep their iterators for a series with more replicas.
type cursors []cursor

// openCursors returns cursors before the first sample of each replica, in the
// memory of the iterator that the caller gave up: that of a merging iterator
// entirely, any other as the first replica's.
func openCursors(reuse chunkenc.Iterator, replicas []chunkenc.Iterable) cursors {
	n := len(replicas)
	var cs cursors
	if m, ok := reuse.(merging); ok {
		cs = slices.Grow(m.recycled()[:0], n)[:n] // Grow keeps what lies beyond the length.
	} else {
		cs = make(cursors, n)
		cs[0].it = reuse
	}
	for i, r := range replicas {
		it := r.Iterator(cs[i].it)
		runner, _ := it.(FloatRunner)
		credited, _ := it.(Credited)
		cs[i] = cursor{it: it, runner: runner, credited: credited, t: math.MinInt64}
	}
	return cs
}

// mergeFew answers for less than two replicas, which every algorithm leaves as
// they are: an empty iterator, or the only replica's own.
func mergeFew(reuse chunkenc.Iterator, replicas []chunkenc.Iterable) chunkenc.Iterator {
	if len(replicas) == 0 {
		return chunkenc.NewNopIterator()
	}
	if m, ok := reuse.(merging); ok {
		reuse = m.recycled()[0].it
	}
	return replicas[0].Iterator(reuse)
}

// merging is an iterator that embeds cursors, never less than two.
type merging interface{ recycled() cursors }

func (cs cursors) recycled() cursors { return cs }

// err returns the error of the first replica that has one.
func (cs cursors) err() error {
	for i := range cs {
		if err := cs[i].it.Err(); err != nil {
			return err
		}
	}
	return nil
}
