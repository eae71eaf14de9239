package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// envelope is the body of every answer.
type envelope struct {
	Status    string          `json:"status"`
	Data      json.RawMessage `json:"data"`
	ErrorType string          `json:"errorType"`
	Error     string          `json:"error"`
	Warnings  []string        `json:"warnings"`
	Infos     []string        `json:"infos"`
}

// handler makes a handler of queries to s.
func handler(t testing.TB, s store.Store, qo *query.Options, ho *httpapi.Options) *httpapi.Handler {
	t.Helper()
	q, err := query.New(s, qo)
	testutil.Ok(t, err)
	h, err := httpapi.New(q, ho)
	testutil.Ok(t, err)
	return h
}

// get asks with GET and decodes the answer.
func get(t testing.TB, h http.Handler, target string) (*http.Response, envelope) {
	t.Helper()
	return send(t, h, httptest.NewRequest(http.MethodGet, target, nil))
}

// post asks with the parameters in the body.
func post(t testing.TB, h http.Handler, path, form string) (*http.Response, envelope) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(t, h, r)
}

func send(t testing.TB, h http.Handler, r *http.Request) (*http.Response, envelope) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	testutil.Ok(t, err)
	var e envelope
	if res.Header.Get("Content-Type") == "application/json" {
		testutil.Ok(t, json.Unmarshal(body, &e), "%s", body)
	}
	return res, e
}

// replicas is two replicas of a counter, and a series with names in UTF-8.
func replicas(t testing.TB) *memstore.Store {
	t.Helper()
	s := memstore.New(nil)
	for i := range int64(41) {
		for _, r := range []string{"a", "b"} {
			testutil.Ok(t, s.Append(labels.FromStrings("__name__", "requests_total", "job", "api", "replica", r), i*15_000, float64(i)))
		}
		testutil.Ok(t, s.Append(labels.FromStrings("__name__", "temperatur", "straße/nr", "ä", "job", "haus"), i*15_000, 20))
	}
	return s
}

// recorder passes requests on and keeps them.
type recorder struct {
	store.Store
	mu     sync.Mutex
	series []*store.SeriesRequest
	names  []*store.LabelNamesRequest
	values []*store.LabelValuesRequest
}

func (s *recorder) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	s.mu.Lock()
	s.series = append(s.series, req)
	s.mu.Unlock()
	return s.Store.Series(ctx, req, w)
}

func (s *recorder) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	s.mu.Lock()
	s.names = append(s.names, req)
	s.mu.Unlock()
	return store.LabelNames(ctx, s.Store, req)
}

func (s *recorder) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	s.mu.Lock()
	s.values = append(s.values, req)
	s.mu.Unlock()
	return store.LabelValues(ctx, s.Store, req)
}

// Describe says that the store does everything by itself, so that requests reach
// it as they are.
func (s *recorder) Describe(context.Context) (store.Info, error) {
	return store.Info{SupportsSharding: true, SupportsWithoutReplicaLabels: true}, nil
}

func newQuerier(t testing.TB) *query.Querier {
	t.Helper()
	q, err := query.New(memstore.New(nil), nil)
	testutil.Ok(t, err)
	return q
}
