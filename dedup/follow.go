package dedup

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

const followName = "follow"

// Follow follows the first replica that is there, in the caller's order, and
// changes over to the next one where it misses scrapes, until it is back. Samples
// are never altered, so the Values argument makes no difference.
//
// S is the scrape interval of a replica: see FollowWindow. A replica is there at a
// time if it has a sample, and no stale marker after it, within three quarters of
// S before. What it promises of n replicas:
//
//  1. Every sample is some replica's sample, unaltered but for counter reset
//     hints of histograms, and times ascend.
//  2. Where a replica has samples at distances of S, no distance is longer than
//     2 S, S being the longest of the replicas'. Jitter comes on top.
//  3. Where it changes over, samples below the last one that was returned are
//     left out for at most three quarters of S, while their replica itself shows
//     no drop; and after a drop, samples above it of a replica that has not seen
//     it yet. A replica's drop that another one has shown already counts as the
//     same. So a counter drops once where it was reset, and nowhere else, as long
//     as what replicas scrape is at most half an S older than its time; and what
//     it increases by over 4 S and more lies between what it does in the replicas
//     that are complete there, widened by an S at each edge and each reset.
//  4. What is returned at a time depends only on the samples in the four windows
//     before, whatever S is. So a query that begins earlier has the same samples,
//     from there on, whatever the chunks are and in whichever order they came.
//     Where 2 and 3 cannot be kept beside it, for a whole window in which replicas
//     undo what others have shown, they give way where the next one begins.
//     The hint of a histogram is about the sample before it, and unknown where
//     a query has none.
//  5. Merged with itself, a replica comes out as it is.
//  6. All kinds of samples are treated alike; of histograms the counts are
//     compared. A stale marker comes out if no replica is left, that is, none has
//     a sample within S before it that no marker of its own follows.
//
// A histogram whose predecessor in the result is not its predecessor in its
// replica has its counter reset hint set to unknown, gauge histograms excepted.
//
// A replica that ends with an error is taken for exhausted: the others go on, and
// Err returns the error afterwards.
//
// Cost: a few comparisons for each sample beside decoding it; no memory that
// depends on their number. Replicas that are a FloatRunner are merged up to 128
// samples ahead.
type Follow struct{}

// String returns "follow".
func (Follow) String() string { return followName }

// Merge implements Algorithm.
func (Follow) Merge(reuse chunkenc.Iterator, _ Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	if len(replicas) < 2 {
		return mergeFew(reuse, replicas)
	}
	it, ok := reuse.(*followIterator)
	if !ok {
		it = &followIterator{}
	}
	it.cursors = openCursors(reuse, replicas)
	it.presences.reset(len(replicas))
	it.cur, it.vt, it.t, it.begun, it.returned = nil, chunkenc.ValNone, math.MinInt64, false, -1
	it.ahead.reset()
	it.apart = 0
	return it
}

type followIterator struct {
	cursors
	presences presences
	// begun is whether the replicas' iterators are on samples.
	begun bool
	// returned is the replica whose sample came out last, unless that is not its
	// latest any more; -1 if there is none.
	returned int
	// cur is the replica whose sample is the current one; it is still on it,
	// unless the sample is of ahead. It is nil before the first and after the last.
	cur *cursor
	// The current sample: its type, time and, if a float, value; and whether its
	// predecessor in the replica was the one before it.
	vt      chunkenc.ValueType
	t       int64
	v       float64
	spliced bool
	// ahead are floats that were merged already and come next. apart is how many of
	// them in a row were not taken together with any other.
	ahead floats
	apart int
	// scratch is for counts of histograms. It is memory of this iterator alone: what
	// an iterator returns where none is given may be its own.
	scratch histogram.FloatHistogram
}

// Next implements chunkenc.Iterator.
func (it *followIterator) Next() chunkenc.ValueType {
	if a := &it.ahead; a.next < len(a.ts) || it.runs(a) {
		it.t, it.v, it.vt = a.ts[a.next], a.vs[a.next], chunkenc.ValFloat
		a.next++
		return chunkenc.ValFloat
	}
	it.step()
	return it.vt
}

