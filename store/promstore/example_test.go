package promstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// examplePrometheus answers as a Prometheus with one series does.
func examplePrometheus() *httptest.Server {
	respond := func(contentType string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(body)
		}
	}
	data := func(json string) http.HandlerFunc {
		return respond("application/json", []byte(`{"status":"success","data":`+json+`}`))
	}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/status/config", data(`{"yaml":"global:\n  external_labels:\n    cluster: eu1\n    replica: a\n"}`))
	mux.Handle("/api/v1/status/buildinfo", data(`{"version":"3.9.1"}`))
	mux.Handle("/api/v1/status/flags", data(`{"storage.tsdb.path":"data/","storage.tsdb.min-block-duration":"2h"}`))
	mux.Handle("/metrics", respond("text/plain", []byte("prometheus_tsdb_lowest_timestamp_seconds 1\n")))
	mux.Handle("/api/v1/read", respond(streamedType, streamedSeries(xorChunk(), "__name__", "up", "job", "node")))
	mux.Handle("/api/v1/labels", data(`["__name__","job"]`))
	mux.Handle("/api/v1/label/job/values", data(`["node"]`))
	return httptest.NewServer(mux)
}

func Example() {
	prometheus := examplePrometheus()
	defer prometheus.Close()

	s, err := promstore.New(prometheus.URL, &promstore.Options{Name: "eu1-a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Sync(ctx); err != nil { // a long-lived program runs s.Run
		fmt.Println(err)
		return
	}

	req := &store.SeriesRequest{
		MinTime: 0, MaxTime: math.MaxInt64,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "cluster", "eu1")},
	}
	for series, err := range store.All(ctx, s, req, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(series.Labels, len(series.Chunks), "chunk")
	}
	// Output: {__name__="up", cluster="eu1", job="node", replica="a"} 1 chunk
}

// A user's http.Client carries authentication: here basic, by a RoundTripper
// that sets it on every request. TLS is set on the Transport behind it.
func ExampleNew_basicAuth() {
	prometheus := examplePrometheus()
	defer prometheus.Close()
	guarded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "thanos" || password != "secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		prometheus.Config.Handler.ServeHTTP(w, r)
	}))
	defer guarded.Close()

	for _, password := range []string{"guess", "secret"} {
		transport := &http.Transport{} // TLSClientConfig, Proxy, ...
		s, err := promstore.New(guarded.URL, &promstore.Options{
			Name:   "guarded",
			Client: &http.Client{Transport: basicAuth{transport, "thanos", password}},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.Sync(context.Background()))
		transport.CloseIdleConnections()
	}
	// Output:
	// store guarded: info: api/v1/status/config answered 401 Unauthorized: who are you?
	// <nil>
}

// basicAuth sets basic authentication on every request.
type basicAuth struct {
	next           http.RoundTripper
	user, password string
}

func (a basicAuth) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context()) // a RoundTripper must not change its request
	req.SetBasicAuth(a.user, a.password)
	return a.next.RoundTrip(req)
}

func ExampleStore_Run() {
	prometheus := examplePrometheus()
	defer prometheus.Close()
	s, err := promstore.New(prometheus.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := s.Sync(ctx); err != nil { // to begin only when Prometheus has been reached
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	fmt.Println(s.ExternalLabels(), s.Version())
	cancel()
	fmt.Println(<-done)
	// Output:
	// {cluster="eu1", replica="a"} 3.9.1
	// <nil>
}

func ExampleStore_Describe() {
	prometheus := examplePrometheus()
	s, err := promstore.New(prometheus.URL, &promstore.Options{Name: "eu1-a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx := context.Background()

	_, err = s.Describe(ctx)
	fmt.Println(err)

	fmt.Println(s.Sync(ctx))
	info, err := s.Describe(ctx)
	fmt.Println(info.Component, info.LabelSets, info.MinTime, err)

	prometheus.Close()
	err = s.Sync(ctx)
	fmt.Println(errors.Is(err, store.ErrUnavailable))
	_, err = s.Describe(ctx)
	fmt.Println(errors.Is(err, store.ErrUnavailable))
	// Output:
	// store eu1-a: info: store unavailable: external labels of Prometheus not read yet
	// <nil>
	// sidecar [{cluster="eu1", replica="a"}] 1000 <nil>
	// true
	// true
}

func ExampleStore_LabelValues() {
	prometheus := examplePrometheus()
	defer prometheus.Close()
	s, err := promstore.New(prometheus.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx := context.Background()
	if err := s.Sync(ctx); err != nil {
		fmt.Println(err)
		return
	}
	names, err := s.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: math.MaxInt64})
	fmt.Println(names, err)
	for _, name := range []string{"job", "cluster"} {
		values, err := s.LabelValues(ctx, &store.LabelValuesRequest{Label: name, MaxTime: math.MaxInt64})
		fmt.Println(name, values, err)
	}
	// Output:
	// [__name__ cluster job replica] <nil>
	// job [node] <nil>
	// cluster [eu1] <nil>
}

// What Prometheus says of a refused request can be told apart from its absence.
func ExampleStatusError() {
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.Copy(w, strings.NewReader("Service Unavailable")) // as while it replays its WAL
	}))
	defer prometheus.Close()
	s, err := promstore.New(prometheus.URL, &promstore.Options{Name: "prom"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	err = s.Sync(context.Background())
	var status *promstore.StatusError
	fmt.Println(errors.As(err, &status), status.Code, errors.Is(err, store.ErrUnavailable))
	// Output: true 503 true
}

func ExampleNewRemoteRead() {
	// The address of remote read, as in the remote_read section of a Prometheus.
	s, err := promstore.NewRemoteRead("http://victoria:8428/api/v1/read", &promstore.RemoteReadOptions{
		ExternalLabels: labels.FromStrings("cluster", "eu"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	info, err := s.Describe(context.Background())
	fmt.Println(info.LabelSets, err)
	// Output: [{cluster="eu"}] <nil>
}

func ExampleStore_Flags() {
	prometheus := examplePrometheus()
	defer prometheus.Close()
	s, err := promstore.New(prometheus.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	flags, err := s.Flags(ctx)
	fmt.Println(flags["storage.tsdb.path"], flags["storage.tsdb.min-block-duration"], err)
	// Output: data/ 2h <nil>
}
