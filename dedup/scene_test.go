package dedup_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// scene is what replicas make of one series, of which everything is known.
type scene struct {
	replicas []deduptest.Replica
	interval []int64 // of each replica, in ms
	slack    int64   // by how much distances differ from the interval, in ms
	lag      int64   // how old values are at most, in ms
	counter  bool
	resets   []int64 // that all replicas show, unless they miss them
	own      bool    // whether there are resets that one replica shows alone
	rate     float64 // of a counter, per ms
	order    dedup.Replicas
	seen     coverage
}

// coverage counts what there was in scenes.
type coverage map[string]int

func (c coverage) add(o coverage) {
	for k, v := range o {
		c[k] += v
	}
}

func (s *scene) longest() int64 { return slices.Max(s.interval) }

// longestTaken is the longest median of the first five distances of any replica's
// samples in the windows before those from a to b: what the longest interval is taken
// for, if a replica misses every other scrape, say.
func (s *scene) longestTaken(a, b int64) (most int64) {
	w := dedup.FollowWindow.Milliseconds()
	from, _ := dedup.WindowOf(a)
	for from -= w; from+w <= b; from += w {
		for _, r := range s.replicas {
			var distances []int64
			for i := 1; i < len(r) && len(distances) < 5; i++ {
				if r[i-1].T >= from && r[i].T < from+w && !isMarker(r[i-1]) && !isMarker(r[i]) {
					distances = append(distances, r[i].T-r[i-1].T)
				}
			}
			if n := len(distances); n > 1 {
				slices.Sort(distances)
				most = max(most, distances[(n-1)/2])
			}
		}
	}
	return most
}

// timeSpan is a range of time in ms, the end exclusive.
type timeSpan struct{ from, to int64 }

// scenery is what a scene is made from.
type scenery struct {
	*scene
	rng           *rand.Rand
	base          int64 // scrape interval
	start, length int64
	phase         float64
	steady        bool   // no gaps, hardly any jitter, but values that are old
	kinds         []kind // one after the other, for equal times
}

// kind is what samples are.
type kind struct {
	vt     chunkenc.ValueType
	custom bool // buckets
}

// newScene makes two to five replicas that scrape one target: with offsets from
// nothing to the whole interval, jitter up to that, gaps and restarts, resets that
// are seen by all, missed by some or one's own, stale markers, and samples of any
// kind.
func newScene(rng *rand.Rand) *scene {
	s := &scene{counter: rng.IntN(3) > 0, order: dedup.Replicas{Labels: []string{"replica"}}, seen: coverage{}}
	g := &scenery{scene: s, rng: rng, base: pick(rng, 1000, 5000, 15_000, 30_000, 60_000), phase: rng.Float64()}
	s.slack = pick(rng, 1, 5, g.base/50, g.base/10, g.base/10, g.base) + 1
	if g.steady = rng.IntN(4) == 0; g.steady {
		s.slack = 2
		s.seen["steady"]++
	}
	if s.slack > g.base {
		s.seen["jitter of a whole interval"]++
	}
	g.start = rng.Int64N(1_000_000_000) - 500_000_000
	g.length = g.base * (60 + rng.Int64N(240))
	s.rate = float64(1+rng.IntN(20)) / 1000
	if s.counter {
		for range rng.IntN(4) {
			s.resets = append(s.resets, g.within())
		}
		slices.Sort(s.resets)
		s.seen["reset"] += len(s.resets)
	}
	g.kinds = g.newKinds()
	same := rng.IntN(4) > 0
	for i := range 2 + rng.IntN(4) {
		interval := g.base
		if !same && rng.IntN(2) == 0 {
			interval = g.base * (1 + rng.Int64N(4))
			s.seen["another interval"]++
		}
		if i > 0 && rng.IntN(8) == 0 {
			s.replicas, s.interval = append(s.replicas, s.replicas[i-1]), append(s.interval, s.interval[i-1])
			s.seen["identical"]++
			continue
		}
		s.interval = append(s.interval, interval)
		s.replicas = append(s.replicas, g.scrape(interval))
	}
	s.seen[fmt.Sprintf("%d replicas", len(s.replicas))]++
	return s
}

func pick(rng *rand.Rand, of ...int64) int64 { return of[rng.IntN(len(of))] }

// within is a time in the scene.
func (g *scenery) within() int64 { return g.start + g.rng.Int64N(g.length) }

// newKinds is what samples are: floats in most scenes, histograms, or both.
func (g *scenery) newKinds() []kind {
	if g.rng.IntN(5) > 1 {
		return []kind{{vt: chunkenc.ValFloat}}
	}
	any := []kind{{vt: chunkenc.ValHistogram}, {vt: chunkenc.ValFloatHistogram}, {chunkenc.ValHistogram, true}, {vt: chunkenc.ValFloat}}
	g.rng.Shuffle(3, func(i, j int) { any[i], any[j] = any[j], any[i] })
	if g.rng.IntN(2) == 0 {
		return any[:1]
	}
	g.rng.Shuffle(len(any), func(i, j int) { any[i], any[j] = any[j], any[i] })
	g.seen["changing kind"]++
	return any[:2+g.rng.IntN(3)]
}

