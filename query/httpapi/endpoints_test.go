package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/query/httpapi"
)

// page asks for something that is not JSON.
func page(t testing.TB, h http.Handler, method, target string) (code int, header http.Header, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	b, err := io.ReadAll(w.Body)
	testutil.Ok(t, err)
	return w.Code, w.Header(), string(b)
}

func TestProbes(t *testing.T) {
	t.Parallel()
	var notReady error
	h := handler(t, replicas(t), nil, &httpapi.Options{Ready: func(context.Context) error { return notReady }})
	for _, target := range []string{"/-/healthy", "/-/ready"} {
		code, _, body := page(t, h, http.MethodGet, target)
		testutil.Equals(t, http.StatusOK, code, "%s", target)
		testutil.Equals(t, "OK\n", body)
	}
	notReady = errors.New("no stores yet")
	code, _, body := page(t, h, http.MethodGet, "/-/ready")
	testutil.Equals(t, http.StatusServiceUnavailable, code)
	testutil.Equals(t, "no stores yet\n", body)
	code, _, _ = page(t, h, http.MethodGet, "/-/healthy")
	testutil.Equals(t, http.StatusOK, code)
	res, _ := get(t, h, "/api/v1/query?query=1")
	testutil.Equals(t, http.StatusOK, res.StatusCode)

	code, _, _ = page(t, handler(t, replicas(t), nil, nil), http.MethodGet, "/-/ready")
	testutil.Equals(t, http.StatusOK, code)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	opts := &httpapi.Options{Registerer: reg, Gatherer: reg}
	h := handler(t, replicas(t), nil, opts)
	other := handler(t, replicas(t), nil, opts) // shares the metrics
	get(t, h, "/api/v1/query?query=1")
	get(t, other, "/api/v1/query?query=2")
	get(t, h, "/api/v1/query?query=(")
	post(t, h, "/api/v1/labels", "")
	get(t, h, "/api/v1/label/job/values")
	code, _, body := page(t, h, http.MethodGet, "/metrics")
	testutil.Equals(t, http.StatusOK, code)
	for _, line := range []string{
		`http_requests_total{code="200",handler="query",method="get"} 2`,
		`http_requests_total{code="400",handler="query",method="get"} 1`,
		`http_requests_total{code="200",handler="label_names",method="post"} 1`,
		`http_request_duration_seconds_count{code="200",handler="query",method="get"} 2`,
		`http_response_size_bytes_count{code="200",handler="label_values",method="get"} 1`,
		`http_request_size_bytes_count{code="200",handler="query",method="get"} 2`,
		`http_inflight_requests{handler="query",method="get"} 0`,
		`thanos_query_concurrent_gate_queries_max 20`,
		`thanos_query_concurrent_gate_queries_total 3`,
		`thanos_query_concurrent_gate_queries_duration_seconds_count 3`,
	} {
		testutil.Assert(t, strings.Contains(body, line+"\n"), "%s is not in\n%s", line, body)
	}
	code, _, _ = page(t, handler(t, replicas(t), nil, nil), http.MethodGet, "/metrics")
	testutil.Equals(t, http.StatusNotFound, code)
}

// TestMetricsClash has another collector registered in the place of ours.
func TestMetricsClash(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_total", Help: "Something else."}))
	_, err := httpapi.New(newQuerier(t), &httpapi.Options{Registerer: reg})
	testutil.NotOk(t, err)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	h := handler(t, replicas(t), nil, nil)
	for _, tc := range []struct {
		method, target string
		code           int
	}{
		{http.MethodGet, "/api/v1/nothing", 404},
		{http.MethodGet, "/", 404},
		{http.MethodPut, "/api/v1/query", 405},
		{http.MethodPost, "/api/v1/label/job/values", 405},
		{http.MethodDelete, "/api/v1/series?match[]=up", 405},
		{http.MethodOptions, "/api/v1/query", 405},
		{http.MethodHead, "/api/v1/query?query=1", 200},
		{http.MethodHead, "/-/healthy", 200},
	} {
		code, _, _ := page(t, h, tc.method, tc.target)
		testutil.Equals(t, tc.code, code, "%s %s", tc.method, tc.target)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	_, header, _ := page(t, handler(t, replicas(t), nil, nil), http.MethodGet, "/api/v1/query?query=1")
	testutil.Equals(t, "", header.Get("Access-Control-Allow-Origin"))
	for origin, vary := range map[string]bool{"*": false, "https://grafana.example.org": true} {
		h := handler(t, replicas(t), nil, &httpapi.Options{AllowOrigin: origin})
		for method, want := range map[string]int{http.MethodGet: 200, http.MethodOptions: 204} {
			code, header, _ := page(t, h, method, "/api/v1/query?query=1")
			testutil.Equals(t, want, code)
			testutil.Equals(t, origin, header.Get("Access-Control-Allow-Origin"))
			testutil.Equals(t, "GET, POST, OPTIONS", header.Get("Access-Control-Allow-Methods"))
			testutil.Equals(t, vary, strings.Contains(strings.Join(header.Values("Vary"), ","), "Origin"))
		}
		code, header, _ := page(t, h, http.MethodGet, "/api/v1/query?query=(") // errors too
		testutil.Equals(t, 400, code)
		testutil.Equals(t, origin, header.Get("Access-Control-Allow-Origin"))
	}
}

// TestClientIsGone has the connection break under the answer.
func TestClientIsGone(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := handler(t, replicas(t), nil, &httpapi.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	for _, target := range []string{"/api/v1/query?query=1", "/api/v1/query?query=(", "/-/healthy"} {
		log.Reset()
		h.ServeHTTP(brokenPipe{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, target, nil))
		testutil.Assert(t, strings.Contains(log.String(), io.ErrClosedPipe.Error()), "%s: %s", target, log.String())
	}
}
