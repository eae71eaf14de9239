package query

import (
	"context"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// Queryable returns what an engine of the user's own reads from. opts may be
// nil.
//
// Its queriers answer from the Store, deduplicated. Series ascend by labels.
// What a store warns of is among the annotations as a *Warning, and in the
// Outcome of opts. A querier must be closed: series and their iterators are good
// until then, label sets and strings for good. Close ends selects that are under
// way and waits for them, and tells the Outcome of opts which replicas served
// what.
//
// The querier's bounds apply to all samples, as they do in Thanos; the bounds in
// a select's hints only say what to ask the store for.
//
// Errors: invalid opts are an ErrInvalid of Querier. Select's are those of
// Querier.Instant but for the engine's.
//
// Concurrency: Queryable and queriers are safe for concurrent use, and so are
// series; series sets and iterators are not.
func (q *Querier) Queryable(opts *QueryOptions) storage.Queryable {
	s, err := q.settings(opts)
	if err != nil {
		return storage.QueryableFunc(func(int64, int64) (storage.Querier, error) { return nil, err })
	}
	return &queryable{owner: q, settings: s}
}

type queryable struct {
	owner    *Querier
	settings settings
	// opened, if not nil, gets the queriers.
	opened *queriers
}

// queriers are those of one query, which an engine may not close before the result
// is given back.
type queriers struct {
	mu  sync.Mutex
	all []*querier
}

// tell tells the Outcome which replicas served what.
func (qs *queriers) tell() {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	for _, q := range qs.all {
		q.tell()
	}
}

// Querier implements storage.Queryable. Times are in ms, both inclusive.
func (q *queryable) Querier(mint, maxt int64) (storage.Querier, error) {
	out := &querier{
		owner: q.owner, settings: q.settings, mint: mint, maxt: maxt,
		turns:   make(chan struct{}, q.owner.opts.MaxConcurrentSelects),
		running: map[*pendingSet]context.CancelFunc{},
	}
	if q.opened != nil {
		q.opened.mu.Lock()
		defer q.opened.mu.Unlock()
		q.opened.all = append(q.opened.all, out)
	}
	return out, nil
}

// querier reads for one query.
type querier struct {
	owner *Querier
	settings
	mint, maxt int64
	turns      chan struct{} // has an element for each select that is running

	wg      sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	running map[*pendingSet]context.CancelFunc
	frames  []*encoded.Frame
	answers []*answer // of which the Outcome is to be told
}

// begin runs f on a goroutine that Close ends by cancel and waits for, unless
// the querier is closed.
func (q *querier) begin(set *pendingSet, cancel context.CancelFunc, f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.running[set] = cancel
	q.wg.Go(f)
	return true
}

func (q *querier) end(set *pendingSet) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running[set]()
	delete(q.running, set)
}

// keep keeps the answer to a select, and the frames that it is made of, until
// Close.
func (q *querier) keep(fs []*encoded.Frame, a *answer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.frames = append(q.frames, fs...)
	if q.outcome != nil && len(q.replicaLabels) > 0 {
		q.answers = append(q.answers, a)
	}
}

// Close implements storage.Querier.
func (q *querier) Close() error {
	q.mu.Lock()
	q.closed = true
	for _, cancel := range q.running {
		cancel()
	}
	q.mu.Unlock()
	q.wg.Wait()

	q.tell()
	q.mu.Lock()
	defer q.mu.Unlock()
	releaseFrames(q.frames)
	q.frames = nil
	return nil
}

// tell tells the Outcome which replicas served what, of answers of which it was not
// told.
func (q *querier) tell() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range q.answers {
		a.tell(q.outcome)
	}
	q.answers = nil
}

// LabelNames implements storage.LabelQuerier.
func (q *querier) LabelNames(ctx context.Context, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	s := q.settings.forLabels(hints)
	names, err := q.owner.labelNames(ctx, s, q.mint, q.maxt, ms)
	merge(q.outcome, s.outcome)
	return names, annotate(s.outcome.Warnings()), err
}

// LabelValues implements storage.LabelQuerier.
func (q *querier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	s := q.settings.forLabels(hints)
	values, err := q.owner.labelValues(ctx, s, name, q.mint, q.maxt, ms)
	merge(q.outcome, s.outcome)
	return values, annotate(s.outcome.Warnings()), err
}

// forLabels returns settings with an Outcome of their own.
func (s settings) forLabels(hints *storage.LabelHints) settings {
	if hints != nil && hints.Limit > 0 {
		s.limit = hints.Limit
	}
	s.outcome = &store.Outcome{}
	return s
}