// scrape is one replica's view.
func (g *scenery) scrape(interval int64) (out deduptest.Replica) {
	rng := g.rng
	gaps := g.gaps(interval)
	// What is scraped may be older than its time says, by up to half of S: of what S
	// turns out to be, if distances differ by a whole one.
	lag := pick(rng, 0, 0, rng.Int64N(g.base/2), rng.Int64N(g.base/20))
	switch {
	case g.slack > g.base:
		lag = 0
	case g.steady:
		lag = rng.Int64N(g.base / 2)
	}
	if lag > 0 {
		g.lag = max(g.lag, lag)
		g.seen["lag"]++
	}
	resets := g.resets
	if g.counter && rng.IntN(25) == 0 {
		resets = append(slices.Clone(resets), g.within())
		g.own = true
		g.seen["reset of one's own"]++
	}
	kinds := g.kinds
	if len(kinds) > 1 && rng.IntN(4) == 0 {
		kinds = kinds[:1]
		g.seen["another kind"]++
	}
	down, chunk := false, 0
	for t := g.start + rng.Int64N(interval); t < g.start+g.length; t += interval {
		t := t + rng.Int64N(g.slack) - g.slack/2
		was := down
		down = slices.ContainsFunc(gaps, func(s timeSpan) bool { return s.from <= t && t < s.to })
		if n := len(out); n > 0 && t <= out[n-1].T {
			continue
		}
		if down {
			if !was && rng.IntN(3) == 0 {
				out = append(out, deduptest.Sample{T: t, Type: chunkenc.ValFloat, V: math.Float64frombits(value.StaleNaN)})
				g.seen["stale marker"]++
			}
			continue
		}
		k := kinds[min(int((t-g.start)*int64(len(kinds))/g.length), len(kinds)-1)]
		sample := deduptest.Sample{T: t, Type: k.vt, V: g.at(t-lag, resets), Custom: k.custom}
		if k.vt != chunkenc.ValFloat {
			sample.V = math.Floor(sample.V)
			sample.Hint = g.hint(out, sample, &chunk)
		}
		out = append(out, sample)
	}
	return out
}

// gaps are the times of which a replica has nothing: it was down, or it could not
// scrape.
func (g *scenery) gaps(interval int64) (out []timeSpan) {
	if g.steady {
		return nil
	}
	for range g.rng.IntN(4) {
		from := g.within()
		out = append(out, timeSpan{from, from + g.rng.Int64N(20*interval)})
		g.seen["gap"]++
	}
	if g.rng.IntN(4) == 0 { // scrapes missed just where windows begin, when followers are chosen anew
		w := dedup.FollowWindow.Milliseconds()
		for at := g.start - g.start%w; at < g.start+g.length; at += w {
			if g.rng.IntN(3) > 0 {
				from := at + g.rng.Int64N(4*interval) - 2*interval
				out = append(out, timeSpan{from, from + g.rng.Int64N(3*interval)})
				g.seen["gap where a window begins"]++
			}
		}
	}
	if len(g.resets) > 0 && g.rng.IntN(4) == 0 { // a restart, seen from when it was up again
		at := g.resets[g.rng.IntN(len(g.resets))]
		out = append(out, timeSpan{at - g.rng.Int64N(2*interval), at + g.rng.Int64N(5*interval)})
		g.seen["restart in a gap"]++
	}
	return out
}

// at is the value at a time.
func (g *scenery) at(t int64, resets []int64) float64 {
	if !g.counter {
		return math.Round(100*(2+math.Sin(g.phase+float64(t-g.start)/float64(7*g.base)))) + float64(g.rng.IntN(3))
	}
	begin := g.start - 100*g.base
	for _, r := range resets {
		if r <= t {
			begin = max(begin, r)
		}
	}
	return float64(t-begin) * g.rate
}

// hint is what a Prometheus says of a histogram that follows others of a replica, in
// chunks that begin anywhere.
func (g *scenery) hint(before deduptest.Replica, s deduptest.Sample, chunk *int) histogram.CounterResetHint {
	g.seen["histogram"]++
	if s.Custom {
		g.seen["custom buckets"]++
	}
	if !g.counter {
		return histogram.GaugeType
	}
	*chunk--
	n := len(before)
	switch {
	case n == 0 || before[n-1].Type != s.Type || before[n-1].Custom != s.Custom || *chunk < 0 && before[n-1].V <= s.V:
		*chunk = g.rng.IntN(60)
		return histogram.UnknownCounterReset
	case before[n-1].V > s.V:
		*chunk = g.rng.IntN(60)
		g.seen["histogram reset"]++
		return histogram.CounterReset
	}
	return histogram.NotCounterReset
}

func isMarker(s deduptest.Sample) bool {
	return s.Type == chunkenc.ValFloat && value.IsStaleNaN(s.V)
}

// complete reports whether replica r has samples at distances of up to its
// interval, but for jitter, from a to b and no stale marker.
func (s *scene) complete(r int, a, b int64) bool {
	most := s.interval[r] + s.slack
	last, begun := int64(0), false
	for _, x := range s.replicas[r] {
		if isMarker(x) {
			if x.T >= a && x.T <= b {
				return false
			}
			continue
		}
		if x.T <= a {
			last, begun = x.T, a-x.T <= most
			continue
		}
		if !begun || x.T-last > most {
			return false
		}
		if last = x.T; x.T >= b {
			return true
		}
	}
	return begun && last >= b
}
