package promqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/promqlstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	scrape  = 15_000 // ms
	scrapes = 300
)

// peer is a server of PromQL over a Store, that remembers what it was asked.
type peer struct {
	url string

	mu    sync.Mutex
	forms []url.Values // by request, with the path as "path"
}

func newPeer(t testing.TB, s store.Store) *peer {
	t.Helper()
	q, err := query.New(s, nil)
	testutil.Ok(t, err)
	h, err := httpapi.New(q, nil)
	testutil.Ok(t, err)
	return newPeerOf(t, h)
}

func newPeerOf(t testing.TB, h http.Handler) *peer {
	t.Helper()
	p := &peer{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		testutil.Ok(t, r.ParseForm())
		p.mu.Lock()
		form := url.Values{"path": {r.Method + " " + r.URL.Path}}
		maps.Copy(form, r.Form)
		if tenant := r.Header.Get("X-Scope-Orgid"); tenant != "" {
			form.Set("tenant", tenant)
		}
		p.forms = append(p.forms, form)
		p.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

// asked returns what was asked since the last time.
func (p *peer) asked() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	forms := p.forms
	p.forms = nil
	return forms
}

func (p *peer) store(t testing.TB, opts promqlstore.Options) *promqlstore.Store {
	t.Helper()
	s, err := promqlstore.New(p.url, &opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// data has series that need quoting, and one with gaps.
func data(t testing.TB) *memstore.Store {
	t.Helper()
	s := memstore.New(nil)
	for i := range int64(scrapes) {
		ts := 1 + (i+1)*scrape
		for j, lset := range []labels.Labels{
			labels.FromStrings("__name__", "up", "job", "a", "only_a", "1"),
			labels.FromStrings("__name__", "up", "job", "b"),
			labels.FromStrings("__name__", "down", "job", `quoted " \ `+"\n"),
			labels.FromStrings("__name__", "http.requests", "näme", "ü", "U__x", "1"),
			labels.FromStrings("__name__", "gaps"),
		} {
			if j == 4 && i%100 < 90 {
				continue
			}
			v := []float64{float64(i*i%97) + 0.1, math.Inf(1), math.NaN(), -1e-300, math.Inf(-1)}[i%5]
			testutil.Ok(t, s.Append(lset, ts, v))
		}
	}
	return s
}

// held returns what a Store sends, as text.
func held(t testing.TB, s store.Store, req *store.SeriesRequest, out *store.Outcome) []string {
	t.Helper()
	var lines []string
	for series, err := range store.All(context.Background(), s, req, out) {
		testutil.Ok(t, err)
		line, last := series.Labels.String(), int64(math.MinInt64)
		n := 0
		for _, c := range series.Chunks {
			testutil.Assert(t, c.MinTime > last, "chunk at %d follows %d", c.MinTime, last)
			last = c.MaxTime
			chk, err := c.Raw.Chunk()
			testutil.Ok(t, err)
			for it := chk.Iterator(nil); it.Next() == chunkenc.ValFloat; {
				if ts, v := it.At(); ts >= req.MinTime && ts <= req.MaxTime {
					line += fmt.Sprintf(" %d:%x", ts, math.Float64bits(v))
					n++
				}
			}
		}
		if n > 0 || req.SkipChunks {
			lines = append(lines, line)
		}
	}
	return lines
}

func matchers(t testing.TB, pairs ...string) (ms []*labels.Matcher) {
	t.Helper()
	for i := 0; i < len(pairs); i += 3 {
		typ := map[string]labels.MatchType{"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp}[pairs[i+1]]
		ms = append(ms, labels.MustNewMatcher(typ, pairs[i], pairs[i+2]))
	}
	return ms
}

func TestSeries(t *testing.T) {
	t.Parallel()
	s := data(t)
	p := newPeer(t, s)
	for _, window := range []time.Duration{time.Millisecond * 7 * scrape, time.Hour, 365 * 24 * time.Hour} {
		r := p.store(t, promqlstore.Options{Window: window})
		for _, tc := range []struct {
			name string
			req  store.SeriesRequest
		}{
			{"all", store.SeriesRequest{MaxTime: 1000 * scrape}},
			{"all labels", store.SeriesRequest{MaxTime: 1000 * scrape, SkipChunks: true}},
			{"bounds are inclusive", store.SeriesRequest{MinTime: 40*scrape + 1, MaxTime: 60*scrape + 1}},
			{"one instant", store.SeriesRequest{MinTime: 40*scrape + 1, MaxTime: 40*scrape + 1}},
			{"between", store.SeriesRequest{MinTime: 40*scrape + 2, MaxTime: 41 * scrape}},
			{"backwards", store.SeriesRequest{MinTime: 2, MaxTime: 1}},
			{"equal", store.SeriesRequest{MaxTime: 1000 * scrape, Matchers: matchers(t, "job", "=", `quoted " \ `+"\n")}},
			{"not equal", store.SeriesRequest{MaxTime: 1000 * scrape, Matchers: matchers(t, "job", "!=", "a")}},
			{"name by regexp", store.SeriesRequest{MaxTime: 1000 * scrape, Matchers: matchers(t, "__name__", "=~", "up|down")}},
			{"not regexp", store.SeriesRequest{MaxTime: 1000 * scrape, Matchers: matchers(t, "__name__", "!~", "up|down")}},
			{"no value", store.SeriesRequest{MaxTime: 1000 * scrape, Matchers: matchers(t, "only_a", "=", "")}},
			{"UTF-8 name", store.SeriesRequest{MaxTime: 1000 * scrape, Matchers: matchers(t, "näme", "=", "ü")}},
			{"limit", store.SeriesRequest{MaxTime: 1000 * scrape, Limit: 2}},
			{"limit of labels", store.SeriesRequest{MaxTime: 1000 * scrape, Limit: 2, SkipChunks: true}},
		} {
			t.Run(window.String()+"/"+tc.name, func(t *testing.T) {
				t.Parallel()
				want := held(t, s, &tc.req, nil)
				if tc.req.MinTime == 40*scrape+2 {
					want = nil // chunks reach over the range, no sample is in it
				}
				testutil.Equals(t, want, held(t, r, &tc.req, nil))
			})
		}
	}
}

// TestChunks: windows do not show in the chunks.
func TestChunks(t *testing.T) {
	t.Parallel()
	p := newPeer(t, data(t))
	r := p.store(t, promqlstore.Options{Window: 10 * time.Minute, MinTime: 1, MaxTime: 1000 * scrape})
	for series, err := range store.All(t.Context(), r, &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64, Matchers: matchers(t, "job", "=", "a")}, nil) {
		testutil.Ok(t, err)
		testutil.Equals(t, (scrapes+store.SamplesPerChunk-1)/store.SamplesPerChunk, len(series.Chunks))
	}
	asked := p.asked()
	testutil.Equals(t, 25, len(asked)) // 1000 scrapes of 15 s in windows of 10 minutes
	testutil.Equals(t, `{job="a"}[600000ms]`, asked[0].Get("query"))
	testutil.Equals(t, "1970-01-01T00:10:00Z", asked[0].Get("time"))
	testutil.Equals(t, `{job="a"}[600000ms]`, asked[24].Get("query"))
	testutil.Equals(t, "1970-01-01T04:10:00Z", asked[24].Get("time"))
}

// TestClosedRanges: a server whose ranges include their beginning, as those before
// Prometheus 3 do, has each sample once, and none that was not asked for.
func TestClosedRanges(t *testing.T) {
	t.Parallel()
	p := newPeerOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, length, _ := strings.Cut(r.Form.Get("query"), "[")
		d, err := time.ParseDuration(strings.TrimSuffix(length, "]"))
		testutil.Ok(t, err)
		to, err := time.Parse(time.RFC3339Nano, r.Form.Get("time"))
		testutil.Ok(t, err)
		var values []string
		for ts := to.Add(-d).UnixMilli(); ts <= to.UnixMilli(); ts++ {
			values = append(values, fmt.Sprintf(`[%d.%03d,"%d"]`, ts/1000, ts%1000, ts))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up"},"values":[%s]}]}}`, strings.Join(values, ","))
	}))
	s := p.store(t, promqlstore.Options{Window: 10 * time.Millisecond})
	want := int64(1000)
	for series, err := range store.All(t.Context(), s, &store.SeriesRequest{MinTime: 1000, MaxTime: 1042}, nil) {
		testutil.Ok(t, err)
		for _, c := range series.Chunks {
			chk, err := c.Raw.Chunk()
			testutil.Ok(t, err)
			for it := chk.Iterator(nil); it.Next() != chunkenc.ValNone; want++ {
				ts, v := it.At()
				testutil.Equals(t, want, ts)
				testutil.Equals(t, float64(want), v)
			}
		}
	}
	testutil.Equals(t, int64(1043), want)
}

func TestLabels(t *testing.T) {
	t.Parallel()
	s := data(t)
	p := newPeer(t, s)
	r := p.store(t, promqlstore.Options{})
	long := strings.Repeat("x", 8<<10)
	for _, ms := range [][]*labels.Matcher{
		nil, matchers(t, "job", "=", "a"), matchers(t, "job", "=", ""), matchers(t, "__name__", "=~", "up|"+long), matchers(t, "job", "=", "none"),
	} {
		for _, limit := range []int{0, 2} {
			nreq := &store.LabelNamesRequest{MaxTime: 1000 * scrape, Matchers: ms, Limit: limit}
			want, err := s.LabelNames(t.Context(), nreq)
			testutil.Ok(t, err)
			got, err := r.LabelNames(t.Context(), nreq)
			testutil.Ok(t, err)
			testutil.Assert(t, slices.Equal(want, got), "%v: %q, want %q", ms, got, want)
			for _, label := range []string{"__name__", "job", "näme", "U__x", "none"} {
				vreq := &store.LabelValuesRequest{Label: label, MaxTime: 1000 * scrape, Matchers: ms, Limit: limit}
				want, err := s.LabelValues(t.Context(), vreq)
				testutil.Ok(t, err)
				got, err := r.LabelValues(t.Context(), vreq)
				testutil.Ok(t, err)
				testutil.Assert(t, slices.Equal(want, got), "%v, %s: %q, want %q", ms, label, got, want)
			}
		}
	}
	for _, form := range p.asked() {
		testutil.Assert(t, !strings.HasPrefix(form.Get("path"), "GET") || len(form.Encode()) < 6<<10, form.Get("path"))
	}
	_, err := r.LabelValues(t.Context(), &store.LabelValuesRequest{})
	testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest))
	got, err := r.LabelNames(t.Context(), &store.LabelNamesRequest{MinTime: 1})
	testutil.Assert(t, err == nil && got == nil)
}

