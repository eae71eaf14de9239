package promstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// scripted answers each endpoint with what it is set to. It uses no network, so
// that it can be used with fake time.
type scripted struct {
	mu       sync.Mutex
	answers  map[string]response // by the end of the path
	requests []*http.Request
	bodies   []string
}

type response struct {
	code        int
	contentType string
	body        string
	err         error
	hang        bool // until the request is given up
}

func newScripted() *scripted {
	s := &scripted{answers: map[string]response{}}
	s.config("cluster: c1, replica: a")
	s.set("buildinfo", "application/json", `{"status":"success","data":{"version":"3.9.1","revision":"x"}}`)
	s.set("metrics", "text/plain; version=0.0.4", "# HELP x\nprometheus_tsdb_lowest_timestamp_seconds 1.234567e+06\n")
	return s
}

func (s *scripted) config(external string) {
	s.set("config", "application/json", `{"status":"success","data":{"yaml":"global:\n  scrape_interval: 15s\n  external_labels: {`+external+`}\nscrape_configs: []\n"}}`)
}

func (s *scripted) set(endpoint, contentType, body string) {
	s.setResponse(endpoint, response{code: http.StatusOK, contentType: contentType, body: body})
}

func (s *scripted) setResponse(endpoint string, r response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[endpoint] = r
}

func (s *scripted) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	s.mu.Lock()
	s.requests = append(s.requests, req)
	s.bodies = append(s.bodies, string(body))
	r := s.answers[req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]]
	s.mu.Unlock()
	if r.hang {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	if r.err != nil {
		return nil, r.err
	}
	return &http.Response{
		StatusCode: r.code, Header: http.Header{"Content-Type": {r.contentType}},
		Body: io.NopCloser(strings.NewReader(r.body)), Request: req,
	}, nil
}

// asked returns the paths and queries asked for since the last call.
func (s *scripted) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.requests {
		out = append(out, r.Method+" "+r.URL.RequestURI())
	}
	s.requests, s.bodies = nil, nil
	return out
}

func (s *scripted) store(t *testing.T, url string, opts promstore.Options) *promstore.Store {
	t.Helper()
	opts.Client = &http.Client{Transport: s}
	p, err := promstore.New(url, &opts)
	testutil.Ok(t, err)
	return p
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		url  string
		opts *promstore.Options
		says []string
	}{
		{"http://localhost:9090", nil, nil},
		{"https://user:secret@host/prefix/?tenant=x", &promstore.Options{}, nil},
		{"localhost:9090", nil, []string{"neither http nor https"}},
		{"unix:///tmp/x", nil, []string{"neither http nor https"}},
		{"http://", nil, []string{"no host"}},
		{"http://%", nil, []string{"parse URL of Prometheus"}},
		{"http://h", &promstore.Options{Interval: -1, Timeout: -1, MaxAge: -1, MaxResponseBytes: -1}, []string{"Interval", "Timeout", "MaxAge", "MaxResponseBytes"}},
		{"http://h", &promstore.Options{Registerer: occupied()}, []string{"register metrics"}},
	} {
		s, err := promstore.New(tc.url, tc.opts)
		testutil.Equals(t, len(tc.says) == 0, err == nil, "%s: %v", tc.url, err)
		for _, w := range tc.says {
			testutil.Assert(t, strings.Contains(err.Error(), w), "%s: %v", tc.url, err)
		}
		if s == nil {
			continue
		}
		// Before the first Sync nothing is known, and nothing is asked.
		_, err = s.Describe(t.Context())
		notSynced := func(op string, err error) {
			t.Helper()
			testutil.Assert(t, errors.Is(err, store.ErrUnavailable) && errors.Is(err, promstore.ErrNotSynced), "%v", err)
			var se *store.Error
			testutil.Assert(t, errors.As(err, &se) && se.Op == op && !strings.Contains(se.Store, "secret"), "%v", err)
		}
		notSynced("info", err)
		notSynced("series", s.Series(t.Context(), &store.SeriesRequest{}, &counter{}))
		_, err = s.LabelNames(t.Context(), &store.LabelNamesRequest{})
		notSynced("label names", err)
		_, err = s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "x"})
		notSynced("label values", err)
		testutil.Equals(t, "", s.Version())
		testutil.Assert(t, s.ExternalLabels().IsEmpty())
		testutil.Ok(t, s.Close())
		testutil.Ok(t, s.Close())
	}
}

// occupied returns a Registerer in which a name of ours means something else.
func occupied() prometheus.Registerer {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "thanos_sidecar_prometheus_up"}))
	return r
}

