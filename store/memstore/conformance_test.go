package memstore_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestConformance runs the kit over the Store behind middleware that applies
// external labels, and by itself, when it holds them as its own.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		new  func(t testing.TB, f *storetest.Fixture) store.Store
	}{
		{"external labels applied", func(t testing.TB, f *storetest.Fixture) store.Store {
			s := memstore.New(nil)
			load(t, s, f, f.Series(), labels.EmptyLabels())
			return store.Wrap(s, store.WithExternalLabels(f.ExternalLabels()))
		}},
		{"external labels stored", func(t testing.TB, f *storetest.Fixture) store.Store {
			s := memstore.New(&memstore.Options{LabelSets: []labels.Labels{f.ExternalLabels()}})
			load(t, s, f, f.Sent(), f.ExternalLabels())
			return s
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Harness{New: tc.new})
		})
	}
}

func load(t testing.TB, s *memstore.Store, f *storetest.Fixture, series []*store.Series, external labels.Labels) {
	t.Helper()
	for _, x := range series {
		testutil.Ok(t, s.AddSeries(x))
	}
	for _, d := range f.Downsampled() {
		b := labels.NewBuilder(d.Series.Labels)
		external.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
		d.Series.Labels = b.Labels()
		testutil.Ok(t, s.AddDownsampled(d.Resolution, d.Series))
	}
}
