package store_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

func TestOutcomeReplicas(t *testing.T) {
	t.Parallel()
	var o store.Outcome
	a, b, none := labels.FromStrings("replica", "a"), labels.FromStrings("replica", "b"), labels.EmptyLabels()
	o.AddReplica(store.ReplicaOutcome{Labels: b, Series: 1, Samples: 10})
	o.AddReplica(store.ReplicaOutcome{Labels: none, Series: 2})
	o.AddReplica(store.ReplicaOutcome{Labels: a, Series: 3, Samples: 30})
	o.AddReplica(store.ReplicaOutcome{Labels: b, Series: 4, Samples: 40})
	o.AddUnidentified(2)
	o.AddUnidentified(3)
	testutil.Equals(t, []store.ReplicaOutcome{{Labels: none, Series: 2}, {Labels: a, Series: 3, Samples: 30}, {Labels: b, Series: 5, Samples: 50}}, o.Replicas())
	testutil.Equals(t, int64(5), o.Unidentified())
	testutil.Assert(t, o.Complete(), "who served what is not about what is missing")

	var nobody *store.Outcome
	nobody.AddReplica(store.ReplicaOutcome{Labels: a})
	nobody.AddUnidentified(1)
	testutil.Equals(t, 0, len(nobody.Replicas()))
	testutil.Equals(t, int64(0), nobody.Unidentified())
}
