package store

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// Info says what a Store may hold and can do. The zero value says nothing: any
// labels, any time, no optional ability.
type Info struct {
	// Component is the kind of component behind the Store, as Thanos names them
	// ("sidecar", "store", "query", ...); any other string is as good.
	Component string
	// LabelSets are external label sets: every series of the Store has all
	// labels of at least one of them. Empty says nothing.
	LabelSets []labels.Labels
	// MinTime and MaxTime bound the data, in milliseconds, both inclusive. Both
	// zero says nothing.
	MinTime, MaxTime int64
	// SupportsSharding promises that the Store obeys SeriesRequest.Shard.
	SupportsSharding bool
	// SupportsWithoutReplicaLabels promises that the Store removes the labels
	// that a request names in WithoutReplicaLabels, and sorts without them.
	SupportsWithoutReplicaLabels bool
	// TSDBs are the TSDBs behind the Store, for distributed execution.
	TSDBs []TSDBInfo
}

// TSDBInfo is the external labels of a TSDB and the range of its data in
// milliseconds, both inclusive.
type TSDBInfo struct {
	Labels           labels.Labels
	MinTime, MaxTime int64
}

// TimeRange returns the bounds of the data in milliseconds, both inclusive: all
// time if the Info says nothing.
func (i *Info) TimeRange() (mint, maxt int64) {
	if i.MinTime == 0 && i.MaxTime == 0 {
		return math.MinInt64, math.MaxInt64
	}
	return i.MinTime, i.MaxTime
}

// MayHold reports whether the Store may hold series that match all matchers and
// have data between mint and maxt, milliseconds, both inclusive. If not, why
// says which of the two rules it out.
func (i *Info) MayHold(mint, maxt int64, ms []*labels.Matcher) (ok bool, why string) {
	if lo, hi := i.TimeRange(); mint > hi || maxt < lo {
		return false, PrunedByTime
	}
	if len(i.LabelSets) == 0 {
		return true, ""
	}
	for _, lset := range i.LabelSets {
		if compatible(lset, ms) {
			return true, ""
		}
	}
	return false, PrunedByLabels
}

// compatible reports whether a series with all labels of lset may match. Only
// matchers on names that lset has can tell.
func compatible(lset labels.Labels, ms []*labels.Matcher) bool {
	for _, m := range ms {
		if v := lset.Get(m.Name); v != "" && !m.Matches(v) {
			return false
		}
	}
	return true
}
