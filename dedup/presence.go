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
// Where there are fewer than two it is the smallest of any replica's, of those
// that have no median the smaller one of the latest two distances.
const FollowWindow = 5 * time.Minute

const (
	window = int64(FollowWindow / time.Millisecond)
	never  = math.MinInt64
)

func isStale(v float64) bool { return value.IsStaleNaN(v) }

// sample is what Follow looks at of a sample.
type sample struct {
	t    int64
	kind chunkenc.ValueType // of histograms ValFloatHistogram
	v    float64            // of histograms the count
	// gauge is whether it is a gauge histogram, of which nothing can be said to
	// drop.
	gauge bool
}

// presence is what is known of a replica when all samples up to a time were
// observed. No time in it has an effect on what happens more than a window
// later.
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

	// interval is the scrape interval in this window, in ms; 0 if nothing was known
	// at its beginning.
	interval int64
	// distance is that of the latest two samples, before that of the two before
	// them; 0 if it is longer than a window.
	distance, before int64
	// distances are the first n of this window.
	distances [5]int64
	n         int
	// returned is whether the latest sample came out, and none did after it.
	returned bool
}

// presences are those of all replicas of a series, in the caller's order. All
// that Follow decides is decided here, from samples that are observed in order of
// time, those at the same time in order of the replicas.
type presences struct {
	of     []presence
	bucket int64 // which window it is
	begun  bool
	// out is the time of the latest sample that it was decided should come out;
	// never if there is none.
	//
	// Decisions depend on those before. Lest that go on for ever, each window begins
	// as if the first replica that missed no scrape then had been followed. Until
	// the first decision in it, what comes out may differ a little from what was
	// decided.
	out int64
	// cover is that time, or later that of a sample in whose place it came.
	cover int64
	// real is the latest sample that came out, and from whose it is; -1 if there is
	// none. drop is the time of the latest that was below the one before.
	real sample
	from int
	drop int64
	// leftOut is whether something was left out in this window in spite of the
	// decision. That happens once, or decision and result might never meet.
	leftOut bool
}

