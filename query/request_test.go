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

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// asked returns the request that a select leads to.
func asked(tb testing.TB, opts *query.Options, qo *query.QueryOptions, hints *storage.SelectHints) *store.SeriesRequest {
	var req *store.SeriesRequest
	q := newQuerier(tb, able{func(_ context.Context, r *store.SeriesRequest, _ store.SeriesWriter) error {
		req = r
		return nil
	}}, opts)
	sq, err := q.Queryable(qo).Querier(1000, 2000)
	testutil.Ok(tb, err)
	set := sq.Select(context.Background(), false, hints, equals("__name__", "up"))
	testutil.Assert(tb, !set.Next())
	testutil.Ok(tb, set.Err())
	testutil.Ok(tb, sq.Close())
	return req
}

func TestRequestOfFunction(t *testing.T) {
	t.Parallel()
	const max = 5 * time.Minute
	for _, tc := range []struct {
		fn         string
		aggregates string
		resolution time.Duration // with a range of 4 minutes and a maximum of 5
	}{
		{"", "COUNT|SUM", max},
		{"sum", "COUNT|SUM", max},
		{"avg", "COUNT|SUM", max},
		{"avg_over_time", "COUNT|SUM", max},
		{"quantile_over_time", "COUNT|SUM", max},
		{"minute", "COUNT|SUM", max},
		{"countvalues", "COUNT|SUM", max},
		{"sum_over_time", "SUM", max},
		{"min", "MIN", max},
		{"min_over_time", "MIN", max},
		{"max", "MAX", max},
		{"max_over_time", "MAX", max},
		{"count", "COUNT", max},
		{"count_values", "COUNT", max},
		{"count_over_time", "COUNT", max},
		{"rate", "COUNTER", 2 * time.Minute},
		{"irate", "COUNTER", 2 * time.Minute},
		{"increase", "COUNTER", 2 * time.Minute},
		{"resets", "COUNTER", max},
		{"xrate", "COUNTER", max},
		{"xincrease", "COUNTER", max},
		{"delta", "COUNT|SUM", 2 * time.Minute},
		{"idelta", "COUNT|SUM", 2 * time.Minute},
		{"deriv", "COUNT|SUM", 2 * time.Minute},
		{"predict_linear", "COUNT|SUM", 2 * time.Minute},
		{"holt_winters", "COUNT|SUM", 2 * time.Minute},
		{"double_exponential_smoothing", "COUNT|SUM", 2 * time.Minute},
	} {
		req := asked(t, &query.Options{MaxResolution: max}, nil, &storage.SelectHints{Start: 1200, End: 1900, Func: tc.fn, Range: 240_000})
		testutil.Equals(t, tc.aggregates, req.Aggregates.String(), tc.fn)
		testutil.Equals(t, tc.resolution, req.MaxResolution, tc.fn)
		testutil.Equals(t, tc.fn, req.Hints.Func)
	}
	req := asked(t, &query.Options{MaxResolution: max}, nil, &storage.SelectHints{Func: "rate"})
	testutil.Equals(t, max, req.MaxResolution, "an unknown range bounds nothing")
}

func TestRequestHints(t *testing.T) {
	t.Parallel()
	hints := &storage.SelectHints{
		Start: 1200, End: 1900, Step: 15_000, Func: "sum", Range: 60_000, Grouping: []string{"pod", "job"}, By: true, Limit: 7,
	}
	req := asked(t, nil, nil, hints)
	testutil.Equals(t, int64(1200), req.MinTime)
	testutil.Equals(t, int64(1900), req.MaxTime)
	testutil.Equals(t, 7, req.Limit)
	testutil.Equals(t, `[__name__="up"]`, fmt.Sprint(req.Matchers))
	testutil.Equals(t, store.QueryHints{Step: 15 * time.Second, Func: "sum", Range: time.Minute, Grouping: []string{"pod", "job"}, By: true}, *req.Hints)
	hints.Grouping[0] = "changed by the engine"
	testutil.Equals(t, "pod", req.Hints.Grouping[0])

	req = asked(t, nil, nil, &storage.SelectHints{ProjectionLabels: []string{"job"}, ProjectionInclude: true})
	testutil.Equals(t, store.QueryHints{ProjectionLabels: []string{"job"}, ProjectionInclude: true, SeriesHashLabel: "__series_hash__"}, *req.Hints)

	req = asked(t, nil, &query.QueryOptions{Limit: 3}, nil)
	testutil.Equals(t, int64(1000), req.MinTime, "without hints, the querier's bounds")
	testutil.Equals(t, int64(2000), req.MaxTime)
	testutil.Equals(t, 3, req.Limit)

	testutil.Assert(t, asked(t, nil, nil, &storage.SelectHints{Func: "series"}).SkipChunks, "the series API needs no chunks")
}