func TestHistograms(t *testing.T) {
	t.Parallel()
	s := data(t)
	for i := range int64(10) {
		for _, name := range []string{"h1", "h2"} {
			testutil.Ok(t, s.AppendHistogram(labels.FromStrings("__name__", name), (i+1)*scrape, tsdbutil.GenerateTestHistogram(i)))
		}
	}
	for i := range int64(10) {
		testutil.Ok(t, s.Append(labels.FromStrings("__name__", "h2"), (i+100)*scrape, 1))
	}
	r := newPeer(t, s).store(t, promqlstore.Options{})
	var out store.Outcome
	got := held(t, r, &store.SeriesRequest{MaxTime: 1000 * scrape, Matchers: matchers(t, "__name__", "=~", "h.")}, &out)
	testutil.Equals(t, 1, len(got))
	testutil.Equals(t, 10, strings.Count(got[0], ":"))
	testutil.Equals(t, 1, len(out.Warnings()))
	e, ok := errors.AsType[*promqlstore.HistogramError](out.Warnings()[0])
	testutil.Assert(t, ok && errors.Is(e, promqlstore.ErrHistograms))
	testutil.Equals(t, `native histograms cannot be read through PromQL over HTTP: 20 left out of {__name__="h1"} and 1 other series`, e.Error())

	err := r.Series(t.Context(), &store.SeriesRequest{MaxTime: 1000 * scrape, Strategy: store.Abort, Matchers: matchers(t, "__name__", "=", "h1")}, discard{})
	testutil.Assert(t, errors.Is(err, promqlstore.ErrHistograms), "%v", err)
}

