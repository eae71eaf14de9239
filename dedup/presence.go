package dedup

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// FollowWindow is how far Follow looks back for the scrape interval of a replica.
// Time is divided into windows of this length, aligned to the epoch. The interval
// is the median of the first five distances of samples within the window before.
// A replica that has fewer than two there is given the smallest interval of any
// replica, to which one without a median contributes the smaller of its latest two
// distances. So a replica that misses every other scrape is taken for one that
// scrapes half as often.
const FollowWindow = 5 * time.Minute

const (
	window = int64(FollowWindow / time.Millisecond)
	never  = math.MinInt64
)

func isStale(v float64) bool { return value.IsStaleNaN(v) }

// sample is what Follow looks at of a sample.
type sample struct {
	t    int64
	v    float64            // of histograms the count
	kind chunkenc.ValueType // of histograms ValFloatHistogram
	// gauge is whether it is a gauge histogram, of which nothing can be said to
	// drop.
	gauge bool
}

// below reports whether s is less than was, as a counter would be after a reset.
func (s sample) below(was sample) bool {
	return s.v < was.v && s.kind == was.kind && !s.gauge && !was.gauge
}

// presence is what is known of a replica when all samples up to a time were
// observed. Lest a start long ago makes a difference, all that is older than a window
// is forgotten where one begins: see forget.
type presence struct {
	last  int64 // of the latest sample, in ms; never if there is none
	stale bool  // whether that was a stale marker
	// The latest sample that was none.
	real sample
	// drop is when it last showed less than in the sample before, which was at
	// dropFrom.
	drop, dropFrom int64
	// out is its latest sample that it was decided should come out; out.t is never
	// if there is none in this window.
	out sample
	// bridged is whether one came out in this window that was not decided, or was it
	// that came out last when the window began.
	bridged bool

	// interval is the scrape interval in this window, in ms; 0 if nothing was known
	// at its beginning.
	interval int64
	// distance is that of the latest two samples, before that of the two before
	// them; 0 if it is longer than a window.
	distance, before int64
	// distances are the first n of this window.
	distances [5]int64
	n         int
}

// course is what one sample after another was taken from.
type course struct {
	// last is the latest sample, and from whose it is; -1 if there is none.
	last sample
	from int
	// drop is the time of the latest that was below the one before; never if there
	// is none.
	drop int64
}

var nowhere = course{last: sample{t: never}, from: -1, drop: never}

// follow goes on with sample s of replica i.
func (c *course) follow(i int, s sample) {
	if c.from >= 0 && s.t-c.last.t <= window && s.below(c.last) {
		c.drop = s.t
	}
	c.last, c.from = s, i
}

// presences are those of all replicas of a series, in the caller's order. All
// that Follow decides is decided here, from samples that are observed in order of
// time, those at the same time in order of the replicas.
//
// Decisions depend on those before. Lest that go on for ever, each window begins as
// if the first replica that missed no scrape then had been followed, and what comes
// out turns to that course within it. Of two that observe the same samples, one of
// them from some time in window 0 on, this is the same:
//
//   - n, distances, out and bridged, which begin anew with each window, and so known,
//     longest and the intervals, which are of the distances in the one before: from
//     window 2 on.
//   - last, stale and real, which are of the latest samples: from window 2 on, when
//     those of window 0 are forgotten. drop, distance and before, which compare those
//     with earlier ones, up to a window before: a window later.
//   - decided and cover, which follow from these and from nothing of an earlier
//     window: in window 3.
//   - shown and apart, which a window begins with what was decided in the one before:
//     in window 4, and so is all that comes out.
type presences struct {
	of []presence
	// The window that it is, in ms, both inclusive.
	since, until int64
	begun        bool
	// known is whether every replica has an interval in this window, longest the
	// longest scrape interval at its beginning. steady is the time after which
	// decisions are simple: see settle.
	known   bool
	longest int64
	steady  int64
	// decided is what it was decided in this window should come out. It depends on
	// this window, on what presences hold of the one before, and on nothing else.
	decided course
	// cover is the time of its latest sample, or later that of a sample in whose place
	// that came.
	cover int64
	// apart is whether something else comes out as yet, which goes on from shown:
	// what was decided in the window before, or later what came out instead.
	apart bool
	shown course
}