func TestRequestOptions(t *testing.T) {
	t.Parallel()
	opts := &query.Options{ReplicaLabels: []string{"replica"}, Strategy: store.Abort, MaxResolution: time.Hour}
	shard, any := &store.Shard{Index: 1, Total: 2, Labels: []string{"pod"}}, &store.Any{TypeURL: "x"}
	for name, tc := range map[string]struct {
		opts *query.QueryOptions
		want store.SeriesRequest
	}{
		"defaults": {nil, store.SeriesRequest{WithoutReplicaLabels: []string{"replica"}, Strategy: store.Abort, MaxResolution: time.Hour}},
		"dedup off": {
			&query.QueryOptions{Dedup: new(false), Strategy: new(store.Warn), MaxResolution: new(time.Duration(0))},
			store.SeriesRequest{},
		},
		"other replica labels": {
			&query.QueryOptions{Dedup: new(true), ReplicaLabels: []string{"a", "b"}, MaxResolution: new(time.Minute)},
			store.SeriesRequest{WithoutReplicaLabels: []string{"a", "b"}, Strategy: store.Abort, MaxResolution: time.Minute},
		},
		"no replica labels": {
			&query.QueryOptions{Dedup: new(true), ReplicaLabels: []string{}},
			store.SeriesRequest{WithoutReplicaLabels: []string{}, Strategy: store.Abort, MaxResolution: time.Hour},
		},
		"automatic resolution, shard, hints": {
			&query.QueryOptions{MaxResolution: new(query.AutoResolution), Shard: shard, StoreHints: any, Algorithm: dedup.Penalty{}},
			store.SeriesRequest{
				WithoutReplicaLabels: []string{"replica"}, Strategy: store.Abort, MaxResolution: 2 * time.Minute, Shard: shard, StoreHints: any,
			},
		},
		"shard of replicas that are told apart": {
			&query.QueryOptions{Shard: shard},
			store.SeriesRequest{
				Strategy: store.Abort, MaxResolution: time.Hour, Shard: &store.Shard{Index: 1, Total: 2, Labels: []string{"pod", "replica"}},
			},
		},
		"shard by labels, of replicas that are told apart": {
			&query.QueryOptions{Shard: &store.Shard{Index: 1, Total: 2, By: true, Labels: []string{"replica", "pod"}}},
			store.SeriesRequest{
				Strategy: store.Abort, MaxResolution: time.Hour, Shard: &store.Shard{Index: 1, Total: 2, By: true, Labels: []string{"pod"}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := asked(t, opts, tc.opts, &storage.SelectHints{Step: 600_000, Limit: 9})
			testutil.Equals(t, tc.want.WithoutReplicaLabels, got.WithoutReplicaLabels)
			testutil.Equals(t, tc.want.Strategy, got.Strategy)
			testutil.Equals(t, tc.want.MaxResolution, got.MaxResolution)
			testutil.Equals(t, tc.want.Shard, got.Shard)
			testutil.Assert(t, got.StoreHints == tc.want.StoreHints)
			testutil.Equals(t, got.Shard == nil, got.Limit == 9, "a limit is not asked for of a shard")
		})
	}
}

// TestRequestIdentity: replica labels are asked for where they are needed.
func TestRequestIdentity(t *testing.T) {
	t.Parallel()
	projected := &storage.SelectHints{ProjectionLabels: []string{"job"}, ProjectionInclude: true}
	for name, tc := range map[string]struct {
		algorithm dedup.Algorithm
		hints     *storage.SelectHints
		kept      bool
	}{
		"default":    {nil, projected, true},
		"follow":     {dedup.Follow{}, projected, true},
		"penalty":    {dedup.Penalty{}, projected, false},
		"chain":      {dedup.Chain{}, projected, false},
		"by pointer": {&dedup.Penalty{}, projected, false},
		"label sets": {nil, &storage.SelectHints{Func: "series"}, false},
		"limit":      {nil, &storage.SelectHints{Limit: 1}, false},
	} {
		got := asked(t, &query.Options{ReplicaLabels: []string{"replica"}, Algorithm: tc.algorithm}, nil, tc.hints)
		if tc.kept {
			testutil.Equals(t, 0, len(got.WithoutReplicaLabels), name)
			testutil.Equals(t, store.QueryHints{}, *got.Hints, "%s: a hash of all labels would tell replicas apart", name)
			continue
		}
		if tc.algorithm != nil {
			got := asked(t, &query.Options{ReplicaLabels: []string{"replica"}}, &query.QueryOptions{Algorithm: tc.algorithm}, tc.hints)
			testutil.Equals(t, []string{"replica"}, got.WithoutReplicaLabels, "%s, of one query", name)
		}
		testutil.Equals(t, []string{"replica"}, got.WithoutReplicaLabels, name)
		testutil.Equals(t, tc.hints.ProjectionLabels, got.Hints.ProjectionLabels, name)
	}
}

// able is a Store that says it can do everything by itself.
type able struct{ store.Func }

func (able) Describe(context.Context) (store.Info, error) {
	return store.Info{SupportsSharding: true, SupportsWithoutReplicaLabels: true}, nil
}

// TestStoresThatOnlyCount: a Store that shards and obeys limits, by the labels
// that it has, but keeps replica labels.
func TestStoresThatOnlyCount(t *testing.T) {
	t.Parallel()
	const pods = 20
	s := memstore.New(nil)
	for i := range pods {
		for _, r := range []string{"a", "b"} {
			lset := labels.FromStrings("__name__", "up", "pod", fmt.Sprint(i), "replica", r)
			testutil.Ok(t, s.Append(lset, 1500, float64(i)))
		}
	}
	naive := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		r := *req
		r.Shard, r.Limit, r.WithoutReplicaLabels = nil, 0, nil
		n := 0
		for series, err := range store.All(ctx, s, &r, nil) {
			if err != nil {
				return err
			}
			if req.Shard != nil && !req.Shard.Matches(series.Labels) {
				continue
			}
			if n++; req.Limit > 0 && n > req.Limit {
				return nil
			}
			if err := w.Send(series); err != nil {
				return err
			}
		}
		return nil
	})
	q := newQuerier(t, naive, &query.Options{ReplicaLabels: []string{"replica"}})
	all := 0
	for i := range int64(3) {
		lsets, _, err := q.Series(t.Context(), 1000, 2000, nil, &query.QueryOptions{Shard: &store.Shard{Index: i, Total: 3}})
		testutil.Ok(t, err)
		all += len(lsets)
	}
	testutil.Equals(t, pods, all, "each series is in one shard, whatever its replicas would be in")
	lsets, _, err := q.Series(t.Context(), 1000, 2000, nil, &query.QueryOptions{Limit: 7})
	testutil.Ok(t, err)
	testutil.Equals(t, 7, len(lsets))
}