type discard struct{}

func (discard) Send(*store.Series) error { return nil }
func (discard) Warn(error) error         { return nil }

func TestDialect(t *testing.T) {
	t.Parallel()
	p := newPeer(t, data(t))
	for _, tc := range []struct {
		name     string
		opts     promqlstore.Options
		strategy store.PartialResponseStrategy
		want     url.Values
	}{
		{name: "Prometheus", want: url.Values{"dedup": nil, "partial_response": nil, "max_source_resolution": nil}},
		{name: "Thanos", opts: promqlstore.Options{Dialect: promqlstore.Thanos}, want: url.Values{"dedup": {"false"}, "partial_response": {"true"}, "max_source_resolution": {"0s"}}},
		{name: "Thanos, abort", opts: promqlstore.Options{Dialect: promqlstore.Thanos}, strategy: store.Abort, want: url.Values{"dedup": {"false"}, "partial_response": {"false"}}},
		{
			name: "parameters", opts: promqlstore.Options{Dialect: promqlstore.Thanos, Params: url.Values{"dedup": {"true"}, "replicaLabels[]": {"a", "b"}}},
			want: url.Values{"dedup": {"true"}, "replicaLabels[]": {"a", "b"}, "partial_response": {"true"}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p.asked()
			r := p.store(t, tc.opts)
			testutil.Ok(t, r.Series(t.Context(), &store.SeriesRequest{MaxTime: scrape, Strategy: tc.strategy}, discard{}))
			testutil.Ok(t, r.Series(t.Context(), &store.SeriesRequest{MaxTime: scrape, Strategy: tc.strategy, SkipChunks: true}, discard{}))
			_, err := r.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: scrape, Strategy: tc.strategy})
			testutil.Ok(t, err)
			_, err = r.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "job", MaxTime: scrape, Strategy: tc.strategy})
			testutil.Ok(t, err)
			asked := p.asked()
			testutil.Equals(t, 4, len(asked))
			for _, form := range asked {
				for k, vs := range tc.want {
					testutil.Equals(t, vs, form[k], form.Get("path")+" "+k)
				}
			}
		})
	}
}