func TestSync(t *testing.T) {
	t.Parallel()
	p := newScripted()
	s := p.store(t, "http://u:p@prometheus:9090/some/prefix/?tenant=x&b=%2F", promstore.Options{})
	testutil.Ok(t, s.Sync(t.Context()))
	testutil.Equals(t, []string{
		"GET /some/prefix/api/v1/status/config?tenant=x&b=%2F",
		"GET /some/prefix/api/v1/status/buildinfo?tenant=x&b=%2F",
		"GET /some/prefix/metrics?tenant=x&b=%2F",
	}, p.asked())
	want := labels.FromStrings("cluster", "c1", "replica", "a")
	testutil.Equals(t, want.String(), s.ExternalLabels().String())
	testutil.Equals(t, "3.9.1", s.Version())
	info, err := s.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, store.Info{
		Component: "sidecar", LabelSets: []labels.Labels{want}, MinTime: 1234567_000, MaxTime: math.MaxInt64,
		SupportsSharding: true, SupportsWithoutReplicaLabels: true,
		TSDBs: []store.TSDBInfo{{Labels: want, MinTime: 1234567_000, MaxTime: math.MaxInt64}},
	}, info)

	// Every request goes to the same place.
	p.set("series", "application/json", `{"status":"success","data":[]}`)
	p.set("labels", "application/json", `{"status":"success","data":["a"]}`)
	p.set("values", "application/json", `{"status":"success","data":["b"]}`)
	p.asked()
	up := matchers(t, "up")
	testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{MaxTime: math.MaxInt64, Matchers: up, SkipChunks: true, Limit: 5}, &counter{}))
	testutil.Equals(t, "end=9999-12-31T23%3A59%3A59.999Z&match%5B%5D=%7B__name__%3D%22up%22%7D&start=1970-01-15T06%3A56%3A07Z", p.bodies[0])
	_, err = s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: math.MaxInt64})
	testutil.Ok(t, err)
	_, err = s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "http.status/ü_", MinTime: 1234567_891, MaxTime: 1234567_899, Limit: 7})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{
		"POST /some/prefix/api/v1/series?tenant=x&b=%2F",
		"POST /some/prefix/api/v1/labels?tenant=x&b=%2F",
		"GET /some/prefix/api/v1/label/U__http_2e_status_2f__fc___/values?tenant=x&b=%2F&end=1970-01-15T06%3A56%3A07.899Z&limit=7&start=1970-01-15T06%3A56%3A07.891Z",
	}, p.asked())
}

func TestSyncLowestTimestamp(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"prometheus_tsdb_lowest_timestamp_seconds 9.223372036854776e+15\n":                                             math.MinInt64, // an empty TSDB
		"prometheus_tsdb_lowest_timestamp_seconds 1.700000000123e+09\n":                                                1700000000123,
		"prometheus_tsdb_lowest_timestamp_seconds -1.5":                                                                -1500,
		"prometheus_tsdb_lowest_timestamp_seconds -0.0005":                                                             -1,
		"prometheus_tsdb_lowest_timestamp_seconds 0":                                                                   0,
		"prometheus_tsdb_lowest_timestamp_seconds NaN":                                                                 math.MinInt64,
		"prometheus_tsdb_lowest_timestamp_seconds_else 5\nprometheus_tsdb_lowest_timestamp_seconds{a=\"} 3\"} 7 123\n": 7000,
	} {
		p := newScripted()
		p.set("metrics", "text/plain", text)
		s := p.store(t, "http://prometheus", promstore.Options{})
		testutil.Ok(t, s.Sync(t.Context()))
		info, err := s.Describe(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, want, info.MinTime, text)
	}
}

func TestSyncErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		endpoint string
		response response
		is       error
		says     string
	}{
		"down":             {"config", response{err: errors.New("connection refused")}, store.ErrUnavailable, "connection refused"},
		"down since":       {"buildinfo", response{err: errors.New("connection refused")}, store.ErrUnavailable, "connection refused"},
		"down at last":     {"metrics", response{err: errors.New("connection refused")}, store.ErrUnavailable, "connection refused"},
		"starting":         {"config", response{code: 503, contentType: "text/plain", body: "Service Unavailable"}, store.ErrUnavailable, "api/v1/status/config answered 503"},
		"HTML config":      {"config", response{code: 200, contentType: "text/html", body: "<html>"}, store.ErrMalformed, "<html>"},
		"no YAML":          {"config", response{code: 200, contentType: "application/json", body: `{"status":"success","data":{"yaml":"{"}}`}, store.ErrMalformed, "yaml"},
		"labels of a kind": {"config", response{code: 200, contentType: "application/json", body: `{"status":"success","data":{"yaml":"global: {external_labels: [a]}"}}`}, store.ErrMalformed, "yaml"},
		"truncated config": {"config", response{code: 200, contentType: "application/json", body: `{"status":"success","data":{"yaml":"g`}, store.ErrMalformed, "unexpected EOF"},
		"no labels":        {"config", response{code: 200, contentType: "application/json", body: `{"status":"success","data":{"yaml":"global: {scrape_interval: 1s}"}}`}, promstore.ErrNoExternalLabels, "no external labels"},
		"empty labels":     {"config", response{code: 200, contentType: "application/json", body: `{"status":"success","data":{"yaml":"global: {external_labels: {cluster: ''}}"}}`}, promstore.ErrNoExternalLabels, "no external labels"},
		"HTML build":       {"buildinfo", response{code: 200, contentType: "text/html", body: "<html>"}, store.ErrMalformed, "<html>"},
		"no build":         {"buildinfo", response{code: 404, contentType: "text/plain", body: "404 page not found"}, nil, "answered 404 Not Found: 404 page not found"},
		"HTML metrics":     {"metrics", response{code: 200, contentType: "text/html", body: "<html>"}, store.ErrMalformed, "<html>"},
		"no such metric":   {"metrics", response{code: 200, contentType: "text/plain", body: "up 1\nprometheus_tsdb_lowest_timestamp_seconds\n"}, store.ErrMalformed, "has no prometheus_tsdb_lowest_timestamp_seconds"},
		"no number":        {"metrics", response{code: 200, contentType: "text/plain", body: "prometheus_tsdb_lowest_timestamp_seconds x\n"}, store.ErrMalformed, "lowest_timestamp"},
		"endless line":     {"metrics", response{code: 200, contentType: "text/plain", body: strings.Repeat("x", 2<<20)}, store.ErrMalformed, "too long"},
	} {
		p := newScripted()
		s := p.store(t, "http://prometheus", promstore.Options{Name: "prom"})
		testutil.Ok(t, s.Sync(t.Context()))
		p.setResponse(tc.endpoint, tc.response)
		err := s.Sync(t.Context())
		testutil.Assert(t, err != nil && (tc.is == nil || errors.Is(err, tc.is)), "%s: %v", name, err)
		testutil.Assert(t, strings.HasPrefix(err.Error(), "store prom: info: "), "%s: %v", name, err)
		testutil.Assert(t, strings.Contains(err.Error(), tc.says), "%s: %v", name, err)
		_, err2 := s.Describe(t.Context())
		testutil.Equals(t, err, err2)

		// What was known goes on being used, but for labels that are gone.
		p.set("labels", "application/json", `{"status":"success","data":["a"]}`)
		names, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: math.MaxInt64})
		if errors.Is(tc.is, promstore.ErrNoExternalLabels) {
			testutil.Assert(t, errors.Is(err, promstore.ErrNoExternalLabels), "%v", err)
			var se *store.Error
			testutil.Assert(t, errors.As(err, &se) && se.Op == "label names", "%v", err)
			testutil.Assert(t, s.ExternalLabels().IsEmpty())
		} else {
			testutil.Ok(t, err)
			testutil.Equals(t, []string{"a", "cluster", "replica"}, names)
			testutil.Equals(t, "3.9.1", s.Version())
		}

		again := newScripted()
		p.setResponse(tc.endpoint, again.answers[tc.endpoint])
		testutil.Ok(t, s.Sync(t.Context()))
		_, err = s.Describe(t.Context())
		testutil.Ok(t, err)
	}
}

