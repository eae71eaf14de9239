package thanosstore_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

// benchSeries is how many series an answer has, of seven labels and two chunks of
// 200 bytes.
const benchSeries = 10_000

func benchLabels(i int) []string {
	return []string{"__name__", "http_requests_total", "cluster", "eu-1", "code", "200", "instance", fmt.Sprintf("10.0.%03d.%03d:8080", i/256, i%256), "job", "api", "method", "GET", "replica", "0"}
}

type noFrames struct{ store.SeriesWriter }

type dropped struct{}

func (dropped) Send(*store.Series) error       { return nil }
func (dropped) Warn(err error) error           { return err }
func (dropped) SendFrame(*encoded.Frame) error { return nil }

// From Thanos' types, to a writer that takes frames, and to one that does not.
func BenchmarkFromServer(b *testing.B) {
	var messages []*storepb.SeriesResponse
	for i := 0; i < benchSeries; i += 64 {
		var batch []*storepb.Series
		for j := i; j < min(i+64, benchSeries); j++ {
			batch = append(batch, thanosSeries(lset(benchLabels(j)...), strings.Repeat("x", 200), strings.Repeat("y", 200)))
		}
		messages = append(messages, storepb.NewBatchResponse(batch))
	}
	s := thanosstore.FromServer(sends(nil, messages...), nil)
	for _, bc := range []struct {
		name string
		w    store.SeriesWriter
	}{{"frames", dropped{}}, {"plain", noFrames{dropped{}}}} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				testutil.Ok(b, s.Series(b.Context(), everything(), bc.w))
			}
			b.ReportMetric(float64(benchSeries*b.N)/b.Elapsed().Seconds(), "series/s")
		})
	}
}

// To Thanos' types.
func BenchmarkServer(b *testing.B) {
	var all []*store.Series
	for i := range benchSeries {
		all = append(all, plainSeries(labels.FromStrings(benchLabels(i)...), strings.Repeat("x", 200), strings.Repeat("y", 200)))
	}
	srv := thanosstore.NewServer(serves(func(_ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, s := range all {
			if err := w.Send(s); err != nil {
				return err
			}
		}
		return nil
	}), nil)
	b.ReportAllocs()
	for b.Loop() {
		testutil.Ok(b, srv.Series(&storepb.SeriesRequest{ResponseBatchSize: 64}, &recordingStream{ctx: b.Context()}))
	}
	b.ReportMetric(float64(benchSeries*b.N)/b.Elapsed().Seconds(), "series/s")
}
