package promstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"go.uber.org/goleak"
	"go.yaml.in/yaml/v2"

	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a Prometheus in process: its TSDB, metrics and remote read handler are
// the real ones, and the endpoints around them are like the real ones.
type fake struct {
	db      *tsdb.DB
	metrics *prometheus.Registry
	url     string

	refuse   atomic.Bool // whatever the label APIs are asked
	external atomic.Pointer[labels.Labels]
	version  string
	// samplesOnly makes it a server that does not know streamed remote read.
	samplesOnly bool
	// maxFrame is the number of bytes at which a series is split.
	maxFrame int

	mu       sync.Mutex
	requests []request
}

// request is what a fake was asked.
type request struct {
	endpoint string
	form     url.Values          // of the APIs
	read     *prompb.ReadRequest // of remote read
}

// newFake starts a Prometheus without data.
func newFake(t *testing.T, external ...string) *fake {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.OutOfOrderTimeWindow = math.MaxInt64 / 2
	metrics := prometheus.NewRegistry()
	db, err := tsdb.Open(t.TempDir(), promslog.NewNopLogger(), metrics, opts, nil)
	testutil.Ok(t, err)
	f := &fake{db: db, metrics: metrics, version: "3.9.1", maxFrame: 1 << 20}
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "prometheus_tsdb_lowest_timestamp_seconds"}, func() float64 {
		if blocks := db.Blocks(); len(blocks) > 0 {
			return float64(blocks[0].Meta().MinTime / 1000)
		}
		return float64(db.Head().MinTime() / 1000) // what Prometheus says of an empty head is MaxInt64, in seconds
	}))
	f.setExternal(external...)
	srv := httptest.NewUnstartedServer(f.handler())
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // of clients that had enough
	srv.Start()
	f.url = srv.URL + "/prefix"
	t.Cleanup(func() {
		srv.Close()
		testutil.Ok(t, db.Close())
	})
	return f
}

func (f *fake) setExternal(external ...string) {
	lset := labels.FromStrings(external...)
	f.external.Store(&lset)
}

// store returns a Store that is synced with the fake.
func (f *fake) store(t *testing.T, opts promstore.Options) *promstore.Store {
	t.Helper()
	opts.AllowNoExternalLabels = true
	opts.Timeout = time.Minute // the machine may have much to do
	s, err := promstore.New(f.url, &opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, s.Close()) })
	testutil.Ok(t, s.Sync(t.Context()))
	return s
}

// last returns the last request of an endpoint.
func (f *fake) last(t *testing.T, endpoint string) request {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range slices.Backward(f.requests) {
		if r.endpoint == endpoint {
			return r
		}
	}
	t.Fatalf("%s was not asked", endpoint)
	return request{}
}

func (f *fake) handler() http.Handler {
	cfg := func() config.Config {
		return config.Config{GlobalConfig: config.GlobalConfig{ExternalLabels: *f.external.Load()}}
	}
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) { mux.HandleFunc("/prefix/"+pattern, h) }
	handle("api/v1/read", func(w http.ResponseWriter, r *http.Request) {
		f.rewriteRead(r)
		remote.NewReadHandler(promslog.NewNopLogger(), nil, f.db, cfg, 0, 10, f.maxFrame).ServeHTTP(w, r)
	})
	handle("api/v1/status/config", func(w http.ResponseWriter, _ *http.Request) {
		text, err := yaml.Marshal(map[string]any{"global": map[string]any{"external_labels": f.external.Load().Map()}})
		respond(w, map[string]string{"yaml": string(text)}, err)
	})
	handle("api/v1/status/buildinfo", func(w http.ResponseWriter, _ *http.Request) {
		respond(w, map[string]string{"version": f.version}, nil)
	})
	handle("metrics", promhttp.HandlerFor(f.metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP)
	handle("api/v1/series", f.api(func(ctx context.Context, q storage.Querier, r *http.Request, mint, maxt int64, ms []*labels.Matcher) (any, error) {
		set := q.Select(ctx, false, &storage.SelectHints{Start: mint, End: maxt, Func: "series"}, ms...)
		var out []labels.Labels
		for set.Next() {
			out = append(out, set.At().Labels())
		}
		slices.Reverse(out) // the API promises no order
		return out, set.Err()
	}))
	handle("api/v1/labels", f.api(func(ctx context.Context, q storage.Querier, _ *http.Request, _, _ int64, ms []*labels.Matcher) (any, error) {
		names, _, err := q.LabelNames(ctx, nil, ms...)
		return names, err
	}))
	handle("api/v1/label/{name}/values", f.api(func(ctx context.Context, q storage.Querier, r *http.Request, _, _ int64, ms []*labels.Matcher) (any, error) {
		values, _, err := q.LabelValues(ctx, model.UnescapeName(r.PathValue("name"), model.ValueEncodingEscaping), nil, ms...)
		return values, err
	}))
	return mux
}

