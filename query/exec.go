package query

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/stats"

	"github.com/thanoskit/thanoskit/store"
)

// Result is the answer to a query.
type Result struct {
	// Value is a promql.Vector, Matrix, Scalar or String. It belongs to the
	// caller until Close; its label sets and strings stay valid after that.
	Value parser.Value
	// Warnings are what the stores warned of: data is missing from Value, or
	// doubtful; once for each selector. Empty means that nothing is known to be
	// missing.
	Warnings []error
	// Annotations are the engine's remarks on the expression. None of them says
	// anything about the stores.
	Annotations annotations.Annotations
	// Outcome is what the stores did, once for each selector; never nil.
	Outcome *store.Outcome

	query promql.Query
	close sync.Once
}

// Stats returns the engine's statistics; nil if it keeps none. They stay valid
// after Close.
func (r *Result) Stats() *stats.Statistics { return r.query.Stats() }

// Statement returns the expression as the engine has parsed it, with its times.
func (r *Result) Statement() parser.Statement { return r.query.Statement() }

// Close gives the memory of Value back to the engine, which uses it for other
// queries: Value must have been copied or be done with. Closing is not
// necessary, and more than once does nothing.
func (r *Result) Close() { r.close.Do(r.query.Close) }

// Instant evaluates an expression at ts.
//
// Input: opts may be nil. Output: see Result.
// Errors: ErrInvalid if the expression does not parse; then errors.As finds
// parser.ParseErrors with positions. ErrTimeout, ErrCanceled. A *store.Error
// that names the store, if the strategy is store.Abort and one failed, or if
// the Querier's Store itself fails. Whatever else the engine says.
func (q *Querier) Instant(ctx context.Context, expr string, ts time.Time, opts *QueryOptions) (*Result, error) {
	s, err := q.settings(opts)
	if err != nil {
		return nil, err
	}
	if s.maxResolution == AutoResolution {
		s.maxResolution = 0
	}
	return q.exec(ctx, s, func(ctx context.Context, qb storage.Queryable, o promql.QueryOpts) (promql.Query, error) {
		return q.engine.NewInstantQuery(ctx, qb, o, expr, ts)
	})
}

// Range evaluates an expression at start and every step after it, up to and
// including end.
//
// Input, output and errors are those of Instant. A step that is not positive
// and an end before the start are ErrInvalid, too.
func (q *Querier) Range(ctx context.Context, expr string, start, end time.Time, step time.Duration, opts *QueryOptions) (*Result, error) {
	s, err := q.settings(opts)
	switch {
	case err != nil:
		return nil, err
	case step < time.Millisecond:
		return nil, fmt.Errorf("%w: step %s is less than a millisecond", ErrInvalid, step)
	case end.Before(start):
		return nil, fmt.Errorf("%w: it ends before it starts", ErrInvalid)
	}
	if s.maxResolution == AutoResolution {
		s.maxResolution = step / autoResolutionDiv
	}
	return q.exec(ctx, s, func(ctx context.Context, qb storage.Queryable, o promql.QueryOpts) (promql.Query, error) {
		return q.engine.NewRangeQuery(ctx, qb, o, expr, start, end, step)
	})
}

type newQuery func(context.Context, storage.Queryable, promql.QueryOpts) (promql.Query, error)

func (q *Querier) exec(ctx context.Context, s settings, prepare newQuery) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()

	asked := s.outcome
	s.outcome = &store.Outcome{}
	defer func() { merge(asked, s.outcome) }()

	opened := &queriers{}
	qry, err := prepare(ctx, &queryable{owner: q, settings: s, opened: opened}, promql.NewPrometheusQueryOpts(s.perStepStats, s.lookbackDelta()))
	if err != nil {
		if err := stopped(ctx, err); errors.Is(err, ErrTimeout) || errors.Is(err, ErrCanceled) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	res := qry.Exec(ctx)
	opened.tell()
	if res.Err != nil {
		qry.Close()
		return nil, stopped(ctx, fmt.Errorf("evaluate query: %w", res.Err))
	}
	return &Result{
		Value:       res.Value,
		Warnings:    s.outcome.Warnings(),
		Annotations: engineOnly(res.Warnings),
		Outcome:     s.outcome,
		query:       qry,
	}, nil
}

// engineOnly returns the annotations that are not what a store warned of.
func engineOnly(all annotations.Annotations) annotations.Annotations {
	var out annotations.Annotations
	for _, err := range all {
		if _, ok := errors.AsType[*Warning](err); !ok {
			out.Add(err)
		}
	}
	return out
}

// merge adds what is in from to the outcome that a caller gave, if any.
func merge(to, from *store.Outcome) {
	if to == nil {
		return
	}
	for _, m := range from.Members() {
		to.AddMember(m)
	}
	to.AddOmitted(from.Omitted())
	for _, w := range from.Warnings() {
		to.AddWarning(w)
	}
	for _, h := range from.Hints() {
		to.AddHints(h)
	}
	for _, r := range from.Replicas() {
		to.AddReplica(r)
	}
	to.AddUnidentified(from.Unidentified())
}
