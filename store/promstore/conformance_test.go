package promstore_test

import (
	"context"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestConformance runs the kit over a Prometheus with either kind of remote
// read.
func TestConformance(t *testing.T) {
	t.Parallel()
	const raw = "a Prometheus has raw data only"
	for _, tc := range []struct {
		name        string
		samplesOnly bool
		lacks       map[storetest.Feature]string
	}{
		{"streamed", false, map[storetest.Feature]string{storetest.DownsampledData: raw}},
		{"sampled", true, map[storetest.Feature]string{
			storetest.DownsampledData: raw,
			storetest.CustomBuckets:   "remote read in samples leaves out their bounds",
			storetest.NegativeZero:    "remote read in samples leaves out values that compare equal to 0",
			storetest.LargeSeries:     "a head is read in quadratic time if it is asked for samples; streamed is the same from there on",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Harness{
				New: func(t testing.TB, f *storetest.Fixture) store.Store {
					prom := newFake(t.(*testing.T))
					prom.samplesOnly = tc.samplesOnly
					var external []string
					f.ExternalLabels().Range(func(l labels.Label) { external = append(external, l.Name, l.Value) })
					prom.setExternal(external...)
					app := prom.db.Appender(context.Background())
					testutil.Ok(t, f.Append(t.Context(), app))
					testutil.Ok(t, app.Commit())
					return prom.store(t.(*testing.T), promstore.Options{})
				},
				Lacks: tc.lacks,
			})
		})
	}
}
