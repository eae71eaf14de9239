package dedup_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
)

// brokenAlgorithm is one that breaks some rules.
type brokenAlgorithm struct {
	alg    dedup.Algorithm
	breaks []string
	// unordered leaves replicas as they arrive.
	unordered bool
}

// broken are algorithms of other kinds.
var broken = map[string]brokenAlgorithm{
	"the first replica alone": {alg: only(0), breaks: []string{"2 gaps", "3 increase"}},
	"chain":                   {alg: dedup.Chain{}, breaks: []string{"3 drops", "6 stale markers"}},
	"penalty":                 {alg: dedup.Penalty{}, breaks: []string{"2 gaps", "4 start", "6 hints"}},
	"counters raised":         {alg: raising{}, breaks: []string{"1 samples of replicas"}},
	"chain, one late":         {alg: delaying{}, breaks: []string{"5 itself"}},
	"the first of each run":   {alg: hasty{}, breaks: []string{"4 chunks"}},
	"any order":               {alg: dedup.Follow{}, breaks: []string{"4 arrival"}, unordered: true},
}

// without is which rules Follow breaks without the code that keeps them.
var without = map[string][]string{
	"times that ascend": {"1 samples of replicas", "5 itself"},
	"standing in":       {"2 gaps", "3 increase"},
	"out of line":       {"3 drops", "3 increase"},
	"windows":           {"4 start"},
	"who is left":       {"6 stale markers"},
	"splicing":          {"6 hints"},
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

// hasty forgets what is behind the first sample of a run.
type hasty struct{}

func (hasty) Merge(_ chunkenc.Iterator, v dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	its := make([]chunkenc.Iterable, len(replicas))
	for i, r := range replicas {
		its[i] = hastyReplica{r}
	}
	return dedup.Follow{}.Merge(nil, v, its...)
}

type hastyReplica struct{ chunkenc.Iterable }

func (r hastyReplica) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return hastyIterator{r.Iterable.Iterator(nil)}
}

type hastyIterator struct{ chunkenc.Iterator }

func (it hastyIterator) Next() chunkenc.ValueType {
	vt := it.Iterator.Next()
	if r, ok := it.Iterator.(dedup.FloatRunner); ok && vt == chunkenc.ValFloat {
		r.FloatRun()
	}
	return vt
}

// TestRulesAreBroken shows that each rule finds the algorithms that break it, and
// that Follow breaks it without the code by which it keeps it.
func TestRulesAreBroken(t *testing.T) {
	t.Parallel()
	all := maps.Clone(broken)
	for name, alg := range dedup.Without() {
		all["without "+name] = brokenAlgorithm{alg: alg, breaks: without[name]}
	}
	caught := map[string]bool{}
	for name, b := range all {
		found := brokenRules(t, b)
		t.Logf("%s: %v", name, found)
		if len(b.breaks) == 0 {
			t.Errorf("%s breaks no rule", name)
		}
		for _, rule := range b.breaks {
			caught[rule] = true
			if found[rule] == 0 {
				t.Errorf("%s does not break rule %s", name, rule)
			}
		}
	}
	for _, r := range rules {
		if !caught[r.name] {
			t.Errorf("nothing breaks rule %s", r.name)
		}
	}
}

// brokenRules counts the scenes in which each rule is broken that should be, until
// all were.
func brokenRules(t *testing.T, b brokenAlgorithm) map[string]int {
	t.Helper()
	found := map[string]int{}
	for seed := range uint64(1000) {
		if !slices.ContainsFunc(b.breaks, func(rule string) bool { return found[rule] == 0 }) {
			break
		}
		s := newScene(rand.New(rand.NewPCG(seed, 5)))
		if b.unordered {
			s.order = dedup.Replicas{}
		}
		out, err := mergeAll(b.alg, s.replicas...)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			if slices.Contains(b.breaks, r.name) && r.check(s, b.alg, out) != nil {
				found[r.name]++
			}
		}
	}
	return found
}
