package memstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// large returns a Store of 100000 series of 100 metrics, a chunk each.
func large(b *testing.B) *memstore.Store {
	s := memstore.New(nil)
	for i := range 100_000 {
		lset := labels.FromStrings("__name__", fmt.Sprintf("metric_%d", i%100), "instance", fmt.Sprintf("host-%d", i/100), "job", "node")
		for t := range int64(10) {
			testutil.Ok(b, s.Append(lset, t*15_000, float64(t)))
		}
	}
	return s
}

func BenchmarkAppend(b *testing.B) {
	var s memstore.Store
	lset := labels.FromStrings("__name__", "up", "instance", "host-1", "job", "node")
	b.ReportAllocs()
	t := int64(0)
	for b.Loop() {
		if err := s.Append(lset, t*15_000, float64(t)); err != nil {
			b.Fatal(err)
		}
		t++
	}
}

func BenchmarkSeries(b *testing.B) {
	s := large(b)
	for _, bc := range []struct {
		name string
		ms   []*labels.Matcher
		skip bool
		want int
	}{
		{"all", nil, false, 100_000},
		{"all, labels only", nil, true, 100_000},
		{"one metric", []*labels.Matcher{matcher(labels.MatchEqual, "__name__", "metric_7")}, false, 1000},
		{"one metric, regular expression", []*labels.Matcher{matcher(labels.MatchEqual, "__name__", "metric_7"), matcher(labels.MatchRegexp, "instance", "host-.*7")}, false, 100},
		{"one series", []*labels.Matcher{matcher(labels.MatchEqual, "__name__", "metric_7"), matcher(labels.MatchEqual, "instance", "host-7")}, false, 1},
	} {
		b.Run(bc.name, func(b *testing.B) {
			req := &store.SeriesRequest{MaxTime: 1 << 40, Matchers: bc.ms, SkipChunks: bc.skip}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				w := &counter{}
				if err := s.Series(context.Background(), req, w); err != nil {
					b.Fatal(err)
				}
				if w.n != bc.want {
					b.Fatalf("%d series, want %d", w.n, bc.want)
				}
				n += w.n
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "series/s")
		})
	}
	b.Run("label values", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			values, err := s.LabelValues(context.Background(), &store.LabelValuesRequest{Label: "instance", MaxTime: 1 << 40})
			if err != nil || len(values) != 1000 {
				b.Fatal(len(values), err)
			}
		}
	})
}

type counter struct{ n int }

func (w *counter) Send(*store.Series) error { w.n++; return nil }
func (w *counter) Warn(err error) error     { return err }
