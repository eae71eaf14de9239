package promqlstore_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/promqlstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestConformance runs the kit over a querier of a Store.
func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB, f *storetest.Fixture) store.Store {
			s := memstore.New(nil)
			for _, series := range f.Series() {
				testutil.Ok(t, s.AddSeries(series))
			}
			mint, maxt := f.TimeRange()
			r := newPeer(t, s).store(t, promqlstore.Options{MinTime: mint, MaxTime: maxt})
			return store.Wrap(r, store.WithExternalLabels(f.ExternalLabels()))
		},
		Lacks: map[storetest.Feature]string{
			storetest.DownsampledData:  "PromQL is asked for raw data only",
			storetest.NativeHistograms: "the JSON of PromQL does not give enough of them",
			storetest.CustomBuckets:    "the JSON of PromQL does not give enough of them",
		},
		Skip: map[string]string{"stale-markers": "PromQL drops them"},
	})
}
