package query_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

func threeJobs(tb testing.TB) *memstore.Store {
	var s memstore.Store
	for _, job := range []string{"api", "db", "web"} {
		for _, replica := range []string{"a", "b"} {
			testutil.Ok(tb, s.Append(labels.FromStrings("__name__", "up", "job", job, "replica", replica), 1000, 1))
		}
	}
	return &s
}

func TestLabelQueries(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	api, web := []*labels.Matcher{equals("job", "api")}, []*labels.Matcher{equals("job", "web")}
	for name, tc := range map[string]struct {
		sets                  [][]*labels.Matcher
		opts                  *query.QueryOptions
		series, names, values string
	}{
		"all": {
			series: `[{__name__="up", job="api"} {__name__="up", job="db"} {__name__="up", job="web"}]`,
			names:  "[__name__ job]", values: "[api db web]",
		},
		"sets that overlap": {
			sets:   [][]*labels.Matcher{web, api, web},
			series: `[{__name__="up", job="api"} {__name__="up", job="web"}]`, names: "[__name__ job]", values: "[api web]",
		},
		"limit": {
			sets: [][]*labels.Matcher{web, api}, opts: &query.QueryOptions{Limit: 1},
			series: `[{__name__="up", job="api"}]`, names: "[__name__]", values: "[api]",
		},
		"no deduplication": {
			sets: [][]*labels.Matcher{web}, opts: &query.QueryOptions{Dedup: new(false)},
			series: `[{__name__="up", job="web", replica="a"} {__name__="up", job="web", replica="b"}]`,
			names:  "[__name__ job replica]", values: "[web]",
		},
		"nothing": {sets: [][]*labels.Matcher{{equals("job", "none")}}, series: "[]", names: "[]", values: "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQuerier(t, threeJobs(t), &query.Options{ReplicaLabels: []string{"replica"}})
			series, warnings, err := q.Series(ctx, 0, 2000, tc.sets, tc.opts)
			testutil.Ok(t, err)
			testutil.Equals(t, 0, len(warnings))
			testutil.Equals(t, tc.series, fmt.Sprint(series))
			names, _, err := q.LabelNames(ctx, 0, 2000, tc.sets, tc.opts)
			testutil.Ok(t, err)
			testutil.Equals(t, tc.names, fmt.Sprint(names))
			values, _, err := q.LabelValues(ctx, "job", 0, 2000, tc.sets, tc.opts)
			testutil.Ok(t, err)
			testutil.Equals(t, tc.values, fmt.Sprint(values))

			outside, _, err := q.Series(ctx, 2000, 3000, tc.sets, tc.opts)
			testutil.Ok(t, err)
			testutil.Equals(t, 0, len(outside))
		})
	}
}

// TestLabelQueriesWarn: through the Querier and through the storage interface.
func TestLabelQueriesWarn(t *testing.T) {
	t.Parallel()
	ctx, mine := context.Background(), &store.Outcome{}
	opts := &query.QueryOptions{Outcome: mine}
	q := newQuerier(t, failing(t), nil)
	_, w1, err := q.Series(ctx, 0, 100_000, [][]*labels.Matcher{nil, nil}, opts)
	testutil.Ok(t, err)
	_, w2, err := q.LabelNames(ctx, 0, 100_000, nil, opts)
	testutil.Ok(t, err)
	_, w3, err := q.LabelValues(ctx, "job", 0, 100_000, nil, opts)
	testutil.Ok(t, err)
	testutil.Equals(t, []int{2, 1, 1}, []int{len(w1), len(w2), len(w3)})
	testutil.Equals(t, 4, len(mine.Warnings()))

	sq, err := q.Queryable(opts).Querier(0, 100_000)
	testutil.Ok(t, err)
	names, a1, err := sq.LabelNames(ctx, &storage.LabelHints{Limit: 1}, equals("job", "x"))
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"__name__"}, names)
	values, a2, err := sq.LabelValues(ctx, "__name__", nil)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"up"}, values)
	testutil.Ok(t, sq.Close())
	for _, as := range []map[string]error{a1, a2} {
		testutil.Equals(t, 1, len(as))
		for _, a := range as {
			var w *query.Warning
			var se *store.Error
			testutil.Assert(t, errors.As(a, &w) && errors.As(a, &se) && se.Store == "store-b", "%v", a)
		}
	}
	testutil.Equals(t, 6, len(mine.Warnings()))
}

// TestLabelRequests: what is asked of a store that answers label queries itself.
func TestLabelRequests(t *testing.T) {
	t.Parallel()
	var s labelStore
	q := newQuerier(t, &s, &query.Options{ReplicaLabels: []string{"replica"}, Strategy: store.Abort, Timeout: time.Minute})
	hints := &store.Any{TypeURL: "x"}
	names, _, err := q.LabelNames(context.Background(), 1, 2, [][]*labels.Matcher{{equals("a", "b")}}, &query.QueryOptions{Limit: 5, StoreHints: hints})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "z"}, names)
	testutil.Equals(t, []string{"a", "replica", "z"}, s.names, "the store's own slice is left alone")
	r := s.asked
	testutil.Assert(t, r.MinTime == 1 && r.MaxTime == 2 && r.Limit == 6 && r.Strategy == store.Abort && r.StoreHints == hints, "one of them may be the replica label: %+v", r)
	testutil.Equals(t, []string{"replica"}, r.WithoutReplicaLabels)
	testutil.Equals(t, `[a="b"]`, fmt.Sprint(r.Matchers))
}

// labelStore answers with label names, among them a replica label.
type labelStore struct {
	store.Store
	names []string
	asked *store.LabelNamesRequest
}

func (s *labelStore) LabelNames(_ context.Context, r *store.LabelNamesRequest) ([]string, error) {
	s.asked, s.names = r, []string{"a", "replica", "z"}
	return s.names, nil
}

func (s *labelStore) LabelValues(context.Context, *store.LabelValuesRequest) ([]string, error) {
	return nil, errDown
}
