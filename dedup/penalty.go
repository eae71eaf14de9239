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

// Penalty merges as Thanos' querier does, sample for sample and bit for bit: it
// stays on one replica and skips the others' samples for twice the distance of
// the last two samples, so that it changes over only where the replica it is on
// has a gap.
//
// Three or more replicas are folded from the left: the first with the second,
// the result with the third. Replicas that overlap by their samples' times alone
// give a result that depends on their order.
//
// With Counters, at each change of replica every replica whose float value lies
// below the last one that was returned is raised by the difference, from there
// on. Histograms are never altered, their counter reset hints included, which
// after a change of replica describe the replica and not the result.
//
// An iterator follows Thanos in two places where chunkenc.Iterator asks for
// something else. Seek as the very first call considers only the first replica's
// first sample (what the fold of all but the last gives, if there are more), and
// Next after it may return that sample again or an earlier one of another
// replica. PromQL engines call Next first. A replica that ends with an error is
// taken for exhausted and the others go on; Err returns the error afterwards.
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
	// cur is where the outermost fold is.
	cur    *cursor
	values Values
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
		*f = fold{right: &it.cursors[i+1], last: math.MinInt64, onLeft: true}
		if i == 0 {
			f.leaf = &it.cursors[0]
			f.cur = f.leaf
			continue
		}
		f.left = &it.folds[i-1]
		f.left.next(it.values)
		f.cur = f.left.cur
	}
	it.cur = it.outer().cur
}

func (it *penaltyIterator) outer() *fold { return &it.folds[len(it.folds)-1] }

// Next implements chunkenc.Iterator.
func (it *penaltyIterator) Next() chunkenc.ValueType {
	f := it.outer()
	f.next(it.values)
	it.cur = f.cur
	return it.cur.vt
}

// Seek implements chunkenc.Iterator. It steps, since which sample comes next
// depends on the ones before it.
func (it *penaltyIterator) Seek(t int64) chunkenc.ValueType {
	for it.cur.vt == chunkenc.ValNone || it.cur.t < t {
		if it.Next() == chunkenc.ValNone {
			return chunkenc.ValNone
		}
	}
	return it.cur.vt
}

// At implements chunkenc.Iterator.
func (it *penaltyIterator) At() (int64, float64) {
	if it.values == Counters {
		return it.cur.t, it.cur.raised()
	}
	return it.cur.t, it.cur.v
}

// AtHistogram implements chunkenc.Iterator.
func (it *penaltyIterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	return it.cur.it.AtHistogram(h)
}

// AtFloatHistogram implements chunkenc.Iterator.
func (it *penaltyIterator) AtFloatHistogram(fh *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	return it.cur.it.AtFloatHistogram(fh)
}

// AtT implements chunkenc.Iterator.
func (it *penaltyIterator) AtT() int64 { return it.cur.t }

// AtST returns the current sample's start timestamp in ms, 0 if unknown.
// chunkenc.Iterator has it since Prometheus v0.310.
func (it *penaltyIterator) AtST() int64 { return it.cur.startTime() }

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

	cur    *cursor
	onLeft bool
	// last is the time of the last sample, math.MinInt64 before the first.
	last int64
	// The time in ms after last in which samples of that side are skipped.
	penaltyLeft, penaltyRight int64
}

// next moves to the next sample, if there is one.
func (f *fold) next(values Values) {
	if f.last == math.MaxInt64 { // No later time can be sought.
		f.end()
		return
	}
	wasLeft, wasFloat := f.onLeft, false
	var lastValue float64
	if values == Counters && f.cur.vt == chunkenc.ValFloat {
		lastValue, wasFloat = f.cur.raised(), true
	}

	l := f.seekLeft(f.after(f.penaltyLeft), values)
	r := f.right
	if t := f.after(f.penaltyRight); r.t < t && r.vt != chunkenc.ValNone {
		r.seek(t)
	}
	f.choose(l, r)

	if wasFloat && wasLeft != f.onLeft {
		f.raiseTo(lastValue)
	}
}

// after is the first time after the last sample and a penalty, at most
// math.MaxInt64.
func (f *fold) after(penalty int64) int64 {
	if t := f.last + 1 + penalty; t > f.last {
		return t
	}
	return math.MaxInt64
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

// seekLeft moves the left side to its first sample at or after t and returns
// where it is.
func (f *fold) seekLeft(t int64, values Values) *cursor {
	if f.left == nil {
		if f.leaf.t < t && f.leaf.vt != chunkenc.ValNone {
			f.leaf.seek(t)
		}
		return f.leaf
	}
	for f.left.cur.t < t && f.left.cur.vt != chunkenc.ValNone {
		f.left.next(values)
	}
	return f.left.cur
}

// choose makes l or r the current sample, whichever is earlier, and sets the
// other's penalty. Side by side with an exhausted one, no penalty changes but
// the own.
func (f *fold) choose(l, r *cursor) {
	switch {
	case l.vt == chunkenc.ValNone:
		f.onLeft, f.cur = false, r
		if r.vt != chunkenc.ValNone {
			f.last, f.penaltyRight = r.t, 0
		}
	case r.vt == chunkenc.ValNone:
		f.onLeft, f.cur = true, l
		f.last, f.penaltyLeft = l.t, 0
	case l.t <= r.t:
		f.penaltyLeft, f.penaltyRight = 0, f.penalty(l.t)
		f.onLeft, f.cur, f.last = true, l, l.t
	default:
		f.penaltyLeft, f.penaltyRight = f.penalty(r.t), 0
		f.onLeft, f.cur, f.last = false, r, r.t
	}
}

// penalty is what the side not chosen gets for a sample at t. Where it overflows,
// after sees to it that time goes on.
func (f *fold) penalty(t int64) int64 {
	if f.last == math.MinInt64 {
		return firstPenalty
	}
	return 2 * (t - f.last)
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
