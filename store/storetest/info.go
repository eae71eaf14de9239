package storetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

func infoChecks() []check {
	return []check{
		{name: "info-labels", doc: "Every series has all labels of one of the label sets that Info announces.", run: checkInfoLabels},
		{name: "info-time-range", doc: "There is no data beyond the time range that Info announces.", run: checkInfoTimes},
		{name: checkCapabilities, doc: "What Info announces that the store can do, it does.", run: checkInfoCapabilities},
	}
}

func checkInfoLabels(ctx context.Context, p *probe) error {
	info, err := p.describe(ctx)
	if err != nil {
		return err
	}
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	if len(info.LabelSets) == 0 {
		return nil // which says nothing
	}
	for _, s := range a.series {
		if !slices.ContainsFunc(info.LabelSets, func(l labels.Labels) bool { return hasAll(s.labels, l) }) {
			return fmt.Errorf("series %s was sent, but Info announces %s: a querier that looks for it does not ask this store", s.labels, info.LabelSets)
		}
	}
	return nil
}

func hasAll(lset, of labels.Labels) bool {
	ok := true
	of.Range(func(l labels.Label) { ok = ok && lset.Get(l.Name) == l.Value })
	return ok
}

func checkInfoTimes(ctx context.Context, p *probe) error {
	info, err := p.describe(ctx)
	if err != nil {
		return err
	}
	if _, err := p.all(ctx); err != nil {
		return err
	}
	mint, maxt := info.TimeRange()
	var ranges [][2]int64
	if mint > math.MinInt64 && mint <= maxt {
		ranges = append(ranges, [2]int64{math.MinInt64, mint - 1})
	}
	if maxt < math.MaxInt64 && mint <= maxt {
		ranges = append(ranges, [2]int64{maxt + 1, math.MaxInt64})
	}
	for _, r := range ranges {
		got, err := p.ask(ctx, in(p.request(), r[0], r[1]))
		if err != nil {
			return err
		}
		for _, s := range got.series {
			out := between(s.samples(), r[0], r[1])
			if len(out) == 0 {
				continue
			}
			later, err := p.announces(ctx, out[0].t)
			if err != nil {
				return err
			}
			if !later {
				return fmt.Errorf("series %s has a sample at %d, but Info announces data from %d to %d: a querier does not ask for it", s.labels, out[0].t, mint, maxt)
			}
		}
	}
	return nil
}

// announces reports whether the time range that a Store with data of its own
// announces comes to have a moment: it grows with the data, but Info that goes
// through others takes its time.
func (p *probe) announces(ctx context.Context, t int64) (bool, error) {
	if p.fixture != nil {
		return false, nil
	}
	deadline := time.Now().Add(p.opts.Patience)
	for wait := time.Millisecond; ; wait *= 2 {
		info, err := store.Describe(ctx, p.store)
		if err != nil {
			return false, fmt.Errorf("ask for Info: %w", err)
		}
		mint, maxt := info.TimeRange()
		if holds := mint <= t && t <= maxt; holds || time.Now().After(deadline) {
			return holds, nil
		}
		if err := pause(ctx, min(wait, time.Until(deadline)+time.Millisecond)); err != nil {
			return false, err
		}
	}
}

// checkInfoCapabilities finds a store that takes no notice at all; whether it
// does right is for the checks of each capability.
func checkInfoCapabilities(ctx context.Context, p *probe) error {
	info, err := p.describe(ctx)
	if err != nil {
		return err
	}
	a, err := p.all(ctx)
	if err != nil {
		return err
	}
	if canRemoveReplicaLabels.announced(info) {
		if err := p.checkRemoves(ctx, a); err != nil {
			return err
		}
	}
	if canShard.announced(info) && len(a.series) > 1 {
		return p.checkShards(ctx, a)
	}
	return nil
}

func (p *probe) checkRemoves(ctx context.Context, a *answer) error {
	names := p.replicaLabels(a)
	had := 0
	for _, s := range a.series {
		if s.labels.Len() > without(s.labels, names).Len() {
			had++
		}
	}
	if had == 0 {
		return nil
	}
	req := p.request()
	req.WithoutReplicaLabels = names
	got, err := p.ask(ctx, req)
	if err != nil {
		return err
	}
	for _, s := range got.series {
		if s.labels.Len() == without(s.labels, names).Len() {
			continue
		}
		if had--; had == 0 {
			return fmt.Errorf("asked for %s: Info announces %s, but all series that have %q were sent with it, such as %s", describeRequest(req), canRemoveReplicaLabels, names, s.labels)
		}
	}
	return nil
}

func (p *probe) checkShards(ctx context.Context, a *answer) error {
	const total = 4
	for i := range int64(total) {
		req := p.request()
		req.Shard = &store.Shard{Index: i, Total: total}
		got, err := p.ask(ctx, req)
		if err != nil {
			return err
		}
		if len(got.series) < len(a.series) {
			return nil
		}
	}
	return fmt.Errorf("announced in Info is %s, but all %d series were sent for each of %d shards", canShard, len(a.series), total)
}