// requests records what a query asks for.
func requests(tb testing.TB, opts *query.Options, ask func(*query.Querier) error) (out []*store.SeriesRequest) {
	q := newQuerier(tb, able{func(_ context.Context, r *store.SeriesRequest, _ store.SeriesWriter) error {
		out = append(out, r)
		return nil
	}}, opts)
	testutil.Ok(tb, ask(q))
	return out
}

// TestRequireOfAnyStore: what tells of members need not be a fan-out.
func TestRequireOfAnyStore(t *testing.T) {
	t.Parallel()
	for _, status := range []store.MemberStatus{store.Answered, store.Failed} {
		s := store.Func(func(_ context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
			req.Outcome.AddMember(store.MemberOutcome{Member: "eu", Status: status, LabelSets: []labels.Labels{labels.FromStrings("cluster", "eu")}})
			return nil
		})
		q := newQuerier(t, s, nil)
		opts := &query.QueryOptions{Require: [][]*labels.Matcher{{equals("cluster", "eu")}}}
		_, err := q.Instant(t.Context(), "up", time.UnixMilli(1000), opts)
		testutil.Equals(t, status != store.Answered, errors.Is(err, store.ErrIncomplete))
		_, _, err = q.LabelNames(t.Context(), 0, 1000, nil, opts)
		testutil.Equals(t, status != store.Answered, errors.Is(err, store.ErrIncomplete))
	}
}

