package bucketstore

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// Describe announces the external labels of the blocks, the range of their data
// and, for each set of external labels, which ranges are covered without a gap.
// A Store without blocks announces a range that no request overlaps. Blocks that
// could not be loaded are announced: answers that lack them say so.
//
// Errors: ErrClosed; the context's.
func (s *Store) Describe(ctx context.Context) (store.Info, error) {
	if err := context.Cause(ctx); err != nil {
		return store.Info{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return store.Info{}, ErrClosed
	}
	now := time.Now()
	info := store.Info{
		Component: "store", MinTime: math.MaxInt64, MaxTime: math.MinInt64,
		SupportsSharding: true, SupportsWithoutReplicaLabels: true,
	}
	for _, set := range s.sets {
		for _, r := range set.covered() {
			r.MinTime, r.MaxTime = s.opts.clamp(r.MinTime, r.MaxTime, now)
			if r.MinTime > r.MaxTime { // it left a range that moves
				continue
			}
			info.MinTime, info.MaxTime = min(info.MinTime, r.MinTime), max(info.MaxTime, r.MaxTime)
			info.TSDBs = append(info.TSDBs, r)
		}
		info.LabelSets = append(info.LabelSets, set.labels)
	}
	slices.SortFunc(info.LabelSets, labels.Compare)
	slices.SortFunc(info.TSDBs, func(a, b store.TSDBInfo) int {
		return cmp.Or(labels.Compare(a.Labels, b.Labels), cmp.Compare(a.MinTime, b.MinTime))
	})
	return info, nil
}

// covered returns the ranges of the set's blocks, those that touch joined, each
// with both ends inclusive.
func (s *blockSet) covered() []store.TSDBInfo {
	var all []*loadedBlock
	for _, bs := range s.blocks {
		all = append(all, bs...)
	}
	slices.SortFunc(all, compareTimes)
	var out []store.TSDBInfo
	for _, b := range all {
		if n := len(out); n > 0 && b.meta.MinTime <= out[n-1].MaxTime+1 {
			out[n-1].MaxTime = max(out[n-1].MaxTime, b.meta.MaxTime-1)
			continue
		}
		out = append(out, store.TSDBInfo{Labels: s.labels, MinTime: b.meta.MinTime, MaxTime: b.meta.MaxTime - 1})
	}
	return out
}
