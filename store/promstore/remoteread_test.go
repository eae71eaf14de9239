package promstore_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// remoteRead returns the remote read of the fake as a Store.
func (f *fake) remoteRead(t testing.TB, opts promstore.RemoteReadOptions) *promstore.RemoteRead {
	t.Helper()
	s, err := promstore.NewRemoteRead(f.url+"/api/v1/read", &opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, s.Close()) })
	return s
}

func TestRemoteReadConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB, f *storetest.Fixture) store.Store {
			prom := newFake(t.(*testing.T))
			app := prom.db.Appender(context.Background())
			testutil.Ok(t, f.Append(t.Context(), app))
			testutil.Ok(t, app.Commit())
			return prom.remoteRead(t, promstore.RemoteReadOptions{ExternalLabels: f.ExternalLabels()})
		},
		Lacks: map[storetest.Feature]string{storetest.DownsampledData: "a Prometheus has raw data only"},
	})
}

// TestRemoteReadAsksNothingElse: one endpoint is enough.
func TestRemoteReadAsksNothingElse(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, samplesOnly bool) {
		f := newFake(t)
		f.samplesOnly = samplesOnly
		f.kinds(t)
		reg := prometheus.NewRegistry()
		s := f.remoteRead(t, promstore.RemoteReadOptions{Registerer: reg})
		testutil.Equals(t, f.held(t, 0, math.MaxInt64, labels.MustNewMatcher(labels.MatchEqual, "__name__", "kind")),
			sent(t, collectAll(t, s, &store.SeriesRequest{MaxTime: math.MaxInt64}), 0, math.MaxInt64))
		names, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: math.MaxInt64})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"__name__", "kind"}, names)
		values, err := s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "kind", MaxTime: math.MaxInt64, Limit: 2})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"both", "counter"}, values)
		info, err := s.Describe(t.Context())
		testutil.Ok(t, err)
		testutil.Assert(t, info.MinTime == 0 && info.MaxTime == 0 && len(info.LabelSets) == 0, "%v", info)

		f.mu.Lock()
		defer f.mu.Unlock()
		testutil.Equals(t, 3, len(f.requests))
		for i, r := range f.requests {
			testutil.Equals(t, "read", strings.TrimPrefix(r.endpoint, "/api/v1/"))
			hints := r.read.Queries[0].Hints
			testutil.Equals(t, i > 0, hints != nil && hints.Func == "series")
		}
		mf, err := reg.Gather()
		testutil.Ok(t, err)
		testutil.Equals(t, 2, len(mf))
	})
}

// TestRemoteReadServerLabels: external labels that the server adds have to be
// known, or the answer be sorted.
func TestRemoteReadServerLabels(t *testing.T) {
	t.Parallel()
	f := newFake(t, "a", "x")
	f.floats(t, 1, labels.FromStrings("__name__", "up", "a", "0"), labels.FromStrings("__name__", "up", "b", "0"), labels.FromStrings("__name__", "up", "a", "z", "c", "0"))
	req := &store.SeriesRequest{MaxTime: math.MaxInt64}
	err := f.remoteRead(t, promstore.RemoteReadOptions{}).Series(t.Context(), req, &counter{})
	testutil.Assert(t, errors.Is(err, store.ErrUnsorted), "%v", err)
	names := func(opts promstore.RemoteReadOptions) (out []string) {
		for _, s := range collectAll(t, f.remoteRead(t, opts), req) {
			out = append(out, s.Labels.String())
		}
		return out
	}
	want := []string{`{__name__="up", a="0"}`, `{__name__="up", a="x", b="0"}`, `{__name__="up", a="z", c="0"}`}
	testutil.Equals(t, want, names(promstore.RemoteReadOptions{Unsorted: true}))
	testutil.Equals(t, want, names(promstore.RemoteReadOptions{SamplesOnly: true}))
	testutil.Equals(t, []string{`{__name__="up", a="x"}`, `{__name__="up", a="x", b="0"}`, `{__name__="up", a="x", c="0"}`},
		names(promstore.RemoteReadOptions{ExternalLabels: labels.FromStrings("a", "x")}))
}

func TestRemoteReadBounds(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := f.remoteRead(t, promstore.RemoteReadOptions{MinTime: 100, MaxTime: 200, ExternalLabels: labels.FromStrings("cluster", "eu")})
	info, err := s.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, [2]int64{100, 200}, [2]int64{info.MinTime, info.MaxTime})
	testutil.Equals(t, []labels.Labels{labels.FromStrings("cluster", "eu")}, info.LabelSets)
	testutil.Equals(t, 0, len(collectAll(t, s, &store.SeriesRequest{MaxTime: 99})))
	testutil.Equals(t, 0, len(f.requests))
	testutil.Equals(t, 0, len(collectAll(t, s, &store.SeriesRequest{MinTime: 50, MaxTime: math.MaxInt64})))
	testutil.Equals(t, 1, len(f.requests))
	q := f.requests[0].read.Queries[0]
	testutil.Equals(t, [2]int64{100, 200}, [2]int64{q.StartTimestampMs, q.EndTimestampMs})

	_, err = promstore.NewRemoteRead("ftp://host", nil)
	testutil.NotOk(t, err)
	_, err = promstore.NewRemoteRead("http://host", &promstore.RemoteReadOptions{MinTime: 2, MaxTime: 1, MaxResponseBytes: -1})
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "MinTime") && strings.Contains(err.Error(), "MaxResponseBytes"), "%v", err)
}

