package dedup_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

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
	{"4 chunks", checkBoundaries},
	{"4 arrival", checkArrival},
	{"5 itself", checkItself},
	{"6 stale markers", checkMarkers},
	{"6 hints", checkHints},
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
			if !ok {
				return false
			}
			x := r[at]
			if o.Hint == histogram.UnknownCounterReset && x.Hint != histogram.GaugeType {
				x.Hint = o.Hint
			}
			return x.Equal(o)
		}) {
			return fmt.Errorf("%s is in no replica", o)
		}
	}
	return nil
}

// checkGaps: no distance is longer than 2 S, but for jitter, where a replica is
// complete.
func checkGaps(s *scene, _ dedup.Algorithm, out []deduptest.Sample) error {
	for i := 1; i < len(out); i++ {
		a, b := out[i-1].T, out[i].T
		if b-a <= 2*(s.longest()+s.slack) || b-a <= 2*(s.longestTaken(a, b)+s.slack) {
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
// for each reset at most. Where one replica has resets of its own, another's values
// are others, and each change of replica may be a drop more.
func checkDrops(s *scene, _ dedup.Algorithm, out []deduptest.Sample) error {
	if !s.counter {
		return nil
	}
	got, most := drops(out), len(s.resets)
	if s.own {
		most += len(s.replicas) + changes(s, out)
	}
	if len(got) > most {
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
	if !s.counter || s.own || slices.ContainsFunc(out, func(x deduptest.Sample) bool { return x.Type != out[0].Type }) {
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
	settled := 4 * dedup.FollowWindow.Milliseconds()
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
		want, got := after(out), after(got)
		if len(want) > 0 && len(got) > 0 && got[0].Hint == histogram.UnknownCounterReset && want[0].Hint != histogram.GaugeType {
			want[0].Hint = got[0].Hint // It is about a sample that is not compared, or not there.
		}
		if at := deduptest.Differ(want, got); at >= 0 {
			return fmt.Errorf("begun at %d, sample %d is another", start, at)
		}
	}
	return nil
}

// checkBoundaries: however long the runs are that replicas hand out, the same comes out.
func checkBoundaries(s *scene, alg dedup.Algorithm, out []deduptest.Sample) error {
	rng := rand.New(rand.NewPCG(uint64(len(out)), 9))
	for range 2 {
		its := make([]chunkenc.Iterable, len(s.replicas))
		for i, r := range s.replicas {
			if its[i] = r; rng.IntN(4) > 0 {
				its[i] = r.Runs(1 + rng.IntN(150))
			}
		}
		got, err := deduptest.Walk(alg.Merge(nil, dedup.Untyped, its...))
		if err != nil {
			return err
		}
		if at := deduptest.Differ(out, got); at >= 0 {
			return fmt.Errorf("in other runs, sample %d is another", at)
		}
	}
	return nil
}

// checkArrival: in whichever order replicas arrive, the same comes out once they are
// in that of their labels.
func checkArrival(s *scene, alg dedup.Algorithm, out []deduptest.Sample) error {
	type arrived struct {
		labels labels.Labels
		deduptest.Replica
	}
	var all []arrived
	for i, r := range s.replicas {
		all = append(all, arrived{labels.FromStrings("replica", fmt.Sprint(i)), r})
	}
	rng := rand.New(rand.NewPCG(uint64(len(out)), 10))
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b arrived) int { return s.order.Compare(a.labels, b.labels) })
	var replicas []deduptest.Replica
	for _, a := range all {
		replicas = append(replicas, a.Replica)
	}
	got, err := mergeAll(alg, replicas...)
	if err != nil {
		return err
	}
	if at := deduptest.Differ(out, got); at >= 0 {
		return fmt.Errorf("in another order, sample %d is another", at)
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

// checkHints: a histogram that says something of the one before is behind that one.
func checkHints(s *scene, _ dedup.Algorithm, out []deduptest.Sample) error {
	for i, o := range out {
		if o.Hint != histogram.NotCounterReset && o.Hint != histogram.CounterReset {
			continue
		}
		if !slices.ContainsFunc(s.replicas, func(r deduptest.Replica) bool {
			at := slices.IndexFunc(r, o.Equal)
			return at == 0 && i == 0 || at > 0 && i > 0 && r[at-1].T == out[i-1].T
		}) {
			return fmt.Errorf("%s is not behind the sample that it is about", o)
		}
	}
	return nil
}

var scenes = flag.Int("dedup.scenes", 1000/raceDivisor, "how many scenes the contract is checked on")

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
		seen.add(s.seen)
		seen["change of replica"] += changes(s, out)
	}
	t.Logf("%d scenes: %v", n, seen)
	for _, what := range []string{
		"2 replicas", "3 replicas", "4 replicas", "5 replicas", "steady", "identical", "another interval", "jitter of a whole interval", "lag",
		"gap", "restart in a gap", "stale marker", "reset", "reset of one's own", "change of replica",
		"histogram", "histogram reset", "custom buckets", "changing kind", "another kind",
	} {
		if seen[what] < n/100 {
			t.Errorf("only %d times %q", seen[what], what)
		}
	}
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
