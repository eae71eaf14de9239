package tsdbstore_test

import (
	"context"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

// TestConformance runs the kit over the head of a TSDB, and over a block beside
// a head.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		block bool
	}{{"head", false}, {"block and head", true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Harness{
				New: func(t testing.TB, f *storetest.Fixture) store.Store {
					db := openDB(t)
					app := db.Appender(context.Background())
					testutil.Ok(t, f.Append(t.Context(), app))
					testutil.Ok(t, app.Commit())
					if mint, maxt := f.TimeRange(); tc.block {
						testutil.Ok(t, db.CompactHead(tsdb.NewRangeHead(db.Head(), mint, (mint+maxt)/2)))
					}
					return store.Wrap(tsdbstore.New(db, nil), store.WithExternalLabels(f.ExternalLabels()))
				},
				Lacks: map[storetest.Feature]string{storetest.DownsampledData: "a TSDB holds raw data only"},
			})
		})
	}
}