// step moves to the next sample that comes out, if there is one.
func (it *followIterator) step() {
	it.begin()
	for {
		i := it.earliest()
		if i < 0 {
			it.cur, it.vt = nil, chunkenc.ValNone
			return
		}
		c := &it.cursors[i]
		if it.take(i, c) {
			it.cur, it.vt, it.v = c, c.vt, c.v
			return
		}
		c.next()
	}
}

// begin leaves the current sample, so that the replicas' iterators are on samples
// that were not taken yet.
func (it *followIterator) begin() {
	switch {
	case !it.begun:
		it.begun = true
		for i := range it.cursors {
			it.cursors[i].next()
		}
	case it.cur != nil:
		it.cur.next()
		it.cur = nil
	}
}

// earliest returns the replica with the earliest sample, the first of several;
// -1 if all are exhausted.
func (it *followIterator) earliest() int {
	first, t := -1, int64(math.MaxInt64)
	for i := range it.cursors {
		if c := &it.cursors[i]; (c.t < t || first < 0) && c.vt != chunkenc.ValNone {
			first, t = i, c.t
		}
	}
	return first
}

// take takes note of the sample that replica i is on, and reports whether it comes
// out.
func (it *followIterator) take(i int, c *cursor) bool {
	ps := &it.presences
	p := &ps.of[i]
	ps.enter(c.t)
	if c.t <= p.last && p.last != never {
		return false // A replica is in order, or its own fault.
	}
	var out bool
	if c.vt == chunkenc.ValFloat && isStale(c.v) {
		p.marked(c.t)
		out = it.none(i, c.t)
	} else {
		out = ps.observe(i, it.read(c))
	}
	ps.settle()
	if !out || c.t <= it.t && it.vt != chunkenc.ValNone {
		if it.returned == i {
			it.returned = -1
		}
		return false
	}
	it.spliced, it.returned, it.t = it.returned != i, i, c.t
	c.credit(1)
	return true
}

// read returns the cursor's sample.
func (it *followIterator) read(c *cursor) sample {
	s := sample{t: c.t, kind: c.vt, v: c.v}
	if c.vt != chunkenc.ValFloat {
		c.it.AtFloatHistogram(&it.scratch)
		s.kind, s.v = chunkenc.ValFloatHistogram, it.scratch.Count
		s.gauge = it.scratch.CounterResetHint == histogram.GaugeType
	}
	return s
}

// none reports whether no replica but i has the series left at t.
func (it *followIterator) none(i int, t int64) bool {
	for j := range it.cursors {
		if j == i {
			continue
		}
		c := &it.cursors[j]
		if c.vt != chunkenc.ValNone && c.t == t { // not observed yet
			if c.vt != chunkenc.ValFloat || !isStale(c.v) {
				return false
			}
			continue
		}
		if it.presences.of[j].left(t) {
			return false
		}
	}
	return true
}

// Seek implements chunkenc.Iterator. It steps, since which sample comes next
// depends on the ones before it.
func (it *followIterator) Seek(t int64) chunkenc.ValueType {
	for it.vt == chunkenc.ValNone || it.t < t {
		if it.Next() == chunkenc.ValNone {
			return chunkenc.ValNone
		}
	}
	return it.vt
}

// At implements chunkenc.Iterator.
func (it *followIterator) At() (int64, float64) { return it.t, it.v }

// AtHistogram implements chunkenc.Iterator.
func (it *followIterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	t, h := it.cur.it.AtHistogram(h)
	if it.spliced && h.CounterResetHint != histogram.GaugeType {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	return t, h
}

// AtFloatHistogram implements chunkenc.Iterator.
func (it *followIterator) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	t, h := it.cur.it.AtFloatHistogram(h)
	if it.spliced && h.CounterResetHint != histogram.GaugeType {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	return t, h
}

// AtT implements chunkenc.Iterator.
func (it *followIterator) AtT() int64 { return it.t }

// AtST returns the current sample's start timestamp in ms, 0 if unknown.
// chunkenc.Iterator has it since Prometheus v0.310.
func (it *followIterator) AtST() int64 {
	if it.cur == nil {
		return 0
	}
	return it.cur.startTime()
}

// Err implements chunkenc.Iterator. Of several replicas' errors it returns the
// one of the first.
func (it *followIterator) Err() error { return it.err() }
