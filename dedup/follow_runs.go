package dedup

import "github.com/prometheus/prometheus/tsdb/chunkenc"

// runs refills a with the floats that come next, as step finds them, and reports
// false if there are none.
func (it *followIterator) runs(a *floats) bool {
	a.reset()
	it.begin()
	ps := &it.presences
	for len(a.ts) < maxAhead {
		i := it.earliest()
		if i < 0 {
			break
		}
		c := &it.cursors[i]
		if !c.plain() {
			break
		}
		if a.ts == nil {
			a.ts, a.vs = make([]int64, 0, maxAhead), make([]float64, 0, maxAhead)
		}
		if ps.enter(c.t) {
			it.apart = 0
		}
		if p := &ps.of[i]; c.t > ps.steady && c.t > p.last {
			switch {
			case i != ps.decided.from:
				if ps.quiet(i, c.t) {
					p.noteFloat(c.t, c.v, ps.since)
					c.next()
					continue
				}
			case ps.waits(i, c.t):
			case it.apart < 2 && len(c.ts) > 0:
				it.together(a)
				continue
			default:
				it.alone(a, []int64{c.t}, []float64{c.v})
				c.next()
				continue
			}
		}
		if it.take(i, c) {
			a.ts, a.vs, it.vt = append(a.ts, c.t), append(a.vs, c.v), chunkenc.ValFloat
		}
		c.next()
	}
	return len(a.ts) > 0
}

// takeAhead implements aheadRunner.
func (it *followIterator) takeAhead() ([]int64, []float64) {
	ts, vs := it.ahead.rest()
	if n := len(ts); n > 0 {
		it.t, it.v = ts[n-1], vs[n-1]
	}
	return ts, vs
}

// plain reports whether the cursor is on a float that is nothing else: no stale
// marker, without a start timestamp.
func (c *cursor) plain() bool {
	return c.vt == chunkenc.ValFloat && !isStale(c.v) && (c.runner != nil || c.startTime() == 0)
}

// together takes the sample of the replica that came out last, which is the earliest
// one and comes out too, with more of its run and those of the others in between,
// as long as these certainly do not come out. Presences are steady.
func (it *followIterator) together(a *floats) {
	ps := &it.presences
	c := &it.cursors[ps.decided.from]
	end := min(len(c.ts), len(c.vs), c.at+maxAhead-len(a.ts))
	ts, vs := c.ts[c.at:end], c.vs[c.at:end]
	n := len(ts)
	for j := range it.cursors {
		if j != ps.decided.from {
			within, ahead := ps.margins(j)
			n = it.cursors[j].beside(ts[:n], ps.decided.last.t, ps.of[j].last, ps.until, within, ahead, j < ps.decided.from)
		}
	}
	n = 1 + plain(ts[1:max(n, 1)], vs[1:], ts[0])
	if it.apart++; n > 1 {
		it.apart = 0
	}
	for j := range it.cursors {
		if j != ps.decided.from {
			it.passTo(j, ts[n-1], j < ps.decided.from, n)
		}
	}
	it.alone(a, ts[:n], vs[:n])
	c.at += n - 1
	c.next()
}

// alone takes samples of the replica that came out last, which come out too.
func (it *followIterator) alone(a *floats, ts []int64, vs []float64) {
	ps := &it.presences
	p := &ps.of[ps.decided.from]
	drop := p.drop
	p.noteRun(ts, vs, ps.since)
	if p.drop != drop {
		ps.decided.drop = p.drop
	}
	p.out, ps.decided.last, ps.cover = p.real, p.real, p.last
	it.returned, it.t, it.vt = ps.decided.from, p.last, chunkenc.ValFloat
	a.ts, a.vs = append(a.ts, ts...), append(a.vs, vs...)
	it.cursors[ps.decided.from].credit(len(ts))
}

// plain returns how many samples are numbers and later than the one before, the
// first later than last.
func plain(ts []int64, vs []float64, last int64) int {
	vs = vs[:len(ts)]
	for i, t := range ts {
		if t <= last || vs[i] != vs[i] {
			return i
		}
		last = t
	}
	return len(ts)
}

// beside returns how many of the leader's samples at ts, up to a time, can be taken
// with the cursor's samples before them, those at the same time if they come first,
// that is as long as these are numbers of the same run, sooner than within after the
// leader's sample before, the first of which was at out, and not later than ahead
// before its next. The cursor's sample before was at last.
func (c *cursor) beside(ts []int64, out, last, until, within, ahead int64, first bool) int {
	var rest []int64
	var vs []float64
	known := until
	if c.vt != chunkenc.ValNone {
		if c.vt == chunkenc.ValFloat && len(c.ts) > 0 {
			rest, vs = c.ts[c.at:], c.vs[c.at:]
			known = min(known, rest[len(rest)-1])
		} else {
			known = min(known, c.t)
		}
	}
	tie := int64(1)
	if first {
		tie = 0
	}
	k := 0
	for i, next := range ts {
		before := next - tie // There may be no time after next.
		for k < len(rest) && k < len(vs) && rest[k] <= before {
			t := rest[k]
			if t-out >= within || t <= last || vs[k] != vs[k] {
				return i
			}
			last = t
			k++
		}
		if next-last < ahead || before >= known {
			return i
		}
		out = next
	}
	return len(ts)
}

// passTo takes note of the samples of replica i that come before t, those at t too
// if they come first, all of which are in its run. There are about n.
func (it *followIterator) passTo(i int, t int64, first bool, n int) {
	c := &it.cursors[i]
	if c.t > t || c.t == t && !first || c.vt != chunkenc.ValFloat {
		return
	}
	if !first {
		t--
	}
	k := min(c.at+n, len(c.ts))
	for c.ts[k-1] > t {
		k--
	}
	for k < len(c.ts) && c.ts[k] <= t {
		k++
	}
	it.presences.of[i].noteRun(c.ts[c.at:k], c.vs[c.at:k], it.presences.since)
	c.at = k - 1
	c.next()
}
