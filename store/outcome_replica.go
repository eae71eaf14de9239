package store

import (
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// ReplicaOutcome is what one replica gave to an answer that was deduplicated.
type ReplicaOutcome struct {
	// Labels are the replica labels that tell it apart; empty stands for series
	// that have none.
	Labels labels.Labels
	// Series is in how many series the replica was, and Samples how many samples of
	// the deduplicated series are its own. A series counts for each select that it
	// was in, a sample each time that it was merged, whether or not it was then
	// looked at. Samples that another replica has too are the first one's.
	Series, Samples int64
}

// AddReplica records what a replica gave, beside what it gave already.
func (o *Outcome) AddReplica(r ReplicaOutcome) {
	if o == nil {
		return
	}
	key := string(r.Labels.Bytes(nil))
	o.mu.Lock()
	defer o.mu.Unlock()
	if have, ok := o.replicas[key]; ok {
		r.Series, r.Samples = r.Series+have.Series, r.Samples+have.Samples
	}
	if o.replicas == nil {
		o.replicas = map[string]ReplicaOutcome{}
	}
	o.replicas[key] = r
}

// AddUnidentified records that a number of series were deduplicated without
// knowing which replica has what, because their replica labels were gone: of the
// contract of dedup.Follow, what depends on that is then best effort.
func (o *Outcome) AddUnidentified(series int64) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unidentified += series
}

// Replicas returns what replicas gave, in the order of their labels. It is known
// once the querier, or whoever deduplicates, is done.
func (o *Outcome) Replicas() []ReplicaOutcome {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.SortedFunc(maps.Values(o.replicas), func(a, b ReplicaOutcome) int { return labels.Compare(a.Labels, b.Labels) })
}

// Unidentified returns how many series were deduplicated without knowing which
// replica has what.
func (o *Outcome) Unidentified() int64 {
	if o == nil {
		return 0
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.unidentified
}