// enter goes on to the window of t.
func (ps *presences) enter(t int64) {
	b := floorDiv(t, window)
	if ps.begun && b == ps.bucket {
		return
	}
	for i := range ps.of {
		p := &ps.of[i]
		p.interval = 0
		if ps.begun && b == ps.bucket+1 && p.n > 1 {
			d := p.distances[:p.n]
			slices.Sort(d)
			p.interval = d[(p.n-1)/2]
		}
		p.n = 0
	}
	ps.bucket, ps.out, ps.leftOut = b, never, false
	for i := range ps.of {
		ps.of[i].out.t = never
	}
	for i := range ps.of {
		if p := &ps.of[i]; ps.begun && ps.heldOn(i, b*window) {
			p.out, ps.out, ps.cover = p.real, p.real.t, p.real.t
			break
		}
	}
	ps.begun = true
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// scrapeInterval is S of replica i at t, in ms; 0 if nothing is known of any
// replica's.
func (ps *presences) scrapeInterval(i int, t int64) int64 {
	p := &ps.of[i]
	if p.interval > 0 {
		return p.interval
	}
	least := int64(0)
	for j := range ps.of {
		d := ps.of[j].interval
		if d == 0 {
			d = ps.of[j].latest(t)
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

// there reports whether replica i need not be stood in for at t.
func (ps *presences) there(i int, t int64) bool {
	p := &ps.of[i]
	if p.last == never || p.stale || t-p.last >= window {
		return false
	}
	interval := ps.scrapeInterval(i, t)
	return interval == 0 || t-p.last < interval*3/4
}

// heldOn reports whether replica i may have been followed up to t: whether it
// missed no scrape.
func (ps *presences) heldOn(i int, t int64) bool {
	p := &ps.of[i]
	if p.last == never || p.stale || t-p.last >= window {
		return false
	}
	interval := ps.scrapeInterval(i, t)
	return interval == 0 || t-p.last < interval*5/4
}

// left reports whether replica i still has the series at t.
func (ps *presences) left(i int, t int64) bool {
	p := &ps.of[i]
	if p.last == never || p.stale || t-p.last >= window {
		return false
	}
	interval := p.interval
	if interval == 0 {
		interval = p.latest(t) // others' may be shorter
	}
	return interval == 0 || t-p.last <= interval
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
	if p.below(s, p.real) && p.last != never && s.t-p.real.t <= window {
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

// noteRun is noteFloat for samples one after the other, none of them a stale
// marker.
func (p *presence) noteRun(ts []int64, vs []float64, from int64) {
	i := 0
	for ; i < len(ts) && (i == 0 || p.n < len(p.distances)); i++ {
		p.noteFloat(ts[i], vs[i], from)
	}
	if i == len(ts) {
		return
	}
	// What is left are drops, and what the last one leaves behind. All are in one
	// window.
	last, v := p.last, p.real.v
	vs = vs[:len(ts)]
	for ; i < len(ts); i++ {
		if vs[i] < v {
			p.drop, p.dropFrom = ts[i], last
		}
		p.before, p.distance = p.distance, ts[i]-last
		last, v = ts[i], vs[i]
	}
	p.last, p.real.t, p.real.v = last, last, v
}

// below reports whether a is less than b, as a counter would be after a reset.
func (*presence) below(a, b sample) bool {
	return a.v < b.v && a.kind == b.kind && !a.gauge && !b.gauge
}

// marked takes note of a stale marker.
func (p *presence) marked(t int64) { p.last, p.stale = t, true }

// observe takes note of a sample of replica i, which is no stale marker, and
// reports whether it comes out.
func (ps *presences) observe(i int, s sample) bool {
	p := &ps.of[i]
	p.note(s, ps.bucket*window)
	comesOut, within, most := ps.decide(i, s)
	if ps.from >= 0 && ps.real.t != ps.out {
		// What came out is not what was decided on: a window has begun.
		if ps.from != i && p.outOfLine(s, ps.real, max(ps.drop, ps.of[ps.from].drop), within, ps.leftOut) {
			ps.leftOut = ps.leftOut || comesOut
			return false
		}
		comesOut = comesOut || s.t-ps.real.t >= most
	}
	if comesOut {
		if ps.from >= 0 && p.below(s, ps.real) {
			ps.drop = s.t
		}
		ps.real, ps.from = s, i
	}
	return comesOut
}

// decide decides whether s, the latest sample of replica i, comes out. If not, most
// is how long, in ms, nothing else may have; within is what is recent to i.
func (ps *presences) decide(i int, s sample) (comesOut bool, within, most int64) {
	p := &ps.of[i]
	interval := ps.scrapeInterval(i, s.t)
	if within = interval * 3 / 4; within == 0 {
		within = window
	}
	for h := range i {
		if most = ps.scrapeInterval(h, s.t); ps.there(h, s.t) && ps.covered(s.t, most) {
			return false, within, most
		}
	}
	for j := range ps.of {
		q := &ps.of[j]
		if j == i || q.out.t == never {
			continue
		}
		if j > i && s.t-q.out.t < interval/4 {
			ps.cover = s.t // That one came in its place.
			return false, within, interval
		}
		if p.outOfLine(s, q.out, max(ps.drop, q.drop), within, false) {
			return false, within, interval
		}
	}
	p.out, ps.out, ps.cover = s, s.t, s.t
	return true, within, interval
}

// covered reports whether something came out so recently that a replica which is
// there, of the given scrape interval, can be waited for.
func (ps *presences) covered(t, interval int64) bool {
	return ps.out != never && (interval == 0 || t-ps.cover < interval*3/4 && t-ps.out < interval)
}

// outOfLine reports whether s, p's latest sample, seems to undo what the sample was
// of another replica has shown within so many ms before: an increase that p has not
// seen yet, or a drop, the latest of which was at drop. A drop of p's that has been
// shown already counts if own says so.
func (p *presence) outOfLine(s, was sample, drop, within int64, own bool) bool {
	if s.t-was.t >= within {
		return false
	}
	if p.below(s, was) {
		dropped := p.drop != never && p.drop > was.t-within
		return !dropped || !own && drop != never && drop > p.dropFrom-within
	}
	return drop != never && drop <= was.t && s.t-drop < within &&
		p.below(was, s) && (p.drop == never || p.drop <= drop-within)
}
