package thanosstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanos-io/thanos/pkg/component"
	thanos "github.com/thanos-io/thanos/pkg/store"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

// Our member is one of Thanos' proxy.
var _ thanos.Client = (*thanosstore.Client)(nil)

// member makes a Store one of Thanos' proxy.
func member(t testing.TB, name string, s store.Store) *thanosstore.Client {
	t.Helper()
	c := thanosstore.NewClient(name, s, nil)
	testutil.Ok(t, c.Sync(t.Context()))
	return c
}

// proxy is Thanos' fan-out as a Store.
func proxy(how thanos.RetrievalStrategy, members ...thanos.Client) store.Store {
	p := thanos.NewProxyStore(nil, nil, func() []thanos.Client { return members }, component.Query, labels.EmptyLabels(), time.Minute, how)
	return thanosstore.FromServer(p, &thanosstore.Options{Name: "proxy"})
}

// cluster is a Store with series of a cluster's two replicas.
func cluster(t testing.TB, name string, series int) store.Store {
	t.Helper()
	m := memstore.New(nil)
	for i := range series {
		for _, replica := range []string{"0", "1"} {
			for ts := range int64(200) {
				testutil.Ok(t, m.Append(labels.FromStrings("__name__", "m", "i", fmt.Sprintf("%03d", i), "replica", replica), 1000*ts, float64(ts)))
			}
		}
	}
	return store.Wrap(m, store.WithExternalLabels(labels.FromStrings("cluster", name)))
}

// show asks for series and shows labels and the times of chunks; parts of a
// series are put together.
func show(t testing.TB, s store.Store, req *store.SeriesRequest) (out []string, err error) {
	t.Helper()
	var last labels.Labels
	for series, err := range store.All(t.Context(), s, req, nil) {
		if err != nil {
			return nil, err
		}
		if len(out) == 0 || !labels.Equal(last, series.Labels) {
			out = append(out, series.Labels.String())
		}
		last = series.Labels
		for _, c := range series.Chunks {
			out[len(out)-1] += fmt.Sprintf(" %d..%d:%d", c.MinTime, c.MaxTime, len(c.Raw.Bytes))
		}
	}
	return out, nil
}

// Thanos' proxy over our Stores answers what our fan-out over them does.
func TestProxyOverOurStores(t *testing.T) {
	a, b := cluster(t, "a", 50), cluster(t, "b", 70)
	ours, err := fanout.New(fanout.Static(fanout.Member{Name: "a", Store: a}, fanout.Member{Name: "b", Store: b}, fanout.Member{Name: "a again", Store: a}), nil)
	testutil.Ok(t, err)
	members := []thanos.Client{member(t, "a", a), member(t, "b", b), member(t, "a again", a)}
	m := labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")
	for name, req := range map[string]*store.SeriesRequest{
		"everything":             {Matchers: []*labels.Matcher{m}},
		"labels only":            {Matchers: []*labels.Matcher{m}, SkipChunks: true},
		"one cluster":            {Matchers: []*labels.Matcher{m, labels.MustNewMatcher(labels.MatchEqual, "cluster", "b")}},
		"without replica labels": {Matchers: []*labels.Matcher{m}, WithoutReplicaLabels: []string{"replica"}},
		"first shard":            {Matchers: []*labels.Matcher{m}, Shard: &store.Shard{Total: 3, By: true, Labels: []string{"i"}}},
		"last shard":             {Matchers: []*labels.Matcher{m}, Shard: &store.Shard{Index: 2, Total: 3, Labels: []string{"replica"}}, WithoutReplicaLabels: []string{"replica"}},
		"a moment":               {MinTime: 5_000, MaxTime: 5_000, Matchers: []*labels.Matcher{m}},
	} {
		if req.MaxTime == 0 {
			req.MaxTime = math.MaxInt64
		}
		want, err := show(t, ours, req)
		testutil.Ok(t, err)
		testutil.Assert(t, len(want) > 20, name)
		for _, how := range []thanos.RetrievalStrategy{thanos.EagerRetrieval, thanos.LazyRetrieval} {
			got, err := show(t, proxy(how, members...), req)
			testutil.Ok(t, err)
			testutil.Equals(t, want, got, "%s, %s", name, how)
		}
	}
}