// reset makes room for n replicas of which nothing was observed.
func (ps *presences) reset(n int) {
	of := slices.Grow(ps.of[:0], n)[:n]
	for i := range of {
		of[i] = presence{last: never, drop: never, out: sample{t: never}}
	}
	*ps = presences{of: of, steady: math.MaxInt64, decided: nowhere, shown: nowhere}
}

// enter goes on to the window of t, and reports whether that is another one.
func (ps *presences) enter(t int64) bool {
	if ps.since <= t && t <= ps.until && ps.begun {
		return false
	}
	ps.begin(windowOf(t))
	return true
}

// begin goes on to the window from since until a time.
func (ps *presences) begin(since, until int64) {
	next := ps.begun && ps.until < since && since-ps.until == 1
	ps.known = true
	for i := range ps.of {
		p := &ps.of[i]
		p.interval = 0
		if next && p.n > 1 {
			p.interval = p.median()
		}
		p.forget(since)
		ps.known = ps.known && p.interval > 0
	}
	// What came out instead of what was decided, if it still does, is not remembered:
	// whoever began later may know nothing of it.
	ps.shown = ps.decided
	if !next {
		ps.shown = nowhere
	}
	ps.since, ps.until, ps.begun = since, until, true
	ps.decided, ps.cover = nowhere, never
	least := ps.least(since)
	ps.longest = 0
	for i := range ps.of {
		p := &ps.of[i]
		interval := p.scrapeInterval(least)
		ps.longest = max(ps.longest, interval)
		if ps.decided.from < 0 && p.heldOn(since, interval) {
			p.out = p.real
			ps.decided.follow(i, p.real)
			ps.cover = p.real.t
		}
	}
	if ps.apart = ps.shown.from >= 0 && ps.shown != ps.decided; ps.apart {
		ps.of[ps.shown.from].bridged = true
	}
	ps.settle()
}

// forget leaves of a replica what has an effect in a window from since on: nothing
// of more than a window before.
func (p *presence) forget(since int64) {
	p.n, p.distances, p.out, p.bridged = 0, [len(p.distances)]int64{}, sample{t: never}, false
	old := since - window
	if old > since { // There are no such times.
		return
	}
	if p.drop < old {
		p.drop, p.dropFrom = never, 0
	}
	if p.real.t < old {
		p.real, p.before, p.distance = sample{}, 0, 0
	}
	if p.last < old {
		p.last, p.stale = never, false
	}
}

// windowOf returns where the window of t begins and ends, both inclusive.
func windowOf(t int64) (since, until int64) {
	since = t - t%window
	if since > t { // t is negative, and was rounded towards 0
		since -= window
	}
	until = since + window - 1
	// Either may lie beyond the times that there are.
	if since > t {
		since = math.MinInt64
	}
	if until < t {
		until = math.MaxInt64
	}
	return since, until
}

// median returns that of the distances, of which there are some, the smaller one
// of two in the middle.
func (p *presence) median() int64 {
	d := p.distances
	if p.n < len(d) {
		slices.Sort(d[:p.n])
		return d[(p.n-1)/2]
	}
	// Of two pairs, neither the least of the lesser ones nor the greatest of the
	// greater ones is in the middle.
	a, b := max(min(d[0], d[1]), min(d[2], d[3])), min(max(d[0], d[1]), max(d[2], d[3]))
	return max(min(a, b), min(max(a, b), d[4]))
}

// scrapeInterval is S of a replica, in ms, given the least one of those that are
// known at a time; 0 if nothing is known of any replica's.
func (p *presence) scrapeInterval(least int64) int64 {
	if p.interval > 0 {
		return p.interval
	}
	return least
}

