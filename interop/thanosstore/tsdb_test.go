package thanosstore

import (
	"context"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanos-io/thanos/pkg/component"
	"github.com/thanos-io/thanos/pkg/info"
	"github.com/thanos-io/thanos/pkg/info/infopb"
	thanos "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

// fixtureTSDB is a TSDB with the fixture of the conformance kit.
func fixtureTSDB(t testing.TB, f *storetest.Fixture) *tsdb.DB {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(t.TempDir(), nil, nil, opts, nil)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, db.Close()) })
	app := db.Appender(context.WithoutCancel(t.Context()))
	testutil.Ok(t, f.Append(t.Context(), app))
	testutil.Ok(t, app.Commit())
	return db
}

// tsdbStore is Thanos' store over a TSDB, with the Info that its sidecar and ruler
// announce of it.
func tsdbStore(t testing.TB, f *storetest.Fixture) (*thanos.TSDBStore, *thanosstore.Options) {
	t.Helper()
	s := thanos.NewTSDBStore(nil, fixtureTSDB(t, f), component.Rule, f.ExternalLabels())
	srv := info.NewInfoServer(component.Rule.String(),
		info.WithLabelSetFunc(func() []labelpb.ZLabelSet { return s.LabelSet() }),
		info.WithStoreInfoFunc(func() (*infopb.StoreInfo, error) {
			mint, maxt := s.TimeRange()
			return &infopb.StoreInfo{
				MinTime: mint, MaxTime: maxt, SupportsSharding: true, SupportsWithoutReplicaLabels: true, TsdbInfos: s.TSDBInfos(),
			}, nil
		}))
	return s, &thanosstore.Options{Info: func(ctx context.Context) (*infopb.InfoResponse, error) {
		return srv.Info(ctx, new(infopb.InfoRequest))
	}}
}

// TestTSDBStore runs the kit over Thanos' TSDB store, called directly, behind the
// middleware that does what it leaves undone.
func TestTSDBStore(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB, f *storetest.Fixture) store.Store {
			srv, opts := tsdbStore(t, f)
			return store.Wrap(thanosstore.FromServer(srv, opts), store.WithExternalLabels(labels.EmptyLabels()))
		},
		Lacks: map[storetest.Feature]string{storetest.DownsampledData: "a TSDB holds raw data"},
		Skip: map[string]string{
			"matchers-external": "Thanos refuses a request that has no matchers but on external labels",
			"matchers-none":     "Thanos refuses a request without matchers",
		},
	})
}

// TestTSDBStoreFails pins what Thanos' TSDB store does wrong by itself.
func TestTSDBStoreFails(t *testing.T) {
	f, err := storetest.NewFixture(&storetest.FixtureOptions{Lacks: []storetest.Feature{storetest.DownsampledData}})
	testutil.Ok(t, err)
	results, err := storetest.Check(t.Context(), thanosstore.FromServer(tsdbStore(t, f)), nil)
	testutil.Ok(t, err)
	var failed []string
	for _, r := range results {
		if r.Status == storetest.Failed {
			failed = append(failed, r.Check)
		}
	}
	testutil.Equals(t, []string{"matchers-external", "matchers-none", "label-queries-replica-labels"}, failed)
}
