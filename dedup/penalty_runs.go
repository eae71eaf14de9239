package dedup

import "math"

// maxAhead is how many samples are merged ahead of the consumer.
const maxAhead = 128

// floats are merged samples, of which those from next on are not returned yet.
type floats struct {
	ts   []int64
	vs   []float64
	next int
}

func (a *floats) reset() { a.ts, a.vs, a.next = a.ts[:0], a.vs[:0], 0 }

// rest takes all that are not returned yet, and the one that was returned last, if
// that was of them.
func (a *floats) rest() ([]int64, []float64) {
	if a.next == 0 {
		return nil, nil
	}
	from := a.next - 1
	a.next = len(a.ts)
	return a.ts[from:], a.vs[from:]
}

// takeAhead implements aheadRunner.
func (it *penaltyIterator) takeAhead() ([]int64, []float64) {
	ts, vs := it.ahead.rest()
	if n := len(ts); n > 0 {
		it.t, it.v = ts[n-1], vs[n-1]
	}
	return ts, vs
}

// runs refills a with the samples that come next, as long as the fold is one of
// two replicas and both are within a run of floats. Its steps are those of next,
// taken on slices and in local variables: with the calls that next makes, a step
// costs as much as decoding a sample. It reports false if it can take none.
func (f *fold) runs(a *floats, values Values) bool {
	a.reset()
	l, r := f.leaf, f.right
	if l == nil || len(l.ts) == 0 || len(r.ts) == 0 || f.turn.ended() {
		return false
	}
	if a.ts == nil {
		a.ts, a.vs = make([]int64, 0, maxAhead), make([]float64, 0, maxAhead)
	}
	var (
		lts, lvs, i = l.ts, l.vs[:len(l.ts)], l.at
		rts, rvs, j = r.ts, r.vs[:len(r.ts)], r.at
		ts, vs, n   = a.ts[:maxAhead], a.vs[:maxAhead], 0
		turn        = f.turn
		v           = f.cur.raised()
	)
	for n < len(ts) && n < len(vs) && !turn.ended() {
		var k int
		if turn.onLeft {
			k, j, turn = turn.stays(ts[n:], lts[i+1:], rts, j)
			i += k
			raiseAll(vs[n:n+k], lvs[i+1-k:], l.raise, values)
		} else {
			k, i, turn = turn.stays(ts[n:], rts[j+1:], lts, i)
			j += k
			raiseAll(vs[n:n+k], rvs[j+1-k:], r.raise, values)
		}
		if k > 0 {
			n += k
			v = vs[n-1]
			continue
		}
		nextI, nextJ := i, j
		for t := turn.after(turn.penaltyLeft); nextI < len(lts) && lts[nextI] < t; {
			nextI++
		}
		for t := turn.after(turn.penaltyRight); nextJ < len(rts) && rts[nextJ] < t; {
			nextJ++
		}
		if nextI >= len(lts) || nextJ >= len(rts) {
			break // The step that leaves a run is taken by next, from where this one began.
		}
		i, j = nextI, nextJ
		wasLeft := turn.onLeft
		turn = turn.choose(lts[i], rts[j])
		if turn.onLeft != wasLeft && values == Counters {
			l.v, r.v = lvs[i], rvs[j]
			f.raiseTo(v)
		}
		c := r
		v = rvs[j]
		if turn.onLeft {
			c, v = l, lvs[i]
		}
		if values == Counters {
			v += c.raise
		}
		ts[n], vs[n] = turn.last, v
		n++
	}
	l.moveTo(i)
	r.moveTo(j)
	f.turn, f.cur = turn, r
	if turn.onLeft {
		f.cur = l
	}
	a.ts, a.vs = ts[:n], vs[:n]
	return n > 0
}

// moveTo moves to sample i of the run.
func (c *cursor) moveTo(i int) { c.at, c.t, c.v = i, c.ts[i], c.vs[i] }

// raiseAll copies the values that come out, with what counter adjustment adds to them.
func raiseAll(dst, vs []float64, raise float64, values Values) {
	copy(dst, vs)
	if values != Counters {
		return
	}
	for i := range dst {
		dst[i] += raise
	}
}

// stays takes the samples that come next on the side whose turn it is, as long as they
// certainly come out: they come before the other side's penalty ends, and that side
// has samples in its run that come later. It copies their times to ts, and returns
// how many there are, at which sample the other side is then, which was at at, and
// the turn after the last of them.
func (t turn) stays(ts, own, other []int64, at int) (n, otherAt int, after turn) {
	penalty, tie := t.penaltyRight, int64(0)
	if !t.onLeft {
		penalty, tie = t.penaltyLeft, 1 // of samples at one time the left one comes out
	}
	if t.last == math.MinInt64 {
		return 0, at, t
	}
	last, until := t.last, int64(math.MinInt64)
	own = own[:min(len(own), len(ts))]
	for i, next := range own {
		free := last + 1 + penalty
		if next <= last || next > free-tie || free > other[len(other)-1] || free <= last {
			break
		}
		ts[i] = next
		n++
		penalty, last, until = 2*(next-last), next, max(until, free)
	}
	for other[at] < until {
		at++
	}
	t.last = last
	if t.onLeft {
		t.penaltyRight = penalty
	} else {
		t.penaltyLeft = penalty
	}
	return n, at, t
}
