package dedup_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

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
	resets   []int64
	rate     float64 // of a counter, per ms
	seen     coverage
}

// coverage counts what there was in scenes.
type coverage map[string]int

func (s *scene) longest() int64 { return slices.Max(s.interval) }

// newScene makes two to five replicas that scrape one target: with offsets from
// nothing to the whole interval, jitter, gaps, restarts that are seen by all or
// missed by some, and stale markers.
func newScene(rng *rand.Rand) *scene {
	s := &scene{counter: rng.IntN(3) > 0, seen: coverage{}}
	base := []int64{1000, 5000, 15_000, 30_000, 60_000}[rng.IntN(5)]
	s.slack = []int64{1, 5, base / 50, base / 10}[rng.IntN(4)] + 1
	start := int64(rng.IntN(1_000_000_000)) - 500_000_000
	length := base * int64(60+rng.IntN(240))
	histograms := rng.IntN(3) == 0
	mixed := histograms && rng.IntN(3) == 0
	if s.counter {
		for range rng.IntN(4) {
			s.resets = append(s.resets, start+rng.Int64N(length))
		}
		slices.Sort(s.resets)
	}
	rate := 1 + rng.IntN(20)
	phase := rng.Float64()
	s.rate = float64(rate) / 1000
	at := func(t int64) float64 {
		if !s.counter {
			return math.Round(100*(2+math.Sin(phase+float64(t-start)/float64(7*base)))) + float64(rng.IntN(3))
		}
		begin := start - 100*base
		for _, r := range s.resets {
			if r <= t {
				begin = r
			}
		}
		return float64(t-begin) * float64(rate) / 1000
	}
	same := rng.IntN(4) > 0
	for i := range 2 + rng.IntN(4) {
		interval := base
		if !same && rng.IntN(2) == 0 {
			interval = base * int64(1+rng.IntN(4))
			s.seen["another interval"]++
		}
		s.interval = append(s.interval, interval)
		if i > 0 && rng.IntN(8) == 0 {
			s.replicas = append(s.replicas, s.replicas[i-1])
			s.interval[i] = s.interval[i-1]
			s.seen["identical"]++
			continue
		}
		type span struct{ from, to int64 }
		var gaps []span
		for range rng.IntN(4) {
			from := start + rng.Int64N(length)
			gaps = append(gaps, span{from, from + rng.Int64N(20*interval)})
			s.seen["gap"]++
		}
		// What is scraped may be older than its time says.
		lag := []int64{0, 0, rng.Int64N(base / 2), rng.Int64N(base / 20)}[rng.IntN(4)]
		if lag > 0 {
			s.lag = max(s.lag, lag)
			s.seen["lag"]++
		}
		var r deduptest.Replica
		down := false
		for t := start + rng.Int64N(interval); t < start+length; t += interval {
			t := t + rng.Int64N(s.slack) - s.slack/2
			was := down
			down = slices.ContainsFunc(gaps, func(g span) bool { return g.from <= t && t < g.to })
			if down {
				if !was && rng.IntN(3) == 0 {
					r = append(r, deduptest.Sample{T: t, Type: chunkenc.ValFloat, V: math.Float64frombits(value.StaleNaN)})
					s.seen["stale marker"]++
				}
				continue
			}
			sample := deduptest.Sample{T: t, Type: chunkenc.ValFloat, V: at(t - lag)}
			if histograms && (!mixed || t-start > length/2) {
				sample.Type, sample.V = chunkenc.ValHistogram, math.Floor(sample.V)
				if !s.counter {
					sample.Hint = histogram.GaugeType
				}
				s.seen["histogram"]++
			}
			r = append(r, sample)
		}
		s.replicas = append(s.replicas, r)
	}
	s.seen["reset"] += len(s.resets)
	s.seen[fmt.Sprintf("%d replicas", len(s.replicas))]++
	if mixed {
		s.seen["both kinds"]++
	}
	return s
}

func isMarker(s deduptest.Sample) bool {
	return s.Type == chunkenc.ValFloat && value.IsStaleNaN(s.V)
}

// rule is one of the contract's.
type rule struct {
	name  string
	check func(s *scene, alg dedup.Algorithm, out []deduptest.Sample) error
}

var rules = []rule{
	{"1 samples of replicas", checkUnaltered},
	{"2 gaps", checkGaps},
	{"3 drops", checkDrops},
	{"3 increase", checkIncrease},
	{"4 start", checkStart},
	{"5 itself", checkItself},
	{"6 stale markers", checkMarkers},
}

func mergeAll(alg dedup.Algorithm, replicas ...deduptest.Replica) ([]deduptest.Sample, error) {
	return deduptest.Walk(alg.Merge(nil, dedup.Untyped, deduptest.Iterables(replicas)...))
}

