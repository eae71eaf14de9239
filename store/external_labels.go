package store

import (
	"context"
	"errors"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// WithExternalLabels gives every series of a Store external labels, which
// override labels of the same name, and does what a Store with external labels
// owes its readers:
//
//   - A matcher on an external label selects or rejects the Store as a whole and
//     is then dropped. When none is left, every series in range answers.
//   - Replica labels that a request does not want are removed, and what belongs
//     to another shard is left out.
//   - The stream is sorted by the labels as sent. Only series that start with
//     the same label, which is their metric name unless the external labels sort
//     before it, are held back for that. A series that has nothing but replica
//     labels is left out, with a warning.
//   - Label names and values include the external labels, and Info announces
//     them, sharding and the removal of replica labels.
//
// With empty labels it does the rest for a Store that already sends what it
// should. The Store that it wraps must be sorted; see [WithSorting].
func WithExternalLabels(external labels.Labels) Middleware {
	external = external.WithoutEmpty()
	return func(s Store) Store { return &externalLabels{next: s, labels: external, pool: newFramePool()} }
}

type externalLabels struct {
	next   Store
	labels labels.Labels
	pool   *framePool
}

// matchers returns those that the Store itself has to answer for, and whether
// the external labels satisfy the others.
func (e *externalLabels) matchers(ms []*labels.Matcher) (rest []*labels.Matcher, ok bool) {
	for _, m := range ms {
		switch v := e.labels.Get(m.Name); {
		case v == "":
			rest = append(rest, m)
		case !m.Matches(v):
			return nil, false
		}
	}
	return rest, true
}

func (e *externalLabels) Series(ctx context.Context, req *SeriesRequest, w SeriesWriter) error {
	rest, ok := e.matchers(req.Matchers)
	if !ok {
		return nil
	}
	r := *req
	r.Matchers = rest
	rewrite := encoded.NewRewrite(e.labels, req.WithoutReplicaLabels)
	sharded := req.Shard != nil && req.Shard.Total > 0
	if rewrite.IsZero() && !sharded {
		return e.next.Series(ctx, &r, w)
	}
	// The Store would hash other labels than are sent, and stop at a number of
	// series that are not those that are sent, nor in the same order.
	r.Shard, r.Limit = nil, 0
	sw := newSortingWriter(w, e.pool, rewrite, req)
	if sharded {
		sw.shard = req.Shard.hasher()
	}
	return sw.run(func(w SeriesWriter) error { return e.next.Series(ctx, &r, w) })
}

func (e *externalLabels) LabelNames(ctx context.Context, req *LabelNamesRequest) ([]string, error) {
	rest, ok := e.matchers(req.Matchers)
	if !ok {
		return nil, nil
	}
	r := *req
	r.Matchers, r.Limit = rest, 0
	names, err := LabelNames(ctx, e.next, &r)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	e.labels.Range(func(l labels.Label) { names = append(names, l.Name) })
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(n string) bool {
		return slices.Contains(req.WithoutReplicaLabels, n)
	})
	return prefix(names, req.Limit), nil
}

func (e *externalLabels) LabelValues(ctx context.Context, req *LabelValuesRequest) ([]string, error) {
	rest, ok := e.matchers(req.Matchers)
	if !ok || slices.Contains(req.WithoutReplicaLabels, req.Label) {
		return nil, nil
	}
	v := e.labels.Get(req.Label)
	if v == "" {
		r := *req
		r.Matchers = rest
		return LabelValues(ctx, e.next, &r)
	}
	// The value exists if any series does.
	sreq := seriesOfValues(req)
	sreq.Matchers, sreq.Limit = rest, 1
	for _, err := range All(ctx, e.next, sreq, req.Outcome) {
		if err != nil {
			return nil, err
		}
		return []string{v}, nil
	}
	return nil, nil
}

func (e *externalLabels) Describe(ctx context.Context) (Info, error) {
	info, err := Describe(ctx, e.next)
	if err != nil {
		return Info{}, err
	}
	info.SupportsSharding, info.SupportsWithoutReplicaLabels = true, true
	if e.labels.IsEmpty() {
		return info, nil
	}
	sets := info.LabelSets
	if len(sets) == 0 {
		sets = []labels.Labels{labels.EmptyLabels()}
	}
	info.LabelSets = make([]labels.Labels, len(sets))
	for i, lset := range sets {
		info.LabelSets[i] = e.extend(lset)
	}
	info.TSDBs = slices.Clone(info.TSDBs)
	for i := range info.TSDBs {
		info.TSDBs[i].Labels = e.extend(info.TSDBs[i].Labels)
	}
	return info, nil
}

func (e *externalLabels) MayHoldMetric(name string) bool {
	if v := e.labels.Get(labels.MetricName); v != "" { // whatever the names below
		return v == name
	}
	return MayHoldMetric(e.next, name)
}

func (e *externalLabels) extend(lset labels.Labels) labels.Labels {
	b := labels.NewBuilder(lset)
	e.labels.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
	return b.Labels()
}

// WithSorting sorts the series of a Store that cannot. It holds back the whole
// answer, and merges nothing: series with equal labels follow each other.
func WithSorting() Middleware {
	return func(s Store) Store { return &sorted{passOn{s}, newFramePool()} }
}

type sorted struct {
	passOn
	pool *framePool
}

func (s *sorted) Series(ctx context.Context, req *SeriesRequest, w SeriesWriter) error {
	r := *req
	r.Limit = 0 // of an unsorted stream, any series may belong to the first
	sw := newSortingWriter(w, s.pool, encoded.Rewrite{}, req)
	sw.group.all = true
	return sw.run(func(w SeriesWriter) error { return s.next.Series(ctx, &r, w) })
}

// stopped reports whether the error says that a writer of ours had enough.
func stopped(err error) bool { return errors.Is(err, errStopped) }
