package fanout

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// component is what a fan-out says that it is: it does a querier's part of the
// work.
const component = "query"

// Describe returns what the members said of themselves, as one: all their label
// sets and TSDBs, and the least and greatest time. It says nothing of labels, or
// of time, if any member does not. A member that cannot be asked counts with
// what it said last, so that a reader above does not take what is missing for
// what does not exist.
//
// Members that do not remove replica labels or shard are made to, so that the
// fan-out can.
//
// Errors: that of the context only.
func (f *Store) Describe(ctx context.Context) (store.Info, error) {
	health, err := f.refresh(ctx, time.Now().Add(-f.maxAge()))
	if err != nil {
		return store.Info{}, err
	}
	out := store.Info{Component: component, SupportsSharding: true, SupportsWithoutReplicaLabels: true}
	mint, maxt := int64(math.MaxInt64), int64(math.MinInt64)
	sets := labelSets{seen: map[string]struct{}{}}
	for i := range health {
		info := &health[i].Info
		lo, hi := info.TimeRange()
		mint, maxt = min(mint, lo), max(maxt, hi)
		sets.add(info.LabelSets)
		out.TSDBs = append(out.TSDBs, info.TSDBs...)
	}
	out.LabelSets = sets.union()
	if len(health) > 0 && (mint != math.MinInt64 || maxt != math.MaxInt64) {
		out.MinTime, out.MaxTime = mint, maxt
	}
	return out, nil
}

// labelSets is a union of label sets, in the order in which they came.
type labelSets struct {
	sets []labels.Labels
	seen map[string]struct{}
	any  bool // any labels are possible
	buf  []byte
}

func (l *labelSets) add(sets []labels.Labels) {
	if len(sets) == 0 {
		l.any = true
	}
	for _, lset := range sets {
		if lset.IsEmpty() {
			l.any = true
		}
		l.buf = lset.Bytes(l.buf)
		if _, ok := l.seen[string(l.buf)]; !ok {
			l.seen[string(l.buf)] = struct{}{}
			l.sets = append(l.sets, lset)
		}
	}
}

// union is empty if any labels are possible.
func (l *labelSets) union() []labels.Labels {
	if l.any {
		return nil
	}
	return l.sets
}
