package interop

import (
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/thanos-io/thanos/pkg/component"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

// tsdbOf opens a TSDB with the given number of series, of floats and histograms,
// the older half of whose samples is in blocks.
func tsdbOf(t testing.TB, series int) *tsdb.DB {
	t.Helper()
	const hour = 3_600_000
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(t.TempDir(), nil, nil, opts, nil)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, db.Close()) })
	app := db.Appender(t.Context())
	for ts := int64(0); ts < 4*hour; ts += 2 * 60_000 {
		for i := range series {
			lset := labels.FromStrings("__name__", fmt.Sprintf("m%d", i%10), "instance", fmt.Sprint(i/10), "job", "node", "replica", fmt.Sprint(i%2))
			if i%20 == 19 {
				_, err = app.AppendHistogram(0, lset, ts, tsdbutil.GenerateTestHistogram(ts/1000), nil)
			} else {
				_, err = app.Append(0, lset, ts, float64(ts*int64(i)%1009))
			}
			testutil.Ok(t, err)
		}
	}
	testutil.Ok(t, app.Commit())
	testutil.Ok(t, db.Compact(t.Context()))
	testutil.Assert(t, len(db.Blocks()) > 0)
	return db
}

// tsdbStores returns Thanos' store and ours over the same TSDB.
func tsdbStores(db *tsdb.DB, external ...string) (*thanosstore.TSDBStore, store.Store) {
	lset := labels.FromStrings(external...)
	return thanosstore.NewTSDBStore(nil, db, component.Sidecar, lset),
		store.Wrap(tsdbstore.New(db, nil), store.WithExternalLabels(lset))
}

// What our store sends of a TSDB is what Thanos' store sends of it, chunk by
// chunk and in the same order.
func TestTSDBStoreEqualsThanos(t *testing.T) {
	thanos, ours := tsdbStores(tsdbOf(t, 200), "cluster", "eu", "instance", "overridden", "replica", "z")
	name := func(v string) []storepb.LabelMatcher {
		return []storepb.LabelMatcher{{Type: storepb.LabelMatcher_RE, Name: "__name__", Value: v}}
	}
	for what, req := range map[string]*storepb.SeriesRequest{
		"everything":             {MaxTime: math.MaxInt64, Matchers: name(".+")},
		"a moment":               {MinTime: 3_000_000, MaxTime: 3_000_000, Matchers: name("m[1-3]")},
		"head and block":         {MinTime: 6_000_000, MaxTime: 8_000_000, Matchers: name("m9")},
		"external label":         {MaxTime: math.MaxInt64, Matchers: append(name("m9"), storepb.LabelMatcher{Name: "cluster", Value: "eu"})},
		"other external label":   {MaxTime: math.MaxInt64, Matchers: append(name("m9"), storepb.LabelMatcher{Name: "cluster", Value: "us"})},
		"without replica labels": {MaxTime: math.MaxInt64, Matchers: name("m.*"), WithoutReplicaLabels: []string{"replica", "instance"}},
		"labels only":            {MaxTime: math.MaxInt64, Matchers: name("m.*"), SkipChunks: true, WithoutReplicaLabels: []string{"cluster"}},
		"shard":                  {MaxTime: math.MaxInt64, Matchers: name("m.*"), ShardInfo: &storepb.ShardInfo{ShardIndex: 1, TotalShards: 3, By: true, Labels: []string{"__name__"}}},
		"shard by other labels":  {MaxTime: math.MaxInt64, Matchers: name("m.*"), WithoutReplicaLabels: []string{"replica"}, ShardInfo: &storepb.ShardInfo{TotalShards: 2, Labels: []string{"job"}}},
	} {
		want := &seriesAnswer{}
		testutil.Ok(t, thanos.Series(req, &proxyReader{ctx: t.Context(), answer: want}), what)
		got, err := ourAnswerOf(t, ours, requestOfThanos(t, req))
		testutil.Ok(t, err)
		requireAnswer(t, want, got)
		testutil.Assert(t, len(got.Series) > 0 || what == "other external label", what)
	}
}

// requestOfThanos translates what TestTSDBStoreEqualsThanos asks.
func requestOfThanos(t testing.TB, in *storepb.SeriesRequest) *store.SeriesRequest {
	t.Helper()
	ms, err := storepb.MatchersToPromMatchers(in.Matchers...)
	testutil.Ok(t, err)
	out := &store.SeriesRequest{MinTime: in.MinTime, MaxTime: in.MaxTime, Matchers: ms, SkipChunks: in.SkipChunks, WithoutReplicaLabels: in.WithoutReplicaLabels}
	if s := in.ShardInfo; s != nil {
		out.Shard = &store.Shard{Index: s.ShardIndex, Total: s.TotalShards, By: s.By, Labels: s.Labels}
	}
	return out
}

// tsdbCounter counts the series of frames.
type tsdbCounter struct{ series int }

func (c *tsdbCounter) Send(*store.Series) error { c.series++; return nil }
func (c *tsdbCounter) Warn(err error) error     { return err }

func (c *tsdbCounter) SendFrame(f *encoded.Frame) error {
	c.series += len(f.Series)
	return nil
}

// TestRatioTSDBStore reads a TSDB of ten thousand series through both stores.
func TestRatioTSDBStore(t *testing.T) {
	const series = 10_000
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(t.TempDir(), nil, nil, opts, nil)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, db.Close()) })
	app := db.Appender(t.Context())
	for _, s := range kubeSeries(series) {
		lset := labelpb.ZLabelsToPromLabels(s.Labels)
		for ts := range int64(100) {
			_, err := app.Append(0, lset, ts*15_000, float64(ts*7%31))
			testutil.Ok(t, err)
		}
	}
	testutil.Ok(t, app.Commit())
	req := &storepb.SeriesRequest{MaxTime: math.MaxInt64, ResponseBatchSize: ratioBatch, Matchers: []storepb.LabelMatcher{{Type: storepb.LabelMatcher_NEQ, Name: "none", Value: "x"}}}
	ourReq := requestOfThanos(t, req)
	for name, external := range map[string][]string{"no external labels": nil, "external labels": {"prometheus", "monitoring/k8s", "prometheus_replica", "prometheus-k8s-0"}} {
		t.Run(name, func(t *testing.T) {
			thanos, ours := tsdbStores(db, external...)
			want := &seriesAnswer{}
			testutil.Ok(t, thanos.Series(req, &proxyReader{ctx: t.Context(), answer: want}))
			got, err := ourAnswerOf(t, ours, ourReq)
			testutil.Ok(t, err)
			requireAnswer(t, want, got)

			_, us, r := pair.Work{
				Thanos: func() {
					w := &proxyReader{ctx: t.Context()}
					testutil.Ok(t, thanos.Series(req, w))
					testutil.Equals(t, series, w.series)
				},
				Ours: func() {
					w := &tsdbCounter{}
					testutil.Ok(t, ours.Series(t.Context(), ourReq, w))
					testutil.Equals(t, series, w.series)
				},
				Items: series,
			}.Compare(t, *ratioPairs)
			// What is left is the TSDB's own: labels, chunk metas, a copy of the chunk.
			testutil.Assert(t, us.Allocs <= 7*series, "%.0f allocations", us.Allocs)
			testutil.Assert(t, r.N == 0 || r.Median >= 1.2, "median %.2f", r.Median)
		})
	}
}