func TestSyncOfSlowPrometheus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newScripted()
		s := p.store(t, "http://prometheus", promstore.Options{Timeout: 7 * time.Second})
		testutil.Ok(t, s.Sync(t.Context()))
		p.setResponse("buildinfo", response{hang: true})
		start := time.Now()
		err := s.Sync(t.Context())
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable) && errors.Is(err, context.DeadlineExceeded), "%v", err)
		testutil.Equals(t, 7*time.Second, time.Since(start))
		_, err = s.Describe(t.Context())
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)

		// When the caller gives up, nothing is concluded.
		p.setResponse("buildinfo", newScripted().answers["buildinfo"])
		testutil.Ok(t, s.Sync(t.Context()))
		p.setResponse("metrics", response{hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = s.Sync(ctx)
		testutil.Assert(t, errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable), "%v", err)
		_, err = s.Describe(t.Context())
		testutil.Ok(t, err)
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newScripted()
		var log bytes.Buffer
		reg := prometheus.NewRegistry()
		s := p.store(t, "http://prometheus", promstore.Options{
			Name: "prom", Interval: 30 * time.Second, Registerer: reg,
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		up := func(want float64) {
			t.Helper()
			testutil.Equals(t, want, gaugeOf(t, reg, "thanos_sidecar_prometheus_up"))
		}

		// At once, then every interval.
		synctest.Wait()
		up(1)
		testutil.Equals(t, float64(time.Now().Unix()), gaugeOf(t, reg, "thanos_sidecar_last_heartbeat_success_time_seconds"))
		testutil.Equals(t, 3, len(p.asked()))
		pass(29 * time.Second)
		testutil.Equals(t, 0, len(p.asked()))
		pass(time.Second)
		testutil.Equals(t, 3, len(p.asked()))

		// What changed is read.
		p.config("cluster: c1, replica: b")
		p.set("metrics", "text/plain", "prometheus_tsdb_lowest_timestamp_seconds 5\n")
		p.set("buildinfo", "application/json", `{"status":"success","data":{"version":"3.10.0"}}`)
		pass(30 * time.Second)
		info, err := s.Describe(ctx)
		testutil.Ok(t, err)
		testutil.Equals(t, `{cluster="c1", replica="b"}`, info.LabelSets[0].String())
		testutil.Equals(t, int64(5000), info.MinTime)
		testutil.Equals(t, "3.10.0", s.Version())

		// Down: noticed after the interval, and asked again sooner.
		p.setResponse("config", response{err: errors.New("connection refused")})
		pass(30 * time.Second)
		_, err = s.Describe(ctx)
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
		up(0)
		p.asked()
		pass(2 * time.Second)
		testutil.Equals(t, 1, len(p.asked()))
		p.config("cluster: c1, replica: b")
		pass(4 * time.Second)
		_, err = s.Describe(ctx)
		testutil.Ok(t, err)
		up(1)

		cancel()
		testutil.Ok(t, <-done)
		const failed = `level=WARN msg="sync with Prometheus failed" store=prom err="store prom: info: store unavailable: Get \"http://prometheus/api/v1/status/config\": connection refused"`
		testutil.Equals(t, strings.Join([]string{
			`level=INFO msg="synced with Prometheus" store=prom external_labels="{cluster=\"c1\", replica=\"a\"}" version=3.9.1`,
			`level=INFO msg="synced with Prometheus" store=prom external_labels="{cluster=\"c1\", replica=\"b\"}" version=3.10.0`,
			failed, failed,
			`level=INFO msg="sync with Prometheus succeeds again" store=prom`,
		}, "\n")+"\n", log.String())
	})
}

func TestRunEndsWithinASync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newScripted()
		p.setResponse("config", response{hang: true})
		s := p.store(t, "http://prometheus", promstore.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		cancel()
		testutil.Ok(t, <-done)
		_, err := s.Describe(t.Context())
		testutil.Assert(t, errors.Is(err, promstore.ErrNotSynced), "%v", err)
	})
}

// pass lets fake time pass, and what is due happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // fake time begins in 2000, long after the lowest timestamp
		p := newScripted()
		s := p.store(t, "http://prometheus", promstore.Options{MaxAge: time.Hour, MinTime: 1})
		testutil.Ok(t, s.Sync(t.Context()))
		pass(time.Minute)
		info, err := s.Describe(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, time.Now().Add(-time.Hour).UnixMilli(), info.MinTime)
		testutil.Equals(t, info.MinTime, info.TSDBs[0].MinTime)

		// What is too old is not asked for.
		p.asked()
		req := &store.SeriesRequest{MinTime: 0, MaxTime: info.MinTime - 1}
		testutil.Ok(t, s.Series(t.Context(), req, &counter{}))
		names, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MinTime: req.MinTime, MaxTime: req.MaxTime})
		testutil.Ok(t, err)
		values, err := s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "cluster", MinTime: req.MinTime, MaxTime: req.MaxTime})
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(names)+len(values)+len(p.asked()))
	})
}

func TestMetricsAreShared(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	for range 2 {
		s := synced(t, answers{contentType: streamedType, body: streamedBody(100, 1)}, promstore.Options{Registerer: reg, AllowNoExternalLabels: true})
		testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1 << 40}, &frameCounter{}))
	}
	testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP prometheus_store_received_frames Number of frames received per streamed response.
# TYPE prometheus_store_received_frames histogram
prometheus_store_received_frames_bucket{le="10"} 0
prometheus_store_received_frames_bucket{le="100"} 2
prometheus_store_received_frames_bucket{le="1000"} 2
prometheus_store_received_frames_bucket{le="10000"} 2
prometheus_store_received_frames_bucket{le="100000"} 2
prometheus_store_received_frames_bucket{le="+Inf"} 2
prometheus_store_received_frames_sum 200
prometheus_store_received_frames_count 2
`), "prometheus_store_received_frames"))
	got, err := reg.Gather()
	testutil.Ok(t, err)
	for _, mf := range got {
		if mf.GetName() == "thanoskit_promstore_received_bytes_total" {
			testutil.Equals(t, float64(2*len(streamedBody(100, 1))), mf.GetMetric()[0].GetCounter().GetValue())
			return
		}
	}
	t.Fatal("bytes are not counted")
}

func gaugeOf(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	got, err := reg.Gather()
	testutil.Ok(t, err)
	for _, mf := range got {
		if mf.GetName() == name {
			return mf.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
