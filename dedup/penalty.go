package dedup

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

const (
	penaltyName = "penalty"

	// firstPenalty is the penalty in ms at a fold's first sample, when there is
	// no distance of two samples to double.
	firstPenalty = 5000
)

// Penalty merges as Thanos' querier does, sample for sample and bit for bit. It
// stays on one replica and skips the samples of others for twice the distance of
// the last two samples, so that it changes over where the replica it is on has a
// gap. Before there are two samples it skips 5 s.
//
// Three or more replicas are folded from the left: the first with the second,
// the result with the third. Of samples at the same time the left one counts, so
// the result depends on the order of the replicas.
//
// With Counters, at each change of replica every replica whose float value lies
// below the last one that was returned is raised by the difference, from there
// on. Histograms are never altered, their counter reset hints included, which
// after a change of replica describe the replica and not the result.
//
// An iterator follows Thanos in two places where one would not expect it. Seek as
// the very first call considers only the first replica's first sample (what the
// fold of all but the last gives, if there are more), and Next after it may
// return that sample again or an earlier one of another replica. PromQL engines
// call Next first. And a replica that ends with an error is taken for exhausted:
// the others go on, and Err returns the error afterwards.
//
// It does not follow Thanos near the ends of int64, where times overflow and
// Thanos returns samples again, the one at math.MaxInt64 for ever.
//
// Cost: Replicas that are a FloatRunner are merged up to 128 samples ahead.
//
// Source: Thanos v0.42.4, pkg/dedup/iter.go. Thanos derives counters from the
// PromQL function's name (increase, rate, irate, resets); here the caller says.
type Penalty struct{}

// String returns "penalty".
func (Penalty) String() string { return penaltyName }

// Merge implements Algorithm.
func (Penalty) Merge(reuse chunkenc.Iterator, values Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	if len(replicas) < 2 {
		return mergeFew(reuse, replicas)
	}
	it, ok := reuse.(*penaltyIterator)
	if !ok {
		it = &penaltyIterator{}
	}
	it.cursors = openCursors(reuse, replicas)
	it.values = values
	it.prime()
	return it
}

// penaltyIterator folds n replicas with n-1 folds.
type penaltyIterator struct {
	cursors
	folds []fold
	// outer is the last fold, that of all replicas.
	outer  *fold
	values Values

	// The current sample: its type, time and, if a float, value.
	vt chunkenc.ValueType
	t  int64
	v  float64
	// ahead are floats that were merged already and come next.
	ahead floats
}

// prime moves each side of every fold to its first sample.
func (it *penaltyIterator) prime() {
	for i := range it.cursors {
		it.cursors[i].next()
	}
	n := len(it.cursors) - 1
	it.folds = slices.Grow(it.folds[:0], n)[:n]
	for i := range it.folds {
		f := &it.folds[i]
		*f = fold{right: &it.cursors[i+1], turn: turn{last: math.MinInt64, onLeft: true}}
		if i == 0 {
			f.leaf = &it.cursors[0]
			f.cur = f.leaf
		} else {
			f.left = &it.folds[i-1]
			f.left.next(it.values)
			f.cur = f.left.cur
		}
	}
	it.outer = &it.folds[n-1]
	it.ahead.reset()
	it.read()
}

// read takes over where the outermost fold is.
func (it *penaltyIterator) read() {
	c := it.outer.cur
	it.vt, it.t, it.v = c.vt, c.t, c.v
	if it.values == Counters {
		it.v = c.raised()
	}
}

// Next implements chunkenc.Iterator.
func (it *penaltyIterator) Next() chunkenc.ValueType {
	a := &it.ahead
	if a.next == len(a.ts) {
		if !it.outer.runs(a, it.values) {
			it.outer.next(it.values)
			it.read()
			return it.vt
		}
	}
	it.t, it.v = a.ts[a.next], a.vs[a.next]
	a.next++
	it.vt = chunkenc.ValFloat
	return chunkenc.ValFloat
}

// Seek implements chunkenc.Iterator. It steps, since which sample comes next
// depends on the ones before it.
func (it *penaltyIterator) Seek(t int64) chunkenc.ValueType {
	for it.vt == chunkenc.ValNone || it.t < t {
		if it.Next() == chunkenc.ValNone {
			return chunkenc.ValNone
		}
	}
	return it.vt
}

// At implements chunkenc.Iterator.
func (it *penaltyIterator) At() (int64, float64) { return it.t, it.v }

// AtHistogram implements chunkenc.Iterator.
func (it *penaltyIterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	return it.outer.cur.it.AtHistogram(h)
}

// AtFloatHistogram implements chunkenc.Iterator.
func (it *penaltyIterator) AtFloatHistogram(fh *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	return it.outer.cur.it.AtFloatHistogram(fh)
}

// AtT implements chunkenc.Iterator.
func (it *penaltyIterator) AtT() int64 { return it.t }