func TestResolutionAndLookbackOfQueries(t *testing.T) {
	t.Parallel()
	ctx, at := context.Background(), time.UnixMilli(7_200_000)
	instant := func(o *query.QueryOptions) func(*query.Querier) error {
		return func(q *query.Querier) error {
			_, err := q.Instant(ctx, "up", at, o)
			return err
		}
	}
	for name, tc := range map[string]struct {
		opts       *query.Options
		ask        func(*query.Querier) error
		resolution time.Duration
		lookback   time.Duration
	}{
		"instant":                   {nil, instant(nil), 0, 5 * time.Minute},
		"instant, automatic":        {&query.Options{MaxResolution: query.AutoResolution}, instant(nil), 0, 5 * time.Minute},
		"instant, 5m":               {&query.Options{MaxResolution: 5 * time.Minute}, instant(nil), 5 * time.Minute, 5 * time.Minute},
		"instant, 1h":               {nil, instant(&query.QueryOptions{MaxResolution: new(time.Hour)}), time.Hour, time.Hour},
		"instant, 6m":               {nil, instant(&query.QueryOptions{MaxResolution: new(6 * time.Minute)}), 6 * time.Minute, time.Hour},
		"a lookback that is given":  {nil, instant(&query.QueryOptions{MaxResolution: new(time.Hour), LookbackDelta: time.Minute}), time.Hour, time.Minute},
		"a short lookback":          {&query.Options{LookbackDelta: time.Minute}, instant(nil), 0, time.Minute},
		"a short lookback, coarser": {&query.Options{LookbackDelta: time.Minute, MaxResolution: 2 * time.Minute}, instant(nil), 2 * time.Minute, 5 * time.Minute},
		"a long lookback":           {&query.Options{LookbackDelta: 20 * time.Minute, MaxResolution: 10 * time.Minute}, instant(nil), 10 * time.Minute, 20 * time.Minute},
		"a longer lookback":         {&query.Options{LookbackDelta: 2 * time.Hour, MaxResolution: 3 * time.Hour}, instant(nil), 3 * time.Hour, 2 * time.Hour},
		"range, automatic": {
			&query.Options{MaxResolution: query.AutoResolution},
			func(q *query.Querier) error {
				_, err := q.Range(ctx, "up", at, at.Add(time.Hour), 10*time.Minute, nil)
				return err
			},
			2 * time.Minute, 5 * time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reqs := requests(t, tc.opts, tc.ask)
			testutil.Equals(t, 1, len(reqs))
			testutil.Equals(t, tc.resolution, reqs[0].MaxResolution)
			testutil.Equals(t, tc.lookback, time.Duration(at.UnixMilli()-reqs[0].MinTime+1)*time.Millisecond)
		})
	}
}

// TestSharding: a store that does not shard has it done for it, by the labels that
// are returned.
func TestSharding(t *testing.T) {
	t.Parallel()
	var all []*store.Series
	for i := range 40 {
		for _, r := range []string{"a", "b"} {
			all = append(all, &store.Series{
				Labels: labels.FromStrings("__name__", "up", "pod", fmt.Sprintf("%02d", i), "replica", r),
				Chunks: []store.Chunk{raw(t, floats(1, float64(i)))},
			})
		}
	}
	q := newQuerier(t, plainStore(all...), &query.Options{ReplicaLabels: []string{"replica"}})
	union := map[string]bool{}
	for i := range int64(3) {
		got := read(t, q, 0, 10, nil, &query.QueryOptions{Shard: &store.Shard{Index: i, Total: 3}})
		testutil.Assert(t, len(got) > 0 && len(got) < 40, "%d series in shard", len(got))
		for l := range got {
			testutil.Assert(t, !union[l], "%s is in two shards", l)
			union[l] = true
		}
	}
	testutil.Equals(t, 40, len(union))

	clear(union)
	for i := range uint64(2) {
		for l := range read(t, q, 0, 10, &storage.SelectHints{ShardCount: 2, ShardIndex: i}, nil) {
			testutil.Assert(t, !union[l], "%s is in two shards", l)
			union[l] = true
		}
	}
	testutil.Equals(t, 40, len(union))

	testutil.Equals(t, 5, len(read(t, q, 0, 10, &storage.SelectHints{Limit: 5}, nil)))
}