// checkUnaltered: every sample is some replica's, and times ascend.
func checkUnaltered(s *scene, _ dedup.Algorithm, out []deduptest.Sample) error {
	for i, o := range out {
		if i > 0 && o.T <= out[i-1].T {
			return fmt.Errorf("%s follows %s", o, out[i-1])
		}
		if !slices.ContainsFunc(s.replicas, func(r deduptest.Replica) bool {
			at, ok := slices.BinarySearchFunc(r, o.T, func(x deduptest.Sample, t int64) int { return int(min(max(x.T-t, -1), 1)) })
			return ok && r[at].Type == o.Type && math.Float64bits(r[at].V) == math.Float64bits(o.V)
		}) {
			return fmt.Errorf("%s is in no replica", o)
		}
	}
	return nil
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

// checkGaps: no distance is longer than 2 S, but for jitter, where a replica is
// complete.
func checkGaps(s *scene, _ dedup.Algorithm, out []deduptest.Sample) error {
	for i := 1; i < len(out); i++ {
		a, b := out[i-1].T, out[i].T
		if b-a <= 2*(s.longest()+s.slack) {
			continue
		}
		for r := range s.replicas {
			if s.complete(r, a, b) {
				return fmt.Errorf("nothing from %d to %d, %.1f S, and replica %d is complete", a, b, float64(b-a)/float64(s.longest()), r)
			}
		}
	}
	return nil
}

// drops are the times of samples that are below the one before.
func drops(samples []deduptest.Sample) (out []int64) {
	var last *deduptest.Sample
	for i := range samples {
		x := &samples[i]
		if isMarker(*x) {
			continue
		}
		if last != nil && last.Type == x.Type && x.V < last.V {
			out = append(out, x.T)
		}
		last = x
	}
	return out
}

// checkDrops: of a counter, a drop comes out where the counter was reset, and once
// for each reset at most.
func checkDrops(s *scene, _ dedup.Algorithm, out []deduptest.Sample) error {
	if !s.counter {
		return nil
	}
	got := drops(out)
	if len(got) > len(s.resets) {
		return fmt.Errorf("%d drops at %v, and %d resets at %v", len(got), got, len(s.resets), s.resets)
	}
	return nil
}

// increase from a to b as Prometheus counts it, over the samples in between.
func increase(samples []deduptest.Sample, a, b int64) (sum float64) {
	var last *deduptest.Sample
	for i := range samples {
		x := &samples[i]
		if isMarker(*x) || x.T < a || x.T > b {
			continue
		}
		if last != nil {
			if x.V < last.V {
				sum += x.V
			} else {
				sum += x.V - last.V
			}
		}
		last = x
	}
	return sum
}

// checkIncrease: over 4 S and more in which a replica is complete, the increase
// lies between those of the complete replicas, widened by an S at each edge and
// at each reset, before which another replica may have the last sample.
func checkIncrease(s *scene, _ dedup.Algorithm, out []deduptest.Sample) error {
	if !s.counter || slices.ContainsFunc(out, func(x deduptest.Sample) bool { return x.Type != out[0].Type }) {
		return nil
	}
	S := s.longest() + s.slack + s.lag
	for i := 0; i < len(out); i += 7 {
		for _, length := range []int64{4 * S, 9 * S, 30 * S} {
			a, b := out[i].T, out[i].T+length
			least, most := math.Inf(1), math.Inf(-1)
			for r := range s.replicas {
				if s.complete(r, a-S, b+S) {
					least = min(least, increase(s.replicas[r], a+S, b-S))
					most = max(most, increase(s.replicas[r], a-S, b+S))
				}
			}
			if least > most {
				continue
			}
			unseen := 0.0
			for _, r := range s.resets {
				if r > a-S && r < b+S {
					unseen += s.rate * float64(S+s.slack)
				}
			}
			least, most = least-unseen, most+unseen
			if got := increase(out, a, b); got < least-1e-6*math.Abs(least) || got > most+1e-6*math.Abs(most) {
				return fmt.Errorf("increase from %d to %d is %v; the replicas have %v to %v", a, b, got, least, most)
			}
		}
	}
	return nil
}

// checkStart: what comes later than four windows after the start is the same for
// every earlier start.
func checkStart(s *scene, alg dedup.Algorithm, out []deduptest.Sample) error {
	if len(out) == 0 || s.longest() > dedup.FollowWindow.Milliseconds()/2 {
		return nil
	}
	settled := 3 * dedup.FollowWindow.Milliseconds()
	first, last := out[0].T, out[len(out)-1].T
	for k := range int64(4) {
		start := first + (last-first)*(k+1)/6 + k
		var late []deduptest.Replica
		for _, r := range s.replicas {
			at := slices.IndexFunc(r, func(x deduptest.Sample) bool { return x.T >= start })
			if at < 0 {
				at = len(r)
			}
			late = append(late, r[at:])
		}
		got, err := mergeAll(alg, late...)
		if err != nil {
			return err
		}
		after := func(ss []deduptest.Sample) []deduptest.Sample {
			return slices.DeleteFunc(slices.Clone(ss), func(x deduptest.Sample) bool { return x.T <= start+settled })
		}
		if at := deduptest.Differ(after(out), after(got)); at >= 0 {
			return fmt.Errorf("begun at %d, sample %d is another", start, at)
		}
	}
	return nil
}

// checkItself: a replica merged with itself is as it was.
func checkItself(s *scene, alg dedup.Algorithm, _ []deduptest.Sample) error {
	for i, r := range s.replicas {
		got, err := mergeAll(alg, r, r)
		if err != nil {
			return err
		}
		if at := deduptest.Differ(r, got); at >= 0 {
			return fmt.Errorf("replica %d with itself differs at sample %d", i, at)
		}
	}
	return nil
}

// checkMarkers: a stale marker comes out only if no other replica has a sample
// within S before, without a marker after it.
func checkMarkers(s *scene, _ dedup.Algorithm, out []deduptest.Sample) error {
	for _, o := range out {
		if !isMarker(o) {
			continue
		}
		alive := 0
		for i, r := range s.replicas {
			at := -1
			for j, x := range r {
				if x.T <= o.T {
					at = j
				}
			}
			if at >= 0 && !isMarker(r[at]) && o.T-r[at].T <= s.interval[i]-s.slack {
				alive++
			}
		}
		if alive > 0 {
			return fmt.Errorf("a stale marker at %d, and %d replicas still have samples", o.T, alive)
		}
	}
	return nil
}

var scenes = flag.Int("dedup.scenes", 1500, "how many scenes the contract is checked on")

// TestFollowKeepsTheContract checks every rule on many scenes, and prints what was
// in them.
func TestFollowKeepsTheContract(t *testing.T) {
	t.Parallel()
	n := *scenes
	seen := coverage{}
	for seed := range uint64(n) {
		s := newScene(rand.New(rand.NewPCG(seed, 5)))
		out, err := mergeAll(dedup.Follow{}, s.replicas...)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			if err := r.check(s, dedup.Follow{}, out); err != nil {
				t.Errorf("seed %d, %d replicas, interval %v, slack %d, counter %t: rule %s: %v", seed, len(s.replicas), s.interval, s.slack, s.counter, r.name, err)
			}
		}
		for k, v := range s.seen {
			seen[k] += v
		}
		seen["change of replica"] += changes(s, out)
	}
	t.Logf("%d scenes: %v", n, seen)
}

