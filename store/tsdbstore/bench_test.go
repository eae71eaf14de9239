package tsdbstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

const (
	benchSeries  = 10_000
	benchSamples = 100
)

// benchDB has ten thousand series of eight labels with a chunk each, in the
// head or in a block.
func benchDB(b *testing.B, compact bool) *tsdb.DB {
	db := openDB(b)
	app := db.Appender(context.Background())
	for i := range benchSeries {
		lset := labels.FromStrings(
			"__name__", fmt.Sprintf("node_something_seconds_total_%d", i%100), "cluster", "eu-west-1", "container", "node-exporter",
			"endpoint", "https", "instance", fmt.Sprintf("10.0.%d.%d:9100", i/100/250, i/100%250), "job", "node-exporter", "namespace", "monitoring", "pod", fmt.Sprintf("node-exporter-%d", i/100),
		)
		for t := range int64(benchSamples) {
			appendTo(b, app, lset, t*15_000, float64(t*int64(i)%1000))
		}
	}
	if compact { // one sample late enough to end the two hours before
		appendTo(b, app, labels.FromStrings("late", "1"), 5*hour, 1.0)
	}
	testutil.Ok(b, app.Commit())
	if compact {
		testutil.Ok(b, db.Compact(context.Background()))
		testutil.Equals(b, 1, len(db.Blocks()))
	}
	return db
}

func BenchmarkSeries(b *testing.B) {
	for _, compact := range []bool{false, true} {
		where := "head"
		if compact {
			where = "block"
		}
		db := benchDB(b, compact)
		for _, bc := range []struct {
			name string
			skip bool
			w    func() store.SeriesWriter
			mw   []store.Middleware
		}{
			{"frames", false, func() store.SeriesWriter { return &frameWriter{} }, nil},
			{"frames, external labels", false, func() store.SeriesWriter { return &frameWriter{} }, []store.Middleware{store.WithExternalLabels(labels.FromStrings("prometheus", "a", "replica", "0"))}},
			{"frames, labels only", true, func() store.SeriesWriter { return &frameWriter{} }, nil},
			{"plain", false, func() store.SeriesWriter { return &discard{} }, nil},
		} {
			b.Run(where+"/"+bc.name, func(b *testing.B) {
				s := store.Wrap(tsdbstore.New(db, nil), bc.mw...)
				req := &store.SeriesRequest{MaxTime: hour, SkipChunks: bc.skip}
				b.ReportAllocs()
				for b.Loop() {
					testutil.Ok(b, s.Series(context.Background(), req, bc.w()))
				}
				b.ReportMetric(float64(b.N*benchSeries)/b.Elapsed().Seconds(), "series/s")
			})
		}
	}
}

type discard struct{}

func (discard) Send(*store.Series) error { return nil }
func (discard) Warn(err error) error     { return err }
