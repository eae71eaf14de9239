package remoteread_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/promstore"
	"github.com/thanoskit/thanoskit/store/remoteread"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestConformance runs the kit over a Store that is served and read again, in
// either form.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, samplesOnly := range map[string]bool{"streamed": false, "sampled": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Harness{
				New: func(t testing.TB, f *storetest.Fixture) store.Store {
					s := memstore.New(nil)
					for _, series := range f.Series() {
						testutil.Ok(t, s.AddSeries(series))
					}
					r, err := promstore.NewRemoteRead(serve(t, s, &remoteread.Options{MaxConcurrent: 100}), &promstore.RemoteReadOptions{
						SamplesOnly: samplesOnly, ExternalLabels: f.ExternalLabels(),
					})
					testutil.Ok(t, err)
					t.Cleanup(func() { testutil.Ok(t, r.Close()) })
					return r
				},
				Lacks: map[storetest.Feature]string{storetest.DownsampledData: "remote read has raw data only"},
			})
		})
	}
}