func TestRemoteReadTenant(t *testing.T) {
	t.Parallel()
	var tenants []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenants = append(tenants, r.Header.Get("X-Scope-Orgid")) // one request at a time
		w.Header().Set("Content-Type", streamedType)
	}))
	defer srv.Close()
	s, err := promstore.NewRemoteRead(srv.URL, &promstore.RemoteReadOptions{TenantHeader: "X-Scope-OrgID"})
	testutil.Ok(t, err)
	defer s.Close()
	for _, tenant := range []string{"blue", ""} {
		testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{Tenant: tenant}, &counter{}))
	}
	testutil.Equals(t, []string{"blue", ""}, tenants)
}

func TestRemoteReadErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		code        int
		contentType string
		body        []byte
		is          error
		text        string
	}{
		{name: "down", code: 503, body: []byte("starting"), is: store.ErrUnavailable, text: "api/v1/read answered 503 Service Unavailable: starting"},
		{name: "refused", code: 400, body: []byte("sample limit exceeded"), text: "400 Bad Request: sample limit exceeded"},
		{name: "login", contentType: "text/html", body: []byte("<html>login</html>"), is: store.ErrMalformed, text: "<html>login</html>"},
		{name: "other message", contentType: "application/x-protobuf; proto=other", is: store.ErrMalformed, text: "other"},
		{name: "no snappy", contentType: sampledType, body: []byte("hello"), is: store.ErrMalformed, text: "sampled answer"},
		{name: "huge claim", contentType: sampledType, body: []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, is: store.ErrMalformed, text: "claims to hold 4294967295"},
		{name: "no result", contentType: sampledType, body: snappy.Encode(nil, nil), is: store.ErrMalformed, text: "0 results"},
		{name: "checksum", contentType: streamedType, body: []byte{1, 0, 0, 0, 0, 7}, is: store.ErrMalformed, text: "checksum"},
		{name: "truncated", contentType: streamedType, body: []byte{100, 0, 0, 0, 0, 7}, is: store.ErrMalformed, text: "ends within a frame"},
		{name: "huge frame", contentType: streamedType, body: []byte{0xff, 0xff, 0xff, 0xff, 0x0f}, is: store.ErrMalformed, text: "frame of 4294967295 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case tc.name == "login" && r.Method == http.MethodPost: // as proxies do
					http.Redirect(w, r, "/login", http.StatusFound)
					return
				case tc.contentType != "":
					w.Header().Set("Content-Type", tc.contentType)
				}
				w.WriteHeader(max(tc.code, 200))
				_, _ = w.Write(tc.body)
			}))
			defer srv.Close()
			s, err := promstore.NewRemoteRead(srv.URL+"/api/v1/read", nil)
			testutil.Ok(t, err)
			defer s.Close()
			err = s.Series(t.Context(), &store.SeriesRequest{MaxTime: 1}, &counter{})
			var e *store.Error
			testutil.Assert(t, errors.As(err, &e) && e.Store == srv.URL+"/api/v1/read" && e.Op == "series", "%v", err)
			testutil.Assert(t, tc.is == nil || errors.Is(err, tc.is), "%v", err)
			testutil.Assert(t, strings.Contains(err.Error(), tc.text), "%v", err)
		})
	}
}

func collectAll(t testing.TB, s store.Store, req *store.SeriesRequest) (out []*store.Series) {
	t.Helper()
	for series, err := range store.All(context.Background(), s, req, nil) {
		testutil.Ok(t, err)
		out = append(out, series)
	}
	return out
}

// TestLimitOfLabels: a limit is not left to the series API, which may list any
// series under it.
func TestLimitOfLabels(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.floats(t, 1, labels.FromStrings("__name__", "up", "i", "2"), labels.FromStrings("__name__", "up", "i", "1"), labels.FromStrings("__name__", "up", "i", "0"))
	got := collectAll(t, f.store(t, promstore.Options{}), &store.SeriesRequest{
		MaxTime: math.MaxInt64, SkipChunks: true, Limit: 2, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")},
	})
	testutil.Equals(t, 2, len(got))
	for i, want := range []string{"0", "1"} {
		testutil.Equals(t, want, got[i].Labels.Get("i"))
	}
	testutil.Equals(t, "", f.last(t, "series").form.Get("limit"))
}