// Of members that do not shard, the proxy lets through only what belongs to the
// shard, which it can of single series only.
func TestProxyOverMembersWithoutSharding(t *testing.T) {
	plain := memstore.New(nil)
	for i := range 100 {
		testutil.Ok(t, plain.Append(labels.FromStrings("__name__", "m", "i", fmt.Sprintf("%03d", i)), 1000, 1))
	}
	bare := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		r := *req
		r.Shard = nil
		return plain.Series(ctx, &r, w)
	})
	s := proxy(thanos.LazyRetrieval, member(t, "bare", bare))
	var all []string
	for i := range int64(3) {
		got, err := show(t, s, &store.SeriesRequest{
			MaxTime: math.MaxInt64, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "m")},
			Shard: &store.Shard{Index: i, Total: 3, By: true, Labels: []string{"i"}},
		})
		testutil.Ok(t, err)
		testutil.Assert(t, len(got) > 10 && len(got) < 60, "%d series", len(got))
		all = append(all, got...)
	}
	slices.Sort(all)
	testutil.Equals(t, 100, len(slices.Compact(all)))
	testutil.Equals(t, 100, len(all))
}

// A member that fails is a warning, or the error of the call; either way the
// others end, as goleak sees.
func TestProxyOverMembersThatFail(t *testing.T) {
	good := cluster(t, "a", 300)
	bad := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		if err := w.Send(&store.Series{Labels: labels.FromStrings("__name__", "bad")}); err != nil {
			return err
		}
		return errors.New("disk on fire")
	})
	panics := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { panic("oops") })
	req := &store.SeriesRequest{MaxTime: math.MaxInt64, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotEqual, "__name__", "")}}
	for _, how := range []thanos.RetrievalStrategy{thanos.EagerRetrieval, thanos.LazyRetrieval} {
		s := proxy(how, member(t, "good", good), member(t, "bad", bad), member(t, "panics", panics))
		var out store.Outcome
		n := 0
		for _, err := range store.All(t.Context(), s, req, &out) {
			testutil.Ok(t, err)
			n++
		}
		testutil.Assert(t, n >= 600, "%d series", n)
		texts := fmt.Sprint(out.Warnings())
		testutil.Assert(t, strings.Contains(texts, "disk on fire") && strings.Contains(texts, "oops"), texts)

		strict := *req
		strict.Strategy = store.Abort
		_, err := show(t, s, &strict)
		testutil.Assert(t, errors.Is(err, store.ErrIncomplete), "%s: %v", how, err) // what Aborted stands for

		for range store.All(t.Context(), s, req, nil) { // and who has had enough ends it
			break
		}
	}
}

// The tenant reaches a member behind the proxy.
func TestTenantThroughProxy(t *testing.T) {
	var tenant string
	asked := store.Func(func(_ context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
		tenant = req.Tenant
		return nil
	})
	_, err := show(t, proxy(thanos.EagerRetrieval, member(t, "x", asked)), &store.SeriesRequest{
		Tenant: "team-a", MaxTime: 1, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")},
	})
	testutil.Ok(t, err)
	testutil.Equals(t, "team-a", tenant)
}

// A fan-out of ours that asks itself by way of Thanos' proxy finds out.
func TestLoopThroughProxy(t *testing.T) {
	var members []fanout.Member
	through := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		return members[0].Store.Series(ctx, req, w)
	})
	top, err := fanout.New(fanout.Static(fanout.Member{Name: "proxy", Store: through}), &fanout.Options{Name: "top"})
	testutil.Ok(t, err)
	members = []fanout.Member{{Store: proxy(thanos.EagerRetrieval, member(t, "top", top))}}
	var out store.Outcome
	for _, err := range store.All(t.Context(), top, &store.SeriesRequest{
		MaxTime: 1, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "b")},
	}, &out) {
		testutil.Ok(t, err)
	}
	testutil.Assert(t, strings.Contains(fmt.Sprint(out.Warnings(), out.Members()), "circle"), "%v", out.Warnings())
}

// TestProxyConformance runs the kit over Thanos' proxy over one of our Stores.
func TestProxyConformance(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB, f *storetest.Fixture) store.Store {
			m := memstore.New(nil)
			for _, s := range f.Series() {
				testutil.Ok(t, m.AddSeries(s))
			}
			for _, d := range f.Downsampled() {
				testutil.Ok(t, m.AddDownsampled(d.Resolution, d.Series))
			}
			return proxy(thanos.LazyRetrieval, member(t, "memory", store.Wrap(m, store.WithExternalLabels(f.ExternalLabels()))))
		},
		Skip: map[string]string{
			"matchers-none": "Thanos refuses a request without matchers",
		},
	})
}
