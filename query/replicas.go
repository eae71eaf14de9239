package query

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/internal/encoded"
)

// replicaTable numbers the replicas that a select comes across, from 0 on. A
// series without any replica label is of one, too, which has no labels.
type replicaTable struct {
	names []string // of replica labels
	sets  []labels.Labels
	byKey map[string]int32

	// last is the number of the replica that lastKey, its replica labels in
	// canonical form, is of.
	last         int32
	lastKey, key []byte
	scratch      labels.ScratchBuilder
}

func newReplicaTable(names []string) replicaTable {
	return replicaTable{names: names, scratch: labels.NewScratchBuilder(0)}
}

// of returns the number of the replica that a label set in canonical form is of,
// and whether any of its labels is a replica label.
func (t *replicaTable) of(lset []byte) (n int32, has bool) {
	t.key = t.key[:0]
	encoded.Each(lset, func(name, value []byte) bool {
		if t.isReplicaLabel(name) {
			has = true
			if len(value) > 0 {
				t.key = encoded.AppendLabel(t.key, name, value)
			}
		}
		return true
	})
	if len(t.sets) > 0 && string(t.key) == string(t.lastKey) {
		return t.last, has
	}
	n, ok := t.byKey[string(t.key)]
	if !ok {
		if t.byKey == nil {
			t.byKey = map[string]int32{}
		}
		n = int32(len(t.sets))
		t.byKey[string(t.key)] = n
		t.sets = append(t.sets, encoded.Labels(t.key, &t.scratch))
	}
	t.last, t.lastKey, t.key = n, t.key, t.lastKey
	return n, has
}

func (t *replicaTable) isReplicaLabel(name []byte) bool {
	return slices.ContainsFunc(t.names, func(n string) bool { return n == string(name) })
}

// ranks are the places of replicas, by number, in the order in which they are
// merged.
type ranks struct {
	preferred, others []int32
	// given are matchers of labels that are no replica labels: where they do not
	// all match a series, no replica of it is preferred.
	given []*labels.Matcher
}

// ranks returns the order of the replicas.
func (t *replicaTable) ranks(prefer []*labels.Matcher) ranks {
	var r ranks
	var own []*labels.Matcher
	for _, m := range prefer {
		if slices.Contains(t.names, m.Name) {
			own = append(own, m)
		} else {
			r.given = append(r.given, m)
		}
	}
	r.others = t.rank(&dedup.Replicas{Labels: t.names})
	if r.preferred = r.others; len(own) > 0 {
		r.preferred = t.rank(&dedup.Replicas{Labels: t.names, Prefer: own})
	}
	return r
}

func (t *replicaTable) rank(by *dedup.Replicas) []int32 {
	numbers := make([]int32, len(t.sets))
	for i := range numbers {
		numbers[i] = int32(i)
	}
	slices.SortFunc(numbers, func(a, b int32) int { return by.Compare(t.sets[a], t.sets[b]) })
	out := make([]int32, len(numbers))
	for place, n := range numbers {
		out[n] = int32(place)
	}
	return out
}

// of returns the places of replicas of a series.
func (r *ranks) of(lset labels.Labels) []int32 {
	for _, m := range r.given {
		if !m.Matches(lset.Get(m.Name)) {
			return r.others
		}
	}
	return r.preferred
}
