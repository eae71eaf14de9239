package fanout

import (
	"context"
	"fmt"
	"slices"

	"github.com/thanoskit/thanoskit/store"
)

// LabelNames returns the label names of all members.
//
// Errors: that of the context; a *store.LoopError if the call came through this
// fan-out before; a *store.IncompleteError if who is required did not answer
// whole. With the strategy Abort also the first failure or loss of a member that
// is noticed, as a *store.Error that names it, and ErrNoStores if there are no
// members. With Warn those are warnings in the request's Outcome.
func (f *Store) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	q := &labelQuery{round: round{
		fanout: f, op: opLabelNames, strategy: req.Strategy, require: req.Require, reach: reach{
			mint: req.MinTime, maxt: req.MaxTime, withoutReplicaLabels: req.WithoutReplicaLabels, storeMatch: req.StoreMatch,
		},
	}, limit: req.Limit, out: req.Outcome}
	ok := q.reach.match(f, req.Matchers)
	// Announcing that replica labels are removed is about series; label names may
	// have them even so.
	isReplicaLabel := func(n string) bool { return slices.Contains(req.WithoutReplicaLabels, n) }
	return q.run(ctx, ok, func(t *attempt) error {
		r := *req
		r.Matchers, r.StoreMatch, r.Require, r.Outcome = q.reach.matchers, nil, nil, t.nested
		if r.Limit > 0 { // which such names would use up
			r.Limit += len(req.WithoutReplicaLabels)
		}
		names, err := store.LabelNames(t.ctx, t.store, &r)
		if slices.ContainsFunc(names, isReplicaLabel) {
			names = slices.DeleteFunc(slices.Clone(names), isReplicaLabel)
		}
		t.values = names
		return err
	})
}

// LabelValues returns the values that a label has in any member. A label that is
// to be removed as a replica label has none.
//
// Errors: as LabelNames, and ErrInvalidRequest if the request names no label.
func (f *Store) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	if req.Label == "" {
		return nil, fmt.Errorf("label values: %w: no label given", store.ErrInvalidRequest)
	}
	if slices.Contains(req.WithoutReplicaLabels, req.Label) {
		return nil, nil
	}
	q := &labelQuery{round: round{
		fanout: f, op: opLabelValues, strategy: req.Strategy, require: req.Require, reach: reach{
			mint: req.MinTime, maxt: req.MaxTime, withoutReplicaLabels: req.WithoutReplicaLabels, storeMatch: req.StoreMatch,
		},
	}, limit: req.Limit, out: req.Outcome}
	ok := q.reach.match(f, req.Matchers)
	return q.run(ctx, ok, func(t *attempt) (err error) {
		r := *req
		r.Matchers, r.StoreMatch, r.Require, r.Outcome = q.reach.matchers, nil, nil, t.nested
		t.values, err = store.LabelValues(t.ctx, t.store, &r)
		return err
	})
}

// labelQuery asks all members for label names, or values.
type labelQuery struct {
	round
	limit   int
	out     *store.Outcome
	members []*asked
}

func (q *labelQuery) run(ctx context.Context, selected bool, try func(*attempt) error) ([]string, error) {
	if err := q.fanout.looped(ctx); err != nil {
		return nil, err
	}
	q.begin(ctx)
	values, err := q.gather(selected, try) //nolint:contextcheck // It is in the round, see begin.
	err = q.close(q.out, err, q.record)
	if err != nil {
		return nil, err
	}
	return values, nil
}

// gather asks the members and merges their answers. When it returns all members
// are joined.
func (q *labelQuery) gather(selected bool, try func(*attempt) error) ([]string, error) {
	var running []*asked
	for _, l := range q.fanout.members().logical {
		a := &asked{}
		a.init(&q.round, l)
		q.members = append(q.members, a)
		if !a.ruledOut(selected) {
			running = append(running, a)
		}
		q.consider(a)
	}
	ends := make(chan struct{}, len(running))
	if q.ctx.Err() == nil {
		for _, a := range running {
			a.settled = func() { ends <- struct{}{} }
			q.crew.run(func() { q.ask(a, try) })
		}
	}
	for range running {
		select {
		case <-ends:
		case <-q.ctx.Done():
		}
	}
	if err := q.finish(); err != nil {
		return nil, err
	}
	var lists [][]string
	for _, a := range q.members {
		if a.result.status == store.Answered && len(a.winner.values) > 0 {
			lists = append(lists, a.winner.values)
		}
	}
	merged := mergeSorted(lists)
	if q.limit > 0 && len(merged) > q.limit {
		merged = merged[:q.limit:q.limit]
	}
	return merged, nil
}

// finish ends a call that all members have ended, or whose context has.
func (q *labelQuery) finish() error {
	var err error
	if q.ctx.Err() != nil {
		err = q.round.err()
	}
	q.leave(err, q.members)
	if err != nil {
		return err
	}
	for _, a := range q.members { // one that ended last may not have come to end the call
		if err := q.fatal(a, a.result); err != nil {
			return err
		}
	}
	if q.absent(q.members) {
		return q.noStores(func(w error) error { q.out.AddWarning(w); return nil })
	}
	return nil
}

// ask asks one member, for as long as its wait budget lasts.
func (q *labelQuery) ask(a *asked, try func(*attempt) error) {
	ctx := q.ctx
	if d := a.of.budget; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, errWaitBudget)
		defer cancel()
	}
	a.ask(ctx, try)
}

// record puts what became of each member into out and the metrics. All members
// have been joined.
func (q *labelQuery) record(out *store.Outcome) {
	for _, a := range q.members {
		if a.removed {
			continue
		}
		if a.result.failed() && q.strategy != store.Abort {
			out.AddWarning(a.result.err)
		}
		o := a.record(out, a.result, nil)
		q.fanout.metrics.observe(&o)
	}
}

// mergeSorted merges lists of strings into one in order and without duplicates.
// The lists are not changed; the result may be one of them.
func mergeSorted(lists [][]string) []string {
	switch len(lists) {
	case 0:
		return nil
	case 1:
		return sortedUnique(lists[0])
	}
	a, b := mergeSorted(lists[:len(lists)/2]), mergeSorted(lists[len(lists)/2:])
	out := make([]string, 0, max(len(a), len(b)))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case b[0] < a[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// sortedUnique returns the list itself if it is in order and without duplicates,
// as it should be.
func sortedUnique(list []string) []string {
	for i := 1; i < len(list); i++ {
		if list[i-1] >= list[i] {
			list = slices.Clone(list)
			slices.Sort(list)
			return slices.Compact(list)
		}
	}
	return list
}
