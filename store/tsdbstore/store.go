package tsdbstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/store"
)

// Options of New and NewQueryable.
type Options struct {
	// Component is the kind of component to announce, such as "sidecar" or
	// "receive"; empty announces none.
	Component string
	// TimeRange returns the range of the data to announce, in milliseconds, both
	// inclusive. An error makes the Store count as unhealthy. Nil announces the
	// time from the database's StartTime, if it has such a method as *tsdb.DB
	// has, to the end of time.
	//
	// The StartTime of a *tsdb.DB leaves out samples in the head that came out
	// of order and are older than everything else, so that a fan-out may not
	// ask for them. Who ingests such samples into a young TSDB returns
	// the lesser of StartTime() and Head().MinOOOTime().
	TimeRange func() (mint, maxt int64, err error)
	// ExactLabels answers requests that skip chunks by looking at a chunk of every
	// series. Without, the index of the database answers, as for Prometheus' own
	// series API, if the database is a storage.Queryable too, as a *tsdb.DB is: a
	// series then counts as having data where its chunks do, whatever was deleted
	// of them since. NewQueryable is always exact.
	ExactLabels bool
	// Unsorted says that the database of NewQueryable does not sort its series,
	// so that this is no error: the Store is then to be wrapped in
	// store.WithSorting. New has no use for it.
	Unsorted bool
}

// Store is a storage.ChunkQueryable or a storage.Queryable as a Store. It is safe for concurrent use
// if the database is.
type Store struct {
	db        storage.ChunkQueryable
	index     storage.Queryable // for labels without chunks; nil if it is not to be asked
	component string
	timeRange func() (mint, maxt int64, err error)
	frames    *framePool
}

// New returns db as a Store. opts may be nil.
//
// The database is not closed by the Store, and not to be closed during a call.
// Its ChunkQuerier must sort series if it is asked to, as Prometheus' do; what
// does not is wrapped in store.WithSorting.
func New(db storage.ChunkQueryable, opts *Options) *Store {
	s := &Store{db: db, timeRange: startTime(db), frames: newFramePool()}
	if opts == nil || !opts.ExactLabels {
		s.index, _ = db.(storage.Queryable)
	}
	if opts != nil {
		s.component = opts.Component
		if opts.TimeRange != nil {
			s.timeRange = opts.TimeRange
		}
	}
	return s
}

// startTime returns a function that asks db for its StartTime.
func startTime(db any) func() (mint, maxt int64, err error) {
	return func() (int64, int64, error) {
		d, ok := db.(interface{ StartTime() (int64, error) })
		if !ok {
			return math.MinInt64, math.MaxInt64, nil
		}
		mint, err := d.StartTime()
		return mint, math.MaxInt64, err
	}
}

// Series sends the raw data of the series that match and have data in the
// range. A series whose labels and chunks take more than about 1 MiB is sent in
// parts.
//
// Warnings of the database are passed on; under store.Abort one that is not a
// PromQL annotation is an error.
//
// Errors: those of the database; *store.EncodingError if a chunk is in an
// encoding that can neither be sent nor be encoded anew; those of w; and the
// context's.
func (s *Store) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) (err error) {
	if req.MinTime > req.MaxTime {
		return ctx.Err()
	}
	if req.SkipChunks && s.index != nil {
		return s.labelSets(ctx, req, w)
	}
	q, err := s.db.ChunkQuerier(req.MinTime, req.MaxTime)
	if err != nil {
		return fmt.Errorf("open querier: %w", err)
	}
	defer closeQuerier(q, &err)

	set := q.Select(ctx, true, selectHints(req), selector(req.Matchers)...)
	b := builder{req: req, w: w, frames: s.frames}
	defer b.drop()
	var it chunks.Iterator
	for !b.full() && set.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if it, err = b.add(set.At(), it); err != nil {
			return err
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("select series: %w", err)
	}
	if err := b.flush(); err != nil {
		return err
	}
	return warn(set.Warnings(), req.Strategy, w.Warn)
}

// labelSets sends series without chunks from the index.
func (s *Store) labelSets(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) (err error) {
	q, err := s.index.Querier(req.MinTime, req.MaxTime)
	if err != nil {
		return fmt.Errorf("open querier: %w", err)
	}
	defer closeQuerier(q, &err)
	hints := selectHints(req)
	hints.Func = labelsOnly
	set := q.Select(ctx, true, hints, selector(req.Matchers)...)
	b := builder{req: req, w: w, frames: s.frames}
	defer b.drop()
	for !b.full() && set.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.addLabels(set.At().Labels()); err != nil {
			return err
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("select series: %w", err)
	}
	if err := b.flush(); err != nil {
		return err
	}
	return warn(set.Warnings(), req.Strategy, w.Warn)
}

