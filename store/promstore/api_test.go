package promstore_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

func TestLabels(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		for _, version := range []string{"3.9.1", "2.42.0+ds", "2.23.0", "", "devel"} {
			f := newFake(t, "cluster", "c1", "replica", "a")
			f.samplesOnly, f.version = samplesOnly, version
			f.floats(t, 2,
				labels.FromStrings("__name__", "up", "job", "a", "only_a", "1"),
				labels.FromStrings("__name__", "up", "job", "b"),
				labels.FromStrings("__name__", "up", "cluster", "own", "job", "c"),
				labels.FromStrings("__name__", "down", "http.status/x", "200", "U__x", "escaped?", "x", "plain"),
			)
			s := f.store(t, promstore.Options{})
			for _, tc := range []struct {
				label    string // empty asks for names
				selector string
				without  []string
				limit    int
				want     string
			}{
				{want: "U__x __name__ cluster http.status/x job only_a replica x"},
				{limit: 3, want: "U__x __name__ cluster"},
				{selector: `up`, want: "__name__ cluster job only_a replica"},
				{selector: `up{cluster="c1",job="b"}`, want: "__name__ cluster job replica"},
				{selector: `up`, without: []string{"replica", "job"}, want: "__name__ cluster only_a"},
				{selector: `{cluster="own"}`, want: ""},
				{selector: `nope`, want: ""},
				{selector: `{job=""}`, want: "U__x __name__ cluster http.status/x replica x"}, // refused by the API
				{selector: `{"http.status/x"="200"}`, want: "U__x __name__ cluster http.status/x replica x"},
				{label: "job", want: "a b c"},
				{label: "job", limit: 2, want: "a b"},
				{label: "job", selector: `{only_a!=""}`, want: "a"},
				{label: "job", selector: `{only_a=""}`, want: "b c"}, // refused by the API
				{label: "job", selector: `{cluster="nope"}`, want: ""},
				{label: "job", without: []string{"job"}, want: ""},
				{label: "cluster", want: "c1"},
				{label: "cluster", selector: `{replica="a"}`, want: "c1"},
				{label: "cluster", selector: `{replica="b"}`, want: ""},
				{label: "cluster", selector: `up{job="c"}`, want: "c1"},
				{label: "cluster", selector: `{job!="c"}`, want: "c1"},
				{label: "cluster", selector: `nope`, want: ""},
				{label: "replica", without: []string{"replica"}, want: ""},
				{label: "nope", want: ""},
				{label: "http.status/x", want: "200"},
				{label: "http.status/x", selector: `down`, want: "200"},
				{label: "U__x", want: "escaped?"}, // not the values of x
			} {
				var got []string
				var err error
				if tc.label == "" {
					got, err = s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: math.MaxInt64, Matchers: matchers(t, tc.selector), WithoutReplicaLabels: tc.without, Limit: tc.limit})
				} else {
					got, err = s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: tc.label, MaxTime: math.MaxInt64, Matchers: matchers(t, tc.selector), WithoutReplicaLabels: tc.without, Limit: tc.limit})
				}
				testutil.Ok(t, err)
				testutil.Equals(t, tc.want, strings.Join(got, " "), "version %q: %+v", version, tc)
			}
			_, err := s.LabelValues(t.Context(), &store.LabelValuesRequest{MaxTime: math.MaxInt64})
			testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%v", err)
		}
	})
}

func TestLabelsOfAnOldPrometheus(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.version = "2.23.0" // whose label APIs ignore match[]
	f.floats(t, 2, labels.FromStrings("__name__", "up", "job", "a"))
	s := f.store(t, promstore.Options{})
	_, err := s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "job", MaxTime: math.MaxInt64, Matchers: matchers(t, "up")})
	testutil.Ok(t, err)
	testutil.Equals(t, `{__name__="up",job!=""}`, f.last(t, "series").form.Get("match[]"))
	f.mu.Lock()
	defer f.mu.Unlock()
	testutil.Assert(t, !slices.ContainsFunc(f.requests, func(r request) bool { return r.endpoint == "values" }))
}

