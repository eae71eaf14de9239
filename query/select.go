package query

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/thanoskit/thanoskit/store"
)

// Select asks the store for series and returns at once. Results are always
// sorted. At most the querier's number of selects run at a time.
//
// The context ends the select, as do the querier's timeout and Close. Series and
// their iterators are good until Close, their labels for good.
func (q *querier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	if hints == nil {
		hints = &storage.SelectHints{Start: q.mint, End: q.maxt, Limit: q.limit}
	}
	h := *hints
	req := q.seriesRequest(&h, ms)
	set := &pendingSet{done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	started := q.begin(set, cancel, func() {
		defer close(set.done)
		defer q.end(set)
		set.err = stopped(ctx, q.run(ctx, set, req, &h))
	})
	if !started {
		cancel()
		return storage.ErrSeriesSet(ErrClosed)
	}
	return set
}

// run waits for its turn and fills the set.
func (q *querier) run(ctx context.Context, set *pendingSet, req *store.SeriesRequest, hints *storage.SelectHints) (err error) {
	ctx, span := q.owner.tracer.Start(ctx, "querier_select", trace.WithAttributes(
		attribute.String("request", req.String()), attribute.String("func", hints.Func)))
	defer func() {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, "select failed")
		}
		span.End()
	}()
	if err := q.takeTurn(ctx); err != nil {
		return fmt.Errorf("wait for a turn to select: %w", err)
	}
	defer q.endTurn()

	c := newCollector(q.selection(q.mint, q.maxt, hints.Func, req), req)
	err = q.owner.storeFor(ctx, req).Series(ctx, req, c)
	set.warnings = c.warnings
	if err == nil {
		err = ctx.Err() // whatever the store says, there may be series missing
	}
	if err == nil {
		err = req.Outcome.Require(req.Require)
	}
	if err != nil {
		c.release()
		return fmt.Errorf("select series: %w", err)
	}
	a := c.finish(q.filter(hints), hints.Limit)
	q.keep(c.frames, &a)
	set.series = a.series
	span.SetAttributes(attribute.Int("series", len(set.series)))
	return nil
}

// storeFor returns the Store to ask. One that does not remove replica labels
// would hash them into shards, and count replicas against a limit, so that it has
// them removed by middleware. Otherwise that is the collector's to do, which sorts
// only what is out of order then.
func (q *Querier) storeFor(ctx context.Context, req *store.SeriesRequest) store.Store {
	if len(req.WithoutReplicaLabels) == 0 || (req.Shard == nil && req.Limit == 0) {
		return q.store
	}
	if info, err := store.Describe(ctx, q.store); err == nil && info.SupportsWithoutReplicaLabels {
		return q.store
	}
	return q.reduced
}

// filter says which series to keep, by their labels as they are returned; nil
// for all. A store that shards by itself has kept none other.
func (q *querier) filter(hints *storage.SelectHints) func(labels.Labels) bool {
	shard, n, i := q.shard, hints.ShardCount, hints.ShardIndex
	if shard == nil && n == 0 {
		return nil
	}
	return func(lset labels.Labels) bool {
		return shard.Matches(lset) && (n == 0 || labels.StableHash(lset)%n == i)
	}
}

func (q *querier) takeTurn(ctx context.Context) error {
	m, began := q.owner.metrics, time.Now()
	select {
	case q.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	m.wait.Observe(time.Since(began).Seconds())
	m.total.Inc()
	m.inFlight.Inc()
	return nil
}

func (q *querier) endTurn() {
	q.owner.metrics.inFlight.Dec()
	<-q.turns
}

// pendingSet is the series set of a select that may still be running.
type pendingSet struct {
	done chan struct{} // closed when what follows is final
	err  error

	series   []series
	warnings []error
	next     int
}

// Next implements storage.SeriesSet.
func (s *pendingSet) Next() bool {
	<-s.done
	if s.next >= len(s.series) {
		return false
	}
	s.next++
	return true
}

// At implements storage.SeriesSet.
func (s *pendingSet) At() storage.Series { return &s.series[s.next-1] }

// Err implements storage.SeriesSet.
func (s *pendingSet) Err() error {
	<-s.done
	return s.err
}

// Warnings implements storage.SeriesSet. Each is a *Warning.
func (s *pendingSet) Warnings() annotations.Annotations {
	<-s.done
	return annotate(s.warnings)
}

func annotate(warnings []error) annotations.Annotations {
	var out annotations.Annotations
	for _, w := range warnings {
		out.Add(&Warning{Err: w})
	}
	return out
}
