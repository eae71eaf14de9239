package tsdbstore_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

// TestConformanceOfSamples runs the kit over a TSDB of which only the samples are
// read.
func TestConformanceOfSamples(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB, f *storetest.Fixture) store.Store {
			db := openDB(t)
			app := db.Appender(t.Context())
			testutil.Ok(t, f.Append(t.Context(), app))
			testutil.Ok(t, app.Commit())
			return store.Wrap(tsdbstore.NewQueryable(db, nil), store.WithExternalLabels(f.ExternalLabels()))
		},
		Lacks: map[storetest.Feature]string{storetest.DownsampledData: "a TSDB holds raw data only"},
	})
}
