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
	return true
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
