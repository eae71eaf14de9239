package storetest

import (
	"errors"
	"strconv"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// Of what Benchmark reads.
const (
	benchSeries  = 2000
	benchSamples = 2 * store.SamplesPerChunk
)

// Benchmark measures a kind of Store that holds 2000 series of 240 samples: as
// it is, and behind a gRPC server. Of the Harness, only New and ExternalLabels
// count.
//
//	series        reading all series with their chunks; in series per second
//	first-series  the time until the first series arrives
//	skip-chunks   reading the labels of all series
//	label-names   asking for all label names
func Benchmark(b *testing.B, h Harness) {
	b.Helper()
	o, err := (&FixtureOptions{ExternalLabels: h.ExternalLabels}).withDefaults()
	if err != nil {
		b.Fatal(err)
	}
	f, err := fixtureOf(o.ExternalLabels, benchFamilies(o.Start))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("direct", func(b *testing.B) { benchStore(b, h.New(b, f), f) })
	b.Run("grpc", func(b *testing.B) {
		client, err := grpcstore.NewClient(serve(b, h.New(b, f)), "measured", nil)
		if err != nil {
			b.Fatal(err)
		}
		benchStore(b, client, f)
	})
}

func benchFamilies(start int64) []fixtureSeries {
	out := make([]fixtureSeries, benchSeries)
	for i := range out {
		out[i].labels = labels.FromStrings(labels.MetricName, "storetest_bench_"+strconv.Itoa(i/100), "instance", "host-"+strconv.Itoa(i%100)+":9100", "mode", "user")
		out[i].samples = floats(benchSamples, func(k int) int64 { return start + int64(k)*interval }, func(k int) float64 { return float64(i*k%1000) / 8 })
	}
	return out
}

// counter is a reader that keeps nothing.
type counter struct {
	series int // a part counts as one
	enough int // series after which no more are wanted; 0 is all
}

func (c *counter) Send(*store.Series) error {
	c.series++
	if c.series == c.enough {
		return errEnough
	}
	return nil
}

func (c *counter) Warn(err error) error { return err }

func benchStore(b *testing.B, s store.Store, f *Fixture) {
	mint, maxt := f.TimeRange()
	req := func() *store.SeriesRequest {
		return &store.SeriesRequest{MinTime: mint, MaxTime: maxt, Matchers: []*labels.Matcher{anyMetric()}}
	}
	read := func(b *testing.B, req *store.SeriesRequest, enough int) {
		b.ReportAllocs()
		var c counter
		for b.Loop() {
			c = counter{enough: enough}
			if err := s.Series(b.Context(), req, &c); err != nil && !(enough > 0 && errors.Is(err, errEnough)) {
				b.Fatal(err)
			}
			if enough == 0 && c.series < benchSeries {
				b.Fatalf("%d series sent, want %d", c.series, benchSeries)
			}
		}
		b.ReportMetric(float64(c.series)*float64(b.N)/b.Elapsed().Seconds(), "series/s")
	}
	b.Run("series", func(b *testing.B) { read(b, req(), 0) })
	b.Run("first-series", func(b *testing.B) { read(b, req(), 1) })
	b.Run("skip-chunks", func(b *testing.B) {
		r := req()
		r.SkipChunks = true
		read(b, r, 0)
	})
	b.Run("label-names", func(b *testing.B) {
		b.ReportAllocs()
		r := &store.LabelNamesRequest{MinTime: mint, MaxTime: maxt, Matchers: []*labels.Matcher{anyMetric()}}
		for b.Loop() {
			names, err := store.LabelNames(b.Context(), s, r)
			if err != nil {
				b.Fatal(err)
			}
			if len(names) == 0 {
				b.Fatal("no label names")
			}
		}
	})
}