// changes counts how often a sample comes from a replica that the one before it
// is not in.
func changes(s *scene, out []deduptest.Sample) (n int) {
	has := func(r deduptest.Replica, t int64) bool {
		_, ok := slices.BinarySearchFunc(r, t, func(x deduptest.Sample, t int64) int { return int(min(max(x.T-t, -1), 1)) })
		return ok
	}
	for i := 1; i < len(out); i++ {
		if !slices.ContainsFunc(s.replicas, func(r deduptest.Replica) bool { return has(r, out[i].T) && has(r, out[i-1].T) }) {
			n++
		}
	}
	return n
}

// broken algorithms, each of which breaks some rules.
var broken = map[string]struct {
	alg    dedup.Algorithm
	breaks []string
}{
	"the first replica alone": {only(0), []string{"2 gaps", "3 increase"}},
	"chain":                   {dedup.Chain{}, []string{"3 drops", "6 stale markers"}},
	"penalty":                 {dedup.Penalty{}, []string{"2 gaps", "4 start"}},
	"counters raised":         {raising{}, []string{"1 samples of replicas"}},
	"chain, one late":         {delaying{}, []string{"5 itself"}},
}

// only returns one replica.
type only int

func (o only) Merge(reuse chunkenc.Iterator, _ dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	return replicas[o].Iterator(nil)
}

// raising alters values.
type raising struct{}

func (raising) Merge(reuse chunkenc.Iterator, _ dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	return dedup.Penalty{}.Merge(nil, dedup.Counters, replicas...)
}

// delaying leaves out the first sample.
type delaying struct{}

func (delaying) Merge(_ chunkenc.Iterator, v dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	it := dedup.Chain{}.Merge(nil, v, replicas...)
	it.Next()
	return it
}

// TestRulesAreBroken shows that each rule finds the algorithms that break it.
func TestRulesAreBroken(t *testing.T) {
	t.Parallel()
	for name, b := range broken {
		found := map[string]int{}
		for seed := range uint64(100) {
			s := newScene(rand.New(rand.NewPCG(seed, 5)))
			out, err := mergeAll(b.alg, s.replicas...)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rules {
				if r.check(s, b.alg, out) != nil {
					found[r.name]++
				}
			}
		}
		for _, rule := range b.breaks {
			if found[rule] == 0 {
				t.Errorf("%s does not break rule %s: %v", name, rule, found)
			}
		}
	}
}
