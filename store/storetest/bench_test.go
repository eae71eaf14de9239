package storetest_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// BenchmarkReference is what the other Stores can be compared with.
func BenchmarkReference(b *testing.B) {
	storetest.Benchmark(b, storetest.Harness{New: held})
}

// held returns a memstore that holds a fixture, external labels and all.
func held(t testing.TB, f *storetest.Fixture) store.Store {
	s := memstore.New(&memstore.Options{LabelSets: []labels.Labels{f.ExternalLabels()}})
	for _, x := range f.Sent() {
		testutil.Ok(t, s.AddSeries(x))
	}
	for _, d := range f.Downsampled() {
		b := labels.NewBuilder(d.Series.Labels)
		f.ExternalLabels().Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
		d.Series.Labels = b.Labels()
		testutil.Ok(t, s.AddDownsampled(d.Resolution, d.Series))
	}
	return s
}