// rewriteRead records a remote read request, and makes it one for samples if
// the server knows no other.
func (f *fake) rewriteRead(r *http.Request) {
	compressed, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	body, err := snappy.Decode(nil, compressed)
	req := &prompb.ReadRequest{}
	if err != nil || req.Unmarshal(body) != nil {
		return
	}
	f.record(request{endpoint: "read", read: req})
	if f.samplesOnly {
		req.AcceptedResponseTypes = nil
		body, _ = req.Marshal()
		compressed = snappy.Encode(nil, body)
	}
	r.Body = io.NopCloser(strings.NewReader(string(compressed)))
}

func (f *fake) record(r request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r)
}

type apiFunc func(ctx context.Context, q storage.Querier, r *http.Request, mint, maxt int64, ms []*labels.Matcher) (any, error)

// api serves one of Prometheus' label APIs, refusing selectors as it does.
func (f *fake) api(serve apiFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if f.refuse.Load() {
			respond(w, nil, errors.New("refused"))
			return
		}
		if err := r.ParseForm(); err != nil {
			respond(w, nil, err)
			return
		}
		path := strings.Split(r.URL.Path, "/")
		f.record(request{endpoint: path[len(path)-1], form: r.Form})
		var ms []*labels.Matcher
		if sel := r.Form.Get("match[]"); sel != "" {
			var err error
			if ms, err = parse.MetricSelector(sel); err != nil {
				respond(w, nil, err)
				return
			}
			if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches("") }) {
				respond(w, nil, fmt.Errorf("match[] must contain at least one non-empty matcher"))
				return
			}
		} else if strings.HasSuffix(r.URL.Path, "/series") {
			respond(w, nil, fmt.Errorf("no match[] parameter provided"))
			return
		}
		mint, maxt := parseTime(r.Form.Get("start")), parseTime(r.Form.Get("end"))
		q, err := f.db.Querier(mint, maxt)
		if err != nil {
			respond(w, nil, err)
			return
		}
		defer q.Close()
		data, err := serve(r.Context(), q, r, mint, maxt, ms)
		respond(w, data, err)
	}
}

func parseTime(s string) int64 {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		return int64(seconds * 1000)
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UnixMilli()
}

// respond answers in the envelope of Prometheus' API.
func respond(w http.ResponseWriter, data any, err error) {
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"status": "success", "data": data}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		body = map[string]any{"status": "error", "errorType": "bad_data", "error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(body)
}

// matchers parses a selector.
func matchers(t testing.TB, selector string) []*labels.Matcher {
	t.Helper()
	if selector == "" {
		return nil
	}
	ms, err := parse.MetricSelector(selector)
	testutil.Ok(t, err)
	return ms
}

// collect returns the series of an answer, parts joined, checking the order.
func collect(t testing.TB, s store.Store, req *store.SeriesRequest) []*store.Series {
	t.Helper()
	var out []*store.Series
	for series, err := range store.All(context.Background(), s, req, nil) {
		testutil.Ok(t, err)
		if n := len(out); n > 0 {
			switch c := labels.Compare(out[n-1].Labels, series.Labels); {
			case c > 0:
				t.Fatalf("%s follows %s", series.Labels, out[n-1].Labels)
			case c == 0:
				out[n-1].Chunks = append(out[n-1].Chunks, series.Chunks...)
				continue
			}
		}
		out = append(out, series)
	}
	return out
}

// names returns the label sets of series as text.
func names(series []*store.Series) []string {
	out := []string{}
	for _, s := range series {
		out = append(out, s.Labels.String())
	}
	return out
}