// labelsOnly is the function in hints that says that no samples are wanted.
const labelsOnly = "series"

// closeQuerier joins an error of Close to err, which is left as it is if there
// is none.
func closeQuerier(q io.Closer, err *error) {
	if cerr := q.Close(); cerr != nil {
		*err = errors.Join(*err, fmt.Errorf("close querier: %w", cerr))
	}
}

// selectHints returns what the database may want to know of a request. The
// limit is not passed on, because series that turn out to have no data in the
// range would count.
func selectHints(req *store.SeriesRequest) *storage.SelectHints {
	h := &storage.SelectHints{Start: req.MinTime, End: req.MaxTime, DisableTrimming: true}
	if q := req.Hints; q != nil && q.Func != labelsOnly {
		h.Step, h.Range = q.Step.Milliseconds(), q.Range.Milliseconds()
		h.Func, h.Grouping, h.By = q.Func, slices.Clone(q.Grouping), q.By
	}
	return h
}

// selector returns the matchers to select by: a copy, because queriers sort what
// they are given, and one that matches everything if there are none, because
// for them no matchers means nothing.
func selector(ms []*labels.Matcher) []*labels.Matcher {
	if len(ms) > 0 {
		return slices.Clone(ms)
	}
	return []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".*")}
}

// warn passes warnings on in order of their text. Under Abort, those that say
// something of the data and not of an expression are an error.
func warn(ws annotations.Annotations, strategy store.PartialResponseStrategy, to func(error) error) error {
	var failures []error
	for _, text := range slices.Sorted(maps.Keys(ws)) {
		w := ws[text]
		if strategy == store.Abort && !store.IsAnnotation(w) {
			failures = append(failures, w)
			continue
		}
		if err := to(w); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}

// LabelNames returns the label names of the series that match, in the blocks
// that overlap the range.
//
// Errors: those of the database.
func (s *Store) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	return s.labels(req.MinTime, req.MaxTime, req.Limit, req.Strategy, req.Outcome, func(q storage.ChunkQuerier, h *storage.LabelHints) ([]string, annotations.Annotations, error) {
		return q.LabelNames(ctx, h, slices.Clone(req.Matchers)...)
	})
}

// LabelValues returns the values that a label has in the series that match, in
// the blocks that overlap the range.
//
// Errors: those of the database; store.ErrInvalidRequest if the request names no
// label.
func (s *Store) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	if req.Label == "" {
		return nil, fmt.Errorf("label values: %w: no label given", store.ErrInvalidRequest)
	}
	return s.labels(req.MinTime, req.MaxTime, req.Limit, req.Strategy, req.Outcome, func(q storage.ChunkQuerier, h *storage.LabelHints) ([]string, annotations.Annotations, error) {
		return q.LabelValues(ctx, req.Label, h, slices.Clone(req.Matchers)...)
	})
}

// labels asks a querier for names or values. They are copied, because they may
// be part of a memory-mapped file.
func (s *Store) labels(mint, maxt int64, limit int, strategy store.PartialResponseStrategy, out *store.Outcome,
	ask func(storage.ChunkQuerier, *storage.LabelHints) ([]string, annotations.Annotations, error),
) (result []string, err error) {
	if mint > maxt {
		return nil, nil
	}
	q, err := s.db.ChunkQuerier(mint, maxt)
	if err != nil {
		return nil, fmt.Errorf("open querier: %w", err)
	}
	defer closeQuerier(q, &err)
	// The database would stop at any so many, and not at the first in order.
	found, ws, err := ask(q, &storage.LabelHints{})
	if err != nil {
		return nil, fmt.Errorf("look labels up: %w", err)
	}
	addWarning := func(w error) error { out.AddWarning(w); return nil }
	if err := warn(ws, strategy, addWarning); err != nil {
		return nil, err
	}
	result = make([]string, len(found))
	for i, v := range found {
		result[i] = strings.Clone(v)
	}
	if limit > 0 && len(result) > limit {
		result = result[:limit:limit]
	}
	return result, nil
}

// Describe announces the time range of the database as one TSDB.
//
// Errors: those of the database's StartTime, or of Options.TimeRange.
func (s *Store) Describe(ctx context.Context) (store.Info, error) {
	if err := ctx.Err(); err != nil {
		return store.Info{}, err
	}
	mint, maxt, err := s.timeRange()
	if err != nil {
		return store.Info{}, fmt.Errorf("get time range: %w", err)
	}
	return store.Info{
		Component: s.component, MinTime: mint, MaxTime: maxt,
		TSDBs: []store.TSDBInfo{{MinTime: mint, MaxTime: maxt}},
	}, nil
}
