package dedup

import (
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// runs refills a with floats of one replica, as long as no other has a say in
// what comes out, and reports false if there are none. It takes the steps that
// step takes, without the questions whose answer is known.
func (it *followIterator) runs(a *floats) bool {
	a.reset()
	if !it.begun {
		return false
	}
	if it.cur != nil {
		it.cur.next()
		it.cur = nil
	}
	leader, until := it.leader()
	if leader < 0 {
		return false
	}
	if a.ts == nil {
		a.ts, a.vs = make([]int64, 0, maxAhead), make([]float64, 0, maxAhead)
	}
	ps := &it.presences
	from := ps.bucket * window
	p, c := &ps.of[leader], &it.cursors[leader]
	before := ps.real
	it.together(a, leader, until)
	for len(a.ts) < maxAhead && c.vt == chunkenc.ValFloat && c.t < until && !isStale(c.v) {
		if !it.passOver(leader, c.t, from) {
			break
		}
		p.noteFloat(c.t, c.v, from)
		a.ts, a.vs = append(a.ts, c.t), append(a.vs, c.v)
		ps.out, ps.cover = c.t, c.t
		c.next()
	}
	if len(a.ts) == 0 {
		return false
	}
	if first := (sample{t: a.ts[0], kind: chunkenc.ValFloat, v: a.vs[0]}); p.below(first, before) {
		ps.drop = first.t
	}
	if p.drop != never && p.drop > a.ts[0] {
		ps.drop = p.drop
	}
	p.out, ps.real, ps.from = p.real, p.real, leader
	it.returnedFrom(leader)
	c.credit(len(a.ts))
	return true
}

// together takes the steps of runs that lie within the runs that the replicas'
// iterators gave: those of the leader until a time, as long as each sample of the
// others is soon after one of them.
func (it *followIterator) together(a *floats, leader int, until int64) {
	ps := &it.presences
	p, c := &ps.of[leader], &it.cursors[leader]
	if len(c.ts) == 0 {
		return
	}
	ts, vs := c.ts[c.at:], c.vs[c.at:]
	n := min(len(ts)-1, maxAhead) // the last one of a run is left: something comes after it
	for i := range n {
		if ts[i] >= until || isStale(vs[i]) {
			n = i
			break
		}
	}
	soon := min(min(p.last, ps.cover)+p.interval*3/4, ps.out+p.interval)
	for j := leader + 1; j < len(it.cursors); j++ {
		n = it.cursors[j].after(ts[:n], soon, p.interval*3/4)
	}
	if n <= 0 {
		return
	}
	from, last := ps.bucket*window, ts[n-1]
	for j := leader + 1; j < len(it.cursors); j++ {
		q := &it.cursors[j]
		if q.vt == chunkenc.ValNone || q.t >= last {
			continue
		}
		k := q.at
		for k < len(q.ts) && q.ts[k] < last {
			k++
		}
		ps.of[j].noteRun(q.ts[q.at:k], q.vs[q.at:k], from)
		ps.of[j].returned = false
		q.at = k - 1
		q.next()
	}
	p.noteRun(ts[:n], vs[:n], from)
	a.ts, a.vs = append(a.ts, ts[:n]...), append(a.vs, vs[:n]...)
	ps.out, ps.cover = last, last
	c.moveTo(c.at + n)
}

// after returns how many of the leader's samples at ts the cursor's samples leave
// to be taken with it: as long as each of these is in the run and before soon, or,
// behind the first of ts, sooner than within after one of them, and no stale
// marker.
func (c *cursor) after(ts []int64, soon, within int64) int {
	if c.vt == chunkenc.ValNone {
		return len(ts)
	}
	if c.vt != chunkenc.ValFloat || len(c.ts) == 0 {
		for i, t := range ts {
			if t > c.t {
				return i
			}
		}
		return len(ts)
	}
	k := c.at
	for i, t := range ts {
		for ; k < len(c.ts) && c.ts[k] < t; k++ {
			if c.ts[k] >= soon || isStale(c.vs[k]) {
				return i
			}
		}
		if k == len(c.ts) {
			return i // what comes next is not known
		}
		soon = t + within
	}
	return len(ts)
}

// passOver takes note of the samples before t of the replicas after the leader,
// as long as they are floats and the leader is there, so that none comes out. It
// reports whether those were all.
func (it *followIterator) passOver(leader int, t, from int64) bool {
	ps := &it.presences
	p := &ps.of[leader]
	until := min(p.last, ps.cover) + p.interval*3/4
	until = min(until, ps.out+p.interval)
	for j := leader + 1; j < len(it.cursors); j++ {
		c, q := &it.cursors[j], &ps.of[j]
		for c.t < t && c.vt != chunkenc.ValNone {
			if c.vt != chunkenc.ValFloat || c.t >= until || isStale(c.v) || c.t <= q.last && q.last != never {
				return false
			}
			q.noteFloat(c.t, c.v, from)
			q.returned = false
			c.next()
		}
	}
	return true
}

// leader returns a replica that is on a float that comes out, whatever the others
// have, and until when they have no say; -1 if none is known to be.
func (it *followIterator) leader() (leader int, until int64) {
	ps := &it.presences
	if !ps.begun || ps.from < 0 || ps.real.t != ps.out || ps.bucket >= math.MaxInt64/window-1 {
		return -1, 0
	}
	until = (ps.bucket + 1) * window
	for i := range it.cursors {
		c, p := &it.cursors[i], &ps.of[i]
		if c.vt == chunkenc.ValNone || c.t >= until {
			continue
		}
		if c.vt != chunkenc.ValFloat || isStale(c.v) || p.interval == 0 || p.stale || p.last == never || c.t <= p.last {
			return -1, 0
		}
		for j := range ps.of {
			q := &ps.of[j]
			if j < i && ps.there(j, c.t) || j != i && q.out.t != never && c.t-q.out.t < p.interval {
				return -1, 0
			}
		}
		return i, until
	}
	return -1, 0
}