// warned is a writer that keeps warnings.
type warned struct {
	counter
	warnings []error
	err      error
}

func (w *warned) Warn(err error) error {
	w.warnings = append(w.warnings, err)
	return w.err
}

func TestWarningsOfPrometheus(t *testing.T) {
	t.Parallel()
	p := newScripted()
	s := p.store(t, "http://prometheus", promstore.Options{Name: "prom"})
	testutil.Ok(t, s.Sync(t.Context()))
	envelope := func(data string) string {
		return `{"status":"success","data":` + data + `,"warnings":["remote read failed","results truncated due to limit"],"infos":["x"]}`
	}
	p.set("series", "application/json", envelope(`[{"__name__":"up","b":"1"},{"__name__":"down"},{"__name__":"up","b":"1"},null]`))
	p.set("labels", "application/json", envelope(`["b","a","b"]`))
	p.set("values", "application/json", envelope(`["2","10"]`))
	up := matchers(t, `{__name__!=""}`)

	w := &warned{}
	req := &store.SeriesRequest{MaxTime: math.MaxInt64, Matchers: up, SkipChunks: true}
	testutil.Ok(t, s.Series(t.Context(), req, w))
	testutil.Equals(t, 3, w.series) // null is a series without labels, duplicates are one
	testutil.Equals(t, []error{&promstore.Warning{Message: "remote read failed"}}, w.warnings)
	testutil.Equals(t, "prometheus: remote read failed", w.warnings[0].Error())

	var out store.Outcome
	names, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: math.MaxInt64, Outcome: &out})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "b", "cluster", "replica"}, names)
	values, err := s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "x", MaxTime: math.MaxInt64, Outcome: &out})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"10", "2"}, values)
	testutil.Equals(t, 2, len(out.Warnings()))

	// Under Abort an incomplete answer is none.
	isWarning := func(err error) {
		t.Helper()
		var warning *promstore.Warning
		testutil.Assert(t, errors.As(err, &warning) && strings.HasPrefix(err.Error(), "store prom: "), "%v", err)
	}
	abort := *req
	abort.Strategy = store.Abort
	isWarning(s.Series(t.Context(), &abort, &counter{}))
	_, err = s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: math.MaxInt64, Strategy: store.Abort})
	isWarning(err)
	_, err = s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "x", MaxTime: math.MaxInt64, Strategy: store.Abort})
	isWarning(err)

	w = &warned{err: errors.New("enough")}
	testutil.Equals(t, w.err, s.Series(t.Context(), req, w))
	testutil.Equals(t, 0, w.series)
}

// TestHealth restarts a Prometheus.
func TestHealth(t *testing.T) {
	t.Parallel()
	p := newScripted()
	var starting atomic.Bool
	start := func() *httptest.Server {
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if starting.Load() {
				http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
				return
			}
			resp, err := p.RoundTrip(r)
			testutil.Ok(t, err)
			w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
			_, _ = io.Copy(w, resp.Body)
		}))
	}
	// The address stays the same, wherever the server really listens.
	var dialer net.Dialer
	var addr atomic.Value
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, addr.Load().(string))
	}}
	defer transport.CloseIdleConnections()
	srv := start()
	addr.Store(srv.Listener.Addr().String())
	s, err := promstore.New("http://prometheus:9090", &promstore.Options{Client: &http.Client{Transport: transport}})
	testutil.Ok(t, err)
	health := func() error {
		syncErr := s.Sync(t.Context())
		_, err := s.Describe(t.Context())
		testutil.Equals(t, syncErr, err)
		return err
	}
	testutil.Ok(t, health())

	srv.Close()
	addr.Store("127.0.0.1:1") // the port may be another's by now; nobody listens at this one
	err = health()
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
	err = s.Series(t.Context(), &store.SeriesRequest{MaxTime: math.MaxInt64}, &counter{})
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)

	starting.Store(true)
	srv = start()
	defer srv.Close()
	addr.Store(srv.Listener.Addr().String())
	err = health()
	var status *promstore.StatusError
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable) && errors.As(err, &status), "%v", err)
	starting.Store(false)
	testutil.Ok(t, health())
}