func TestTenant(t *testing.T) {
	t.Parallel()
	p := newPeer(t, data(t))
	r := p.store(t, promqlstore.Options{TenantHeader: "X-Scope-OrgID"})
	long := matchers(t, "job", "=~", strings.Repeat("x", 8<<10))
	for _, tenant := range []string{"blue", ""} {
		for _, skip := range []bool{false, true} {
			testutil.Ok(t, r.Series(t.Context(), &store.SeriesRequest{MaxTime: scrape, Tenant: tenant, SkipChunks: skip}, discard{}))
		}
		_, err := r.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: scrape, Tenant: tenant})
		testutil.Ok(t, err)
		for _, ms := range [][]*labels.Matcher{nil, long} {
			_, err = r.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "job", MaxTime: scrape, Tenant: tenant, Matchers: ms})
			testutil.Ok(t, err)
		}
		asked := p.asked()
		testutil.Equals(t, 5, len(asked))
		for _, form := range asked {
			testutil.Equals(t, tenant, form.Get("tenant"), form.Get("path"))
		}
	}
}

// canned answers everything alike.
func canned(code int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	})
}

// TestClosed: servers whose ranges include their beginning, in their own ways of
// writing JSON.
func TestClosed(t *testing.T) {
	t.Parallel()
	p := newPeerOf(t, canned(200, "application/json; charset=utf-8", ` { "data" : {"stats":{"a":[1]}, "result" : [
		{"values" : [ [ 0.999 , "7" ], [ 1 , "1.5" ] ,[1.5e0,"NaN"],[2.000,"+Inf"],[2.0001,"3"],[2.0014,"4"]], "metric":{"b":"2","a":"1","c":""}},
		{"metric":{"a":"0"},"values":null},
		{"metric":{"a":"0"},"values":[[1.250,"-0"]],"group":1}
	] , "resultType":"matrix" }, "infos":["x"], "status" : "success", "isPartial":false } `))
	r := p.store(t, promqlstore.Options{})
	err := r.Series(t.Context(), &store.SeriesRequest{MinTime: 1000, MaxTime: 2001}, discard{})
	testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%v", err) // 2.0001 is 2.000 again
	got := held(t, r, &store.SeriesRequest{MinTime: 1000, MaxTime: 1999}, nil)
	testutil.Equals(t, []string{
		`{a="0"} 1250:8000000000000000`,
		`{a="1", b="2"} 1000:3ff8000000000000 1500:7ff8000000000001`,
	}, got)
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{"resultType":"matrix","result":[]}`, `[]`} {
		p := newPeerOf(t, canned(200, "application/json", `{"status":"success","data":`+data+`,"warnings":["a store is down","results truncated due to limit"]}`))
		r := p.store(t, promqlstore.Options{Window: time.Second})
		skip := data == `[]`
		var out store.Outcome
		testutil.Equals(t, 0, len(held(t, r, &store.SeriesRequest{MaxTime: 2500, SkipChunks: skip}, &out)))
		testutil.Equals(t, 1, len(out.Warnings())) // once, of three windows
		testutil.Equals(t, "peer: a store is down", out.Warnings()[0].Error())
		var w *promqlstore.Warning
		err := r.Series(t.Context(), &store.SeriesRequest{MaxTime: 2500, SkipChunks: skip, Strategy: store.Abort}, discard{})
		testutil.Assert(t, errors.As(err, &w), "%v", err)
		if skip {
			_, err = r.LabelNames(t.Context(), &store.LabelNamesRequest{Strategy: store.Abort})
			testutil.Assert(t, errors.As(err, &w), "%v", err)
			_, err = r.LabelNames(t.Context(), &store.LabelNamesRequest{Outcome: &out})
			testutil.Ok(t, err)
			testutil.Equals(t, 2, len(out.Warnings()))
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	const ok = `{"status":"success","data":`
	matrix := func(result string) string { return ok + `{"resultType":"matrix","result":` + result + `}}` }
	for _, tc := range []struct {
		name        string
		opts        promqlstore.Options
		code        int
		contentType string
		body        string
		is          error
		text        string
	}{
		{name: "unavailable", code: 503, body: `{"status":"error","errorType":"unavailable","error":"starting"}`, is: store.ErrUnavailable, text: "api/v1/query answered 503 Service Unavailable: unavailable: starting"},
		{name: "refused", code: 422, body: `{"status":"error","errorType":"execution","error":"too many samples"}`, text: "422 Unprocessable Entity: execution: too many samples"},
		{name: "error with 200", body: `{"status":"error","errorType":"timeout","error":"slow"}`, text: "timeout: slow"},
		{name: "login", contentType: "text/html", body: "<html>login</html>", is: store.ErrMalformed, text: `"text/html": <html>login</html>`},
		{name: "no JSON", body: "{", is: store.ErrMalformed},
		{name: "truncated", body: matrix(`[{"metric":{"a":"1"},"values":[[1,"1"]]},`)[:60], is: store.ErrMalformed, text: "unexpected EOF"},
		{name: "vector", body: ok + `{"resultType":"vector","result":[]}}`, is: store.ErrMalformed, text: `"vector"`},
		{name: "no array", body: matrix(`{}`), is: store.ErrMalformed},
		{name: "no pair", body: matrix(`[{"values":[[1]]}]`), is: store.ErrMalformed, text: "pair"},
		{name: "no list", body: matrix(`[{"values":{"a":1}}]`), is: store.ErrMalformed},
		{name: "no value", body: matrix(`[{"values":[[1,"x"]]}]`), is: store.ErrMalformed, text: "value"},
		{name: "bare value", body: matrix(`[{"values":[[1,2]]}]`), is: store.ErrMalformed},
		{name: "no time", body: matrix(`[{"values":[["a","1"]]}]`), is: store.ErrMalformed, text: "time"},
		{name: "far time", body: matrix(`[{"values":[[1e300,"1"]]}]`), is: store.ErrMalformed, text: "out of range"},
		{name: "no histogram", body: matrix(`[{"histograms":[{}]}]`), is: store.ErrMalformed},
		{name: "twice", body: matrix(`[{"metric":{"a":"1"},"values":[[1,"1"],[1,"1"]]}]`), is: store.ErrMalformed, text: `{a="1"}`},
		{name: "no name", body: matrix(`[{"metric":{"":"1"},"values":[[1,"1"]]}]`), is: store.ErrMalformed, text: "without a name"},
		{name: "bytes", opts: promqlstore.Options{MaxResponseBytes: 30}, body: matrix(`[]`), is: store.ErrLimit, text: "bytes limit of 30"},
		{name: "samples", opts: promqlstore.Options{MaxSamples: 1}, body: matrix(`[{"metric":{"a":"1"},"values":[[1,"1"],[2,"1"]]}]`), is: store.ErrLimit, text: "samples limit of 1"},
		{name: "windows", opts: promqlstore.Options{Window: time.Second, MaxWindows: 9}, body: matrix(`[]`), is: store.ErrLimit, text: "windows limit of 9"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.code == 0 {
				tc.code = 200
			}
			if tc.contentType == "" {
				tc.contentType = "application/json"
			}
			r := newPeerOf(t, canned(tc.code, tc.contentType, tc.body)).store(t, tc.opts)
			err := r.Series(t.Context(), &store.SeriesRequest{MaxTime: 9_000}, discard{})
			var e *store.Error
			testutil.Assert(t, errors.As(err, &e) && e.Op == "series" && strings.HasPrefix(e.Store, "http://127.0.0.1"), "%v", err)
			testutil.Assert(t, tc.is == nil || errors.Is(err, tc.is), "%v", err)
			testutil.Assert(t, strings.Contains(err.Error(), tc.text), "%v", err)
		})
	}
}

// TestEnds: the caller's context and the writer's error come back as they are.
func TestEnds(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	p := newPeerOf(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(hang)
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-hang
		cancel()
	}()
	err := p.store(t, promqlstore.Options{}).Series(ctx, &store.SeriesRequest{MaxTime: 1}, discard{})
	testutil.Assert(t, errors.Is(err, context.Canceled) && !errors.Is(err, store.ErrUnavailable), "%v", err)

	had := errors.New("had enough")
	err = newPeer(t, data(t)).store(t, promqlstore.Options{}).Series(t.Context(), &store.SeriesRequest{MaxTime: 1000 * scrape}, fussy{err: had})
	testutil.Assert(t, err == had, "%v", err) //nolint:errorlint // as it is
}

type fussy struct {
	discard
	err error
}

func (f fussy) Send(*store.Series) error { return f.err }

func TestOptions(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	for range 2 { // share it
		s, err := promqlstore.New("https://user:secret@host/prefix?tenant=x", &promqlstore.Options{Registerer: reg, MaxAge: time.Hour})
		testutil.Ok(t, err)
		info, err := s.Describe(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, int64(math.MaxInt64), info.MaxTime)
		testutil.Assert(t, info.MinTime > 0)
	}
	s, err := promqlstore.New("http://host", nil)
	testutil.Ok(t, err)
	info, err := s.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, store.Info{}, info)

	_, err = promqlstore.New("http://host", &promqlstore.Options{
		Window: time.Microsecond, MaxWindows: -1, MaxAge: -1, MaxSamples: -1, MaxResponseBytes: -1, Dialect: 7, MinTime: 2, MaxTime: 1,
	})
	for _, name := range []string{"Window", "MaxWindows", "MaxAge", "MaxSamples", "MaxResponseBytes", "Dialect", "MinTime"} {
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), "option "+name+":"), "%s in %v", name, err)
	}
	for _, u := range []string{"ftp://host", "http://", "%"} {
		_, err := promqlstore.New(u, nil)
		testutil.Assert(t, err != nil, u)
	}
}
