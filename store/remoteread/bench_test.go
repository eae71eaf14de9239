package remoteread_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/remoteread"
)

// BenchmarkHandler answers for series of 240 samples.
func BenchmarkHandler(b *testing.B) {
	const series = 5000
	s := memstore.New(nil)
	for i := range series {
		lset := labels.FromStrings("__name__", "http_requests_total", "instance", fmt.Sprintf("10.0.%d.%d:9090", i/250, i%250), "job", "prometheus")
		for j := range int64(240) {
			testutil.Ok(b, s.Append(lset, j*scrape, float64(j*j%97)))
		}
	}
	h, err := remoteread.New(s, nil)
	testutil.Ok(b, err)
	for name, form := range map[string]uint64{"streamed": 1, "sampled": 0} {
		b.Run(name, func(b *testing.B) {
			body := requestOf(queryOf(b, 1<<40, everything), form)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
				testutil.Equals(b, http.StatusOK, w.Code)
				b.SetBytes(int64(w.Body.Len()))
			}
			b.ReportMetric(float64(series)*float64(b.N)/b.Elapsed().Seconds(), "series/s")
		})
	}
}
