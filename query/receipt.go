package query

import (
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// answer is what a select gives, and which replicas it is of.
type answer struct {
	series []series
	// replicas are the replica labels that series came with, by the number that
	// their tracks have, and in says in how many series each is.
	replicas []labels.Labels
	in       []int64
	// unidentified is how many series are merged of tracks, since who is who was
	// not to be told.
	unidentified int64
}

// tell adds to o which replica served what so far.
func (a *answer) tell(o *store.Outcome) {
	o.AddUnidentified(a.unidentified)
	samples := make([]int64, len(a.replicas))
	for i := range a.series {
		s := &a.series[i]
		samples[s.whole.replica] += s.whole.credits.Load()
		for k := range s.tracks {
			samples[s.tracks[k].replica] += s.tracks[k].credits.Load()
		}
	}
	for n, lset := range a.replicas {
		if a.in[n] > 0 {
			o.AddReplica(store.ReplicaOutcome{Labels: lset, Series: a.in[n], Samples: samples[n]})
		}
	}
}
