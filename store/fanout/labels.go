package fanout

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// LabelNames returns the label names of all members.
//
// Errors: that of the context. With the strategy Abort also the first member's
// failure that is noticed, as a *store.Error that names it, and ErrNoStores if
// there are no members. With Warn those are warnings in the request's Outcome.
func (f *Store) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	q := &labelQuery{
		fanout: f, op: opLabelNames, strategy: req.Strategy, limit: req.Limit, out: req.Outcome,
		reach: reach{req.MinTime, req.MaxTime, req.Matchers, req.WithoutReplicaLabels, nil},
		ask: func(ctx context.Context, s store.Store, out *store.Outcome) ([]string, error) {
			r := *req
			r.Outcome = out
			names, err := store.LabelNames(ctx, s, &r)
			// Announcing that replica labels are removed is about series; label
			// names may have them even so.
			isReplicaLabel := func(n string) bool { return slices.Contains(req.WithoutReplicaLabels, n) }
			if slices.ContainsFunc(names, isReplicaLabel) {
				names = slices.DeleteFunc(slices.Clone(names), isReplicaLabel)
			}
			return names, err
		},
	}
	return q.run(ctx)
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
	q := &labelQuery{
		fanout: f, op: opLabelValues, strategy: req.Strategy, limit: req.Limit, out: req.Outcome,
		reach: reach{req.MinTime, req.MaxTime, req.Matchers, req.WithoutReplicaLabels, nil},
		ask: func(ctx context.Context, s store.Store, out *store.Outcome) ([]string, error) {
			r := *req
			r.Outcome = out
			return store.LabelValues(ctx, s, &r)
		},
	}
	return q.run(ctx)
}

// labelQuery asks all members for label names, or values.
type labelQuery struct {
	fanout   *Store
	op       string
	strategy store.PartialResponseStrategy
	limit    int
	out      *store.Outcome
	reach    reach
	ask      func(context.Context, store.Store, *store.Outcome) ([]string, error)
}

// labelAnswer is one member's answer.
type labelAnswer struct {
	asked
	values []string
}

func (q *labelQuery) run(ctx context.Context) ([]string, error) {
	members := q.fanout.members()
	if len(members) == 0 {
		if q.strategy == store.Abort {
			return nil, store.ErrNoStores
		}
		q.out.AddWarning(store.ErrNoStores)
		return nil, nil
	}
	qctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errReturned)
	answers := make([]*labelAnswer, len(members))
	var running []*labelAnswer
	notBefore := time.Now().Add(-q.fanout.maxAge())
	for i, m := range members {
		answers[i] = &labelAnswer{asked: newAsked(m, q.op)}
		if !answers[i].ruledOut(notBefore, &q.reach) {
			running = append(running, answers[i])
		}
		q.abortIfFailed(answers[i], cancel)
	}
	var wg sync.WaitGroup
	for _, a := range running {
		wg.Go(func() {
			q.askMember(qctx, a)
			q.abortIfFailed(a, cancel)
		})
	}
	wg.Wait()
	return q.answer(ctx, context.Cause(qctx), answers)
}

func (q *labelQuery) abortIfFailed(a *labelAnswer, cancel context.CancelCauseFunc) {
	if a.failed() && q.strategy == store.Abort {
		cancel(a.outcome.Err)
	}
}

func (q *labelQuery) askMember(ctx context.Context, a *labelAnswer) {
	defer a.finish()
	a.fail(errExited) // unless what follows comes to its end
	if ctx.Err() != nil {
		a.conclude(ctx, ctx.Err())
		return
	}
	ctx = a.trace(ctx, q.fanout.tracer)
	if d := q.fanout.opts.WaitBudget; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, errWaitBudget)
		defer cancel()
	}
	member, ok := a.admitted(ctx, q.fanout, &q.reach)
	if !ok {
		return
	}
	values, err := q.ask(ctx, member, a.nested)
	a.conclude(ctx, err)
	if a.outcome.Status == store.Answered {
		a.values = values
	}
}

// answer merges the answers and records the outcomes. aborted is why the call
// was ended early, if it was.
func (q *labelQuery) answer(ctx context.Context, aborted error, answers []*labelAnswer) ([]string, error) {
	lists := make([][]string, 0, len(answers))
	for _, a := range answers {
		if a.failed() && q.strategy != store.Abort {
			q.out.AddWarning(a.outcome.Err)
		}
		a.record(q.out)
		q.fanout.metrics.observe(&a.outcome)
		if len(a.values) > 0 {
			lists = append(lists, a.values)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if aborted != nil {
		return nil, aborted
	}
	merged := mergeSorted(lists)
	if q.limit > 0 && len(merged) > q.limit {
		merged = merged[:q.limit:q.limit]
	}
	return merged, nil
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