// least is S at t of replicas that have no median; 0 if nothing is known of any
// replica's.
func (ps *presences) least(t int64) (least int64) {
	if ps.known {
		return 0 // of no use to any
	}
	for i := range ps.of {
		p := &ps.of[i]
		d := p.interval
		if d == 0 {
			d = p.latest(t)
		}
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least
}

// latest is the smaller one of the latest two distances, since the other may be a
// gap; 0 if they are out of date.
func (p *presence) latest(t int64) int64 {
	if p.last == never || t-p.last > window {
		return 0
	}
	if p.before > 0 && p.before < p.distance && t-p.last+p.distance+p.before <= window {
		return p.before
	}
	return p.distance
}

// there reports whether a replica of the given scrape interval need not be stood
// in for at t.
func (p *presence) there(t, interval int64) bool {
	return p.heard(t) && (interval == 0 || t-p.last < interval*3/4)
}

// heldOn reports whether a replica of the given scrape interval may have been
// followed up to t: whether it missed no scrape.
func (p *presence) heldOn(t, interval int64) bool {
	return p.heard(t) && (interval == 0 || t-p.last < interval*5/4)
}

// left reports whether a replica still has the series at t. Others' intervals may
// be shorter, so they do not count.
func (p *presence) left(t int64) bool {
	interval := p.scrapeInterval(p.latest(t))
	return p.heard(t) && (interval == 0 || t-p.last <= interval)
}

// heard reports whether a replica has a sample within a window before t, and no
// stale marker after it.
func (p *presence) heard(t int64) bool {
	return p.last != never && !p.stale && t-p.last < window
}

// note takes note of a sample that is no stale marker. from is where the window
// begins.
func (p *presence) note(s sample, from int64) {
	p.before, p.distance = p.distance, 0
	if p.last != never && !p.stale && s.t-p.last <= window {
		p.distance = s.t - p.last
		if p.last >= from && p.n < len(p.distances) {
			p.distances[p.n] = p.distance
			p.n++
		}
	}
	if s.below(p.real) && p.last != never && s.t-p.real.t <= window {
		p.drop, p.dropFrom = s.t, p.real.t
	}
	p.last, p.stale, p.real = s.t, false, s
}

// noteFloat is note for a float.
func (p *presence) noteFloat(t int64, v float64, from int64) {
	if p.stale || p.last == never || t-p.last > window || p.real.kind != chunkenc.ValFloat {
		p.note(sample{t: t, kind: chunkenc.ValFloat, v: v}, from)
		return
	}
	p.before, p.distance = p.distance, t-p.last
	if p.n < len(p.distances) && p.last >= from {
		p.distances[p.n] = p.distance
		p.n++
	}
	if v < p.real.v {
		p.drop, p.dropFrom = t, p.real.t
	}
	p.last, p.real.t, p.real.v = t, t, v
}

// noteRun is noteFloat for samples one after the other, all in one window and none
// of them a stale marker.
func (p *presence) noteRun(ts []int64, vs []float64, from int64) {
	n := len(ts)
	vs = vs[:n]
	p.noteFloat(ts[0], vs[0], from)
	for i := 1; i < n && p.n < len(p.distances); i++ {
		p.distances[p.n] = ts[i] - ts[i-1]
		p.n++
	}
	was := vs[0]
	for i, v := range vs {
		if v < was {
			p.drop, p.dropFrom = ts[i], ts[i-1]
		}
		was = v
	}
	switch {
	case n == 1:
		return
	case n == 2:
		p.before = p.distance
	default:
		p.before = ts[n-2] - ts[n-3]
	}
	p.distance, p.last = ts[n-1]-ts[n-2], ts[n-1]
	p.real.t, p.real.v = p.last, was
}

// marked takes note of a stale marker.
func (p *presence) marked(t int64) {
	if t-p.real.t > window { // What was before the silence is forgotten.
		p.before, p.distance = 0, 0
	}
	p.last, p.stale = t, true
}

// observe takes note of a sample of replica i, which is no stale marker, and
// reports whether it comes out.
func (ps *presences) observe(i int, s sample) bool {
	p := &ps.of[i]
	p.note(s, ps.since)
	least := ps.least(s.t)
	due := ps.decide(i, s, least)
	if due {
		ps.decided.follow(i, s)
		p.out, ps.cover = s, s.t
	}
	if ps.apart {
		return ps.approach(i, s, p.scrapeInterval(least), due)
	}
	return due
}

// decide decides whether s, the latest sample of replica i, should come out, given
// the least interval.
func (ps *presences) decide(i int, s sample, least int64) bool {
	p := &ps.of[i]
	interval := p.scrapeInterval(least)
	for h := range i {
		q := &ps.of[h]
		if d := q.scrapeInterval(least); q.there(s.t, d) && ps.covered(s.t, d) {
			return false
		}
	}
	for j := range ps.of {
		q := &ps.of[j]
		if j == i || q.out.t == never {
			continue
		}
		if j > i && s.t-q.out.t < interval/4 {
			ps.cover = s.t // That one came in its place.
			return false
		}
		if p.outOfLine(s, q.out, max(ps.decided.drop, q.drop), interval) {
			return false
		}
	}
	return true
}

// approach reports whether s, of replica i, comes out while something else does
// than what is decided: what is due, as soon as it is in line with that. Anything
// else that is in line comes out where its replica's next would come too late for
// rule 2, should nothing be due before; but once in a window for each replica that has
// a median, since what is due may be out of line with it in turn.
func (ps *presences) approach(i int, s sample, interval int64, due bool) bool {
	p, was := &ps.of[i], &ps.shown
	if i != was.from && p.outOfLine(s, was.last, max(was.drop, ps.of[was.from].drop), interval) {
		return false
	}
	if due {
		ps.apart = false
		return true
	}
	if p.bridged && p.interval > 0 || s.t+interval-was.last.t < 2*max(ps.longest, interval) {
		return false
	}
	p.bridged = true
	was.follow(i, s)
	return true
}

// covered reports whether something came out so recently that a replica which is
// there, of the given scrape interval, can be waited for.
func (ps *presences) covered(t, interval int64) bool {
	return ps.decided.from >= 0 && (interval == 0 || t-ps.cover < interval*3/4 && t-ps.decided.last.t < interval)
}

// outOfLine reports whether s, p's latest sample, seems to undo what the sample was
// of another replica has shown shortly before: an increase that p, of the given scrape
// interval, has not seen yet, or a drop, the latest of which was at drop. A drop of p's
// that has been shown already does not count.
func (p *presence) outOfLine(s, was sample, drop, interval int64) bool {
	within := interval * 3 / 4
	if interval == 0 {
		within = window
	}
	if s.t-was.t >= within {
		return false
	}
	if s.below(was) {
		dropped := p.drop != never && p.drop > was.t-within
		return !dropped || drop != never && drop > p.dropFrom-within
	}
	return drop != never && drop <= was.t && s.t-drop < within &&
		was.below(s) && (p.drop == never || p.drop <= drop-within)
}

// settle works out after when in this window decisions are simple: all intervals are
// known, what is decided comes out, what did last is its replica's latest, and no
// sample that another replica had come out is recent. That remains so as long as
// that replica is alone in coming out.
func (ps *presences) settle() {
	ps.steady = math.MaxInt64
	if !ps.known || ps.apart || ps.decided.from < 0 {
		return
	}
	out := ps.decided.last.t
	if ps.of[ps.decided.from].last != out {
		return
	}
	ps.steady = out
	for i := range ps.of {
		if t := ps.of[i].out.t; i != ps.decided.from && t != never {
			ps.steady = max(ps.steady, t+ps.longest)
		}
	}
}

// quiet reports whether a sample of replica i at t certainly does not come out when
// presences are steady. It has the effect of decide if so, and else none.
func (ps *presences) quiet(i int, t int64) bool {
	within, _ := ps.margins(i)
	if i > ps.decided.from && t-ps.decided.last.t < within || ps.waits(i, t) {
		return true
	}
	if i < ps.decided.from && t-ps.decided.last.t < within {
		ps.cover = t
		return true
	}
	return false
}

// waits reports whether replica i waits for one before it, at t when presences are
// steady.
func (ps *presences) waits(i int, t int64) bool {
	for h := range i {
		if q := &ps.of[h]; !q.stale && t-q.last < q.interval*3/4 && ps.covered(t, q.interval) {
			return true
		}
	}
	return false
}

// margins says which samples of replica i certainly do not come out while presences
// are steady, nor have the replica that came out last wait: those sooner than within
// after one of that, and no sooner than ahead before its next.
func (ps *presences) margins(i int) (within, ahead int64) {
	if i > ps.decided.from {
		return ps.of[ps.decided.from].interval * 3 / 4, 0
	}
	return ps.of[i].interval / 4, ps.of[i].interval * 3 / 4
}