// AtST returns the current sample's start timestamp in ms, 0 if unknown.
// chunkenc.Iterator has it since Prometheus v0.310.
func (it *penaltyIterator) AtST() int64 { return it.outer.cur.startTime() }

// Err implements chunkenc.Iterator. Of several replicas' errors it returns the
// one of the first.
func (it *penaltyIterator) Err() error { return it.err() }

// fold merges two sequences of samples, of which the left one may be a fold
// itself. The result is where cur points; it is exhausted when that cursor is.
type fold struct {
	// Either left or leaf is the left side.
	left  *fold
	leaf  *cursor
	right *cursor

	cur  *cursor
	turn turn
}

// next moves to the next sample, if there is one.
func (f *fold) next(values Values) {
	if f.turn.ended() {
		f.end()
		return
	}
	wasLeft, wasFloat := f.turn.onLeft, false
	var lastValue float64
	if values == Counters && f.cur.vt == chunkenc.ValFloat {
		lastValue, wasFloat = f.cur.raised(), true
	}

	// Either side goes on to what lies after its penalty.
	l, r := f.leaf, f.right
	t := f.turn.after(f.turn.penaltyLeft)
	if f.left != nil {
		l = f.left.seek(t, values)
	} else if l.t < t && l.vt != chunkenc.ValNone {
		l.seek(t)
	}
	if t = f.turn.after(f.turn.penaltyRight); r.t < t && r.vt != chunkenc.ValNone {
		r.seek(t)
	}

	// Beside an exhausted side no penalty changes but the own.
	switch {
	case l.vt != chunkenc.ValNone && r.vt != chunkenc.ValNone:
		f.turn = f.turn.choose(l.t, r.t)
	case l.vt != chunkenc.ValNone:
		f.turn.last, f.turn.onLeft, f.turn.penaltyLeft = l.t, true, 0
	case r.vt != chunkenc.ValNone:
		f.turn.last, f.turn.onLeft, f.turn.penaltyRight = r.t, false, 0
	}
	f.cur = r
	if f.turn.onLeft {
		f.cur = l
	}
	if wasFloat && wasLeft != f.turn.onLeft {
		f.raiseTo(lastValue)
	}
}

// seek moves to the first sample at or after t and returns where that is. It
// steps, since which sample comes next depends on the ones before it.
func (f *fold) seek(t int64, values Values) *cursor {
	for f.cur.t < t && f.cur.vt != chunkenc.ValNone {
		f.next(values)
	}
	return f.cur
}

// end exhausts both sides.
func (f *fold) end() {
	if f.left == nil {
		f.leaf.vt = chunkenc.ValNone
	} else {
		f.left.end()
	}
	f.right.vt = chunkenc.ValNone
}

// raiseTo raises either side that holds a float below v. A left side that is a
// fold is entered only if its own current sample is a float.
func (f *fold) raiseTo(v float64) {
	if f.left == nil {
		f.leaf.raiseTo(v)
	} else if f.left.cur.vt == chunkenc.ValFloat {
		f.left.raiseTo(v)
	}
	f.right.raiseTo(v)
}

// turn is whose turn it is in a fold, and from when on it may be the other's.
type turn struct {
	// last is the time of the last sample, math.MinInt64 before the first.
	last int64
	// onLeft is whether that was one of the left side.
	onLeft bool
	// The time in ms after last in which samples of that side are skipped.
	penaltyLeft, penaltyRight int64
}

// choose makes the earlier of the samples that the sides have at l and r the last
// one, the left side's if equal. The side not chosen is skipped for twice the
// distance to the sample before.
func (t turn) choose(l, r int64) turn {
	if l <= r {
		return turn{last: l, onLeft: true, penaltyRight: t.penalty(l)}
	}
	return turn{last: r, penaltyLeft: t.penalty(r)}
}

// penalty may overflow, and after sees to it that time goes on.
func (t turn) penalty(at int64) int64 {
	if t.last == math.MinInt64 {
		return firstPenalty
	}
	return 2 * (at - t.last)
}

// after is the first time after the last sample and a penalty, at most
// math.MaxInt64.
func (t turn) after(penalty int64) int64 {
	if at := t.last + 1 + penalty; at > t.last {
		return at
	}
	return math.MaxInt64
}

// ended is whether no later time can be sought.
func (t turn) ended() bool { return t.last == math.MaxInt64 }

// raised is the cursor's float value after counter adjustment. It adds even
// where there is nothing to add, which turns -0 into 0 and a signalling NaN,
// such as the stale marker, into a quiet one: so does Thanos.
func (c *cursor) raised() float64 { return c.v + c.raise }

// raiseTo adds to the adjustment what is missing up to v, if the cursor holds a
// float.
func (c *cursor) raiseTo(v float64) {
	if c.vt != chunkenc.ValFloat {
		return
	}
	if have := c.raised(); v > have {
		c.raise += v - have
	}
}
