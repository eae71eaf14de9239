package query

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/thanoskit/thanoskit/store"
)

// Series returns the label sets of the series that match any of the sets of
// matchers and have data between mint and maxt, in milliseconds, both inclusive.
// No sets of matchers at all match every series.
//
// Output: label sets ascend, each once, without replica labels if deduplication
// is on. Warnings are what stores warned of. A limit truncates.
// Errors: as Instant.
func (q *Querier) Series(ctx context.Context, mint, maxt int64, matchers [][]*labels.Matcher, opts *QueryOptions) (_ []labels.Labels, warnings []error, err error) {
	s, err := q.settings(opts)
	if err != nil {
		return nil, nil, err
	}
	// Downsampled data is the cheapest to look for labels in.
	s.maxResolution = math.MaxInt64
	asked := s.outcome
	s.outcome = &store.Outcome{}
	defer func() { merge(asked, s.outcome); warnings = s.outcome.Warnings() }()

	qb := &queryable{owner: q, settings: s}
	sq, err := qb.Querier(mint, maxt)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = sq.Close() }() // never an error
	if len(matchers) == 0 {
		matchers = [][]*labels.Matcher{nil}
	}
	sets := make([]storage.SeriesSet, len(matchers))
	for i, ms := range matchers {
		sets[i] = sq.Select(ctx, true, &storage.SelectHints{Start: mint, End: maxt, Func: funcSeries, Limit: s.limit}, ms...)
	}
	var out []labels.Labels
	for _, set := range sets {
		for set.Next() {
			out = append(out, set.At().Labels())
		}
		if err := set.Err(); err != nil {
			return nil, nil, err
		}
	}
	if len(sets) > 1 {
		slices.SortFunc(out, labels.Compare)
		out = slices.CompactFunc(out, labels.Equal)
	}
	return prefix(out, s.limit), nil, nil
}

// LabelNames returns the label names of the series that Series would return.
// Names ascend by bytes.
//
// Errors: as Instant.
func (q *Querier) LabelNames(ctx context.Context, mint, maxt int64, matchers [][]*labels.Matcher, opts *QueryOptions) (names []string, warnings []error, err error) {
	return q.eachSet(ctx, matchers, opts, func(ctx context.Context, s settings, ms []*labels.Matcher) ([]string, error) {
		return q.labelNames(ctx, s, mint, maxt, ms)
	})
}

// LabelValues returns the values that a label has in the series that Series
// would return. Values ascend by bytes. A replica label has none if
// deduplication is on.
//
// Errors: as Instant; no label is ErrInvalid.
func (q *Querier) LabelValues(ctx context.Context, name string, mint, maxt int64, matchers [][]*labels.Matcher, opts *QueryOptions) (values []string, warnings []error, err error) {
	if name == "" {
		return nil, nil, fmt.Errorf("%w: no label given", ErrInvalid)
	}
	return q.eachSet(ctx, matchers, opts, func(ctx context.Context, s settings, ms []*labels.Matcher) ([]string, error) {
		return q.labelValues(ctx, s, name, mint, maxt, ms)
	})
}

// eachSet asks for each set of matchers and merges the answers.
func (q *Querier) eachSet(ctx context.Context, matchers [][]*labels.Matcher, opts *QueryOptions, ask func(context.Context, settings, []*labels.Matcher) ([]string, error)) ([]string, []error, error) {
	s, err := q.settings(opts)
	if err != nil {
		return nil, nil, err
	}
	asked := s.outcome
	s.outcome = &store.Outcome{}
	defer func() { merge(asked, s.outcome) }()
	if len(matchers) == 0 {
		matchers = [][]*labels.Matcher{nil}
	}
	var out []string
	for _, ms := range matchers {
		got, err := ask(ctx, s, ms)
		if err != nil {
			return nil, s.outcome.Warnings(), err
		}
		out = append(out, got...)
	}
	if err := s.outcome.Require(s.require); err != nil {
		return nil, s.outcome.Warnings(), err
	}
	slices.Sort(out)
	return prefix(slices.Compact(out), s.limit), s.outcome.Warnings(), nil
}

// labelNames asks the store for label names.
func (q *Querier) labelNames(ctx context.Context, s settings, mint, maxt int64, ms []*labels.Matcher) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	limit := s.limit
	if limit > 0 && limit <= math.MaxInt-len(s.replicaLabels) {
		limit += len(s.replicaLabels) // which may be among those that the store counts
	}
	names, err := store.LabelNames(ctx, q.store, &store.LabelNamesRequest{
		MinTime: mint, MaxTime: maxt, Matchers: ms, Strategy: s.strategy, WithoutReplicaLabels: s.replicaLabels,
		Limit: limit, StoreHints: s.storeHints, Tenant: s.tenant, Metadata: s.metadata, StoreMatch: s.storeMatch, Require: s.require,
		Outcome: s.outcome,
	})
	if err != nil {
		return nil, stopped(ctx, fmt.Errorf("query label names: %w", err))
	}
	isReplicaLabel := func(n string) bool { return slices.Contains(s.replicaLabels, n) }
	if slices.ContainsFunc(names, isReplicaLabel) { // the store does not remove them
		names = slices.DeleteFunc(slices.Clone(names), isReplicaLabel)
	}
	return prefix(names, s.limit), nil
}

// labelValues asks the store for the values of a label.
func (q *Querier) labelValues(ctx context.Context, s settings, name string, mint, maxt int64, ms []*labels.Matcher) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	values, err := store.LabelValues(ctx, q.store, &store.LabelValuesRequest{
		Label: name, MinTime: mint, MaxTime: maxt, Matchers: ms, Strategy: s.strategy, WithoutReplicaLabels: s.replicaLabels,
		Limit: s.limit, StoreHints: s.storeHints, Tenant: s.tenant, Metadata: s.metadata, StoreMatch: s.storeMatch, Require: s.require,
		Outcome: s.outcome,
	})
	if err != nil {
		return nil, stopped(ctx, fmt.Errorf("query label values: %w", err))
	}
	return prefix(values, s.limit), nil
}

// prefix is what a limit leaves of s; 0 leaves all.
func prefix[T any](s []T, limit int) []T {
	if limit > 0 && len(s) > limit {
		return s[:limit:limit]
	}
	return s
}
