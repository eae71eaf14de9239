package fanout

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// component is what a fan-out says that it is: it does a querier's part of the
// work.
const component = "query"

// Describe returns what the members said of themselves, as one: all their label
// sets, with the selector labels of the fan-out, and TSDBs, and the least and
// greatest time. It says nothing of labels, or of time, if any member does not. A
// member that cannot be asked counts with what it said last, so that a reader
// above does not take what is missing for what does not exist. For a group its
// healthy replicas speak, if there are any. Removed members do not count.
//
// Members that do not remove replica labels or shard are made to, so that the
// fan-out can.
//
// Errors: that of the context; a *store.LoopError if the question came through
// this fan-out before.
func (f *Store) Describe(ctx context.Context) (store.Info, error) {
	if err := f.looped(ctx); err != nil {
		return store.Info{}, err
	}
	set := f.members()
	health, err := f.refreshed(ctx, set.members, time.Now().Add(-f.maxAge()))
	if err != nil {
		return store.Info{}, err
	}
	infos := set.infos(health)
	out := store.Info{Component: component, SupportsSharding: true, SupportsWithoutReplicaLabels: true}
	mint, maxt := int64(math.MaxInt64), int64(math.MinInt64)
	sets := labelSets{seen: map[string]struct{}{}}
	for _, info := range infos {
		lo, hi := info.TimeRange()
		mint, maxt = min(mint, lo), max(maxt, hi)
		sets.add(info.LabelSets)
		out.TSDBs = append(out.TSDBs, info.TSDBs...)
	}
	out.LabelSets = f.announced(sets.union())
	if len(infos) > 0 && (mint != math.MinInt64 || maxt != math.MaxInt64) {
		out.MinTime, out.MaxTime = mint, maxt
	}
	return out, nil
}

// infos returns what members, and replicas that speak for their group, said.
func (s *memberSet) infos(health []Health) []store.Info {
	of := make(map[*member]Health, len(health))
	for i, m := range s.members {
		if !health[i].Removed {
			of[m] = health[i]
		}
	}
	var out []store.Info
	for _, l := range s.logical {
		var known []Health
		for _, m := range l.replicas {
			if h, ok := of[m]; ok {
				known = append(known, h)
			}
		}
		var tsdbs tsdbSet
		for _, i := range speakers(known) {
			info := known[i].Info
			if l.declared {
				info.TSDBs = tsdbs.add(info.TSDBs)
			}
			out = append(out, info)
		}
	}
	return out
}

// tsdbSet are the TSDBs behind a group, which several replicas may have.
type tsdbSet map[string]struct{}

// add returns those that are new.
func (s *tsdbSet) add(tsdbs []store.TSDBInfo) []store.TSDBInfo {
	if *s == nil {
		*s = tsdbSet{}
	}
	var out []store.TSDBInfo
	var key []byte
	for _, t := range tsdbs {
		key = t.Labels.Bytes(key)
		key = binary.AppendVarint(binary.AppendVarint(key, t.MinTime), t.MaxTime)
		if _, ok := (*s)[string(key)]; !ok {
			(*s)[string(key)] = struct{}{}
			out = append(out, t)
		}
	}
	return out
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
