package dedup

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

var WindowOf = windowOf

// Stepping returns an iterator of Follow that goes on without runs.
func Stepping(it chunkenc.Iterator) chunkenc.Iterator { return stepping{it.(*followIterator)} }

type stepping struct{ *followIterator }

func (it stepping) Next() chunkenc.ValueType {
	it.step()
	return it.vt
}

// HasRun reports whether an iterator of Follow has taken more than a step at once.
func HasRun(it chunkenc.Iterator) bool { return cap(it.(*followIterator).ahead.ts) > 0 }

// Without are algorithms that are Follow without the code that keeps a rule: around
// each sample they undo what that has found out.
func Without() map[string]Algorithm {
	return map[string]Algorithm{
		"times that ascend": crippled{before: func(it *followIterator) { it.vt = chunkenc.ValNone }},
		"standing in":       crippled{before: waitForever},
		"out of line":       crippled{before: forgetValues},
		"windows":           crippled{before: oneWindow},
		"who is left":       crippled{before: leaveAll},
		"splicing":          crippled{after: func(it *followIterator) { it.spliced = false }},
	}
}

// waitForever has the first replica be there, and everything be covered.
func waitForever(it *followIterator) {
	ps := &it.presences
	if i := it.earliest(); i > 0 && ps.of[0].last != never {
		t := it.cursors[i].t
		ps.of[0].last, ps.cover, ps.decided.last.t, ps.decided.from = t, t, t, 0
	}
}

// forgetValues has nothing be above or below anything.
func forgetValues(it *followIterator) {
	it.presences.shown.last.kind, it.presences.decided.last.kind = chunkenc.ValNone, chunkenc.ValNone
	it.each(func(p *presence) { p.real.kind, p.out.kind = chunkenc.ValNone, chunkenc.ValNone })
}

// oneWindow has the first window go on for ever: the interval of a replica is the
// median of its first distances, and what came out is never looked at anew.
func oneWindow(it *followIterator) {
	ps := &it.presences
	ps.since, ps.until = never, math.MaxInt64
	it.each(func(p *presence) {
		if p.n == len(p.distances) {
			p.interval = p.median()
		}
	})
}

// leaveAll has no replica be left when one has a stale marker.
func leaveAll(it *followIterator) {
	if c := &it.cursors[it.earliest()]; c.vt == chunkenc.ValFloat && isStale(c.v) {
		it.each(func(p *presence) { p.stale = true })
	}
}

func (it *followIterator) each(f func(*presence)) {
	for i := range it.presences.of {
		f(&it.presences.of[i])
	}
}

// crippled is Follow that something is done to around each sample that it takes.
type crippled struct{ before, after func(*followIterator) }

func (c crippled) Merge(_ chunkenc.Iterator, v Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	it := Follow{}.Merge(nil, v, replicas...)
	if f, ok := it.(*followIterator); ok {
		return crippledIterator{f, c}
	}
	return it
}

type crippledIterator struct {
	*followIterator
	crippled
}

// Next is step.
func (it crippledIterator) Next() chunkenc.ValueType {
	it.begin()
	for i := it.earliest(); i >= 0; i = it.earliest() {
		if it.before != nil {
			it.before(it.followIterator)
		}
		c := &it.cursors[i]
		out := it.take(i, c)
		if it.after != nil {
			it.after(it.followIterator)
		}
		if out {
			it.cur, it.vt, it.v = c, c.vt, c.v
			return it.vt
		}
		c.next()
	}
	it.cur, it.vt = nil, chunkenc.ValNone
	return it.vt
}

// State is a copy of all that an iterator of Follow decides by, between samples.
func State(it chunkenc.Iterator) any {
	f := it.(stepping).followIterator
	ps := f.presences
	ps.of = slices.Clone(ps.of)
	return ps
}
