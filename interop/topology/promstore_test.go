package topology

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/promhttp"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// TestPromstore reads from real Prometheus servers through promstore, and
// compares with what they say over their own API and what the real sidecar makes
// of them.
func TestPromstore(t *testing.T) {
	for _, version := range []string{currentPrometheus, debianPrometheus} {
		t.Run(version, func(t *testing.T) {
			end := time.Now().Truncate(time.Minute).Add(-5 * time.Minute)
			h := history{end.Add(-90 * time.Minute), end}
			p := startPrometheus(t, version, map[string]string{"cluster": "c1", "replica": "a"}, func(dir string) {
				backfill(t, dir, h, 0, h.hole(20*time.Minute))
			})
			s, err := promstore.New(p.url, &promstore.Options{Name: version})
			testutil.Ok(t, err)
			defer s.Close()
			proc.Await(t, "sync", p.Process, proc.Patience, s.Sync)

			t.Run("info", func(t *testing.T) { promstoreInfo(t, s, version, h) })
			t.Run("samples", func(t *testing.T) { promstoreSamples(t, s, p, h) })
			t.Run("matchers", func(t *testing.T) { promstoreMatchers(t, s, h) })
			t.Run("labels", func(t *testing.T) { promstoreLabels(t, s, h) })
			t.Run("sidecar", func(t *testing.T) { promstoreSidecar(t, s, p, h) })
			if version == currentPrometheus {
				t.Run("native histograms", func(t *testing.T) { promstoreHistograms(t, s, p) })
			}
			t.Run("down", func(t *testing.T) { promstoreDown(t, s, p) })
		})
	}
}

func promstoreInfo(t *testing.T, s *promstore.Store, version string, h history) {
	info, err := s.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, `[{cluster="c1", replica="a"}]`, fmt.Sprint(info.LabelSets))
	testutil.Equals(t, int64(math.MaxInt64), info.MaxTime)
	testutil.Assert(t, info.MinTime > h.start.Add(-3*time.Hour).UnixMilli() && info.MinTime <= h.start.UnixMilli(), "%d", info.MinTime)
	if version == debianPrometheus {
		testutil.Assert(t, strings.HasPrefix(s.Version(), "2.42."), s.Version())
	}
}

// series returns the answer to a request, parts of series joined, after checking
// its order.
func series(t *testing.T, s store.Store, req *store.SeriesRequest) []*store.Series {
	t.Helper()
	var out []*store.Series
	for se, err := range store.All(t.Context(), s, req, nil) {
		testutil.Ok(t, err)
		if n := len(out); n > 0 {
			c := labels.Compare(out[n-1].Labels, se.Labels)
			testutil.Assert(t, c <= 0, "%s follows %s", se.Labels, out[n-1].Labels)
			if c == 0 {
				out[n-1].Chunks = append(out[n-1].Chunks, se.Chunks...)
				continue
			}
		}
		out = append(out, se)
	}
	return out
}

func selectors(t *testing.T, selector string) []*labels.Matcher {
	t.Helper()
	if selector == "" {
		return nil
	}
	ms, err := parser.ParseMetricSelector(selector)
	testutil.Ok(t, err)
	return ms
}

// promstoreSamples compares every sample of the history with the API.
func promstoreSamples(t *testing.T, s *promstore.Store, p *prometheus, h history) {
	got := map[string]string{}
	mint, maxt := h.start.UnixMilli(), h.end.UnixMilli()
	for _, se := range series(t, s, &store.SeriesRequest{MinTime: mint, MaxTime: maxt}) { // no matchers: everything
		var b strings.Builder
		for _, c := range se.Chunks {
			chk, err := c.Raw.Chunk()
			testutil.Ok(t, err)
			for it := chk.Iterator(nil); it.Next() == chunkenc.ValFloat; {
				if ts, v := it.At(); ts >= mint && ts <= maxt {
					fmt.Fprintf(&b, "%d %s\n", ts, strconv.FormatFloat(v, 'f', -1, 64))
				}
			}
		}
		got[se.Labels.String()] = b.String()
	}

	a, err := promhttp.Query(t.Context(), p.url, "query", map[string]string{
		"query": fmt.Sprintf(`{__name__=~".+"}[%ds]`, int(h.end.Sub(h.start).Seconds())+1), "time": seconds(h.end),
	})
	testutil.Ok(t, err)
	want := map[string]string{}
	for _, r := range a.Data.Result {
		r.Metric["cluster"], r.Metric["replica"] = "c1", "a" // the API has no external labels
		var b strings.Builder
		for _, v := range r.Values {
			fmt.Fprintf(&b, "%d %s\n", int64(math.Round(v[0].(float64)*1000)), v[1])
		}
		want[labels.FromMap(r.Metric).String()] = b.String()
	}
	testutil.Assert(t, len(want) == 28, "%d series", len(want))
	testutil.Equals(t, want, got)
}

// promstoreMatchers compares the numbers of series, with chunks and without.
func promstoreMatchers(t *testing.T, s *promstore.Store, h history) {
	for selector, want := range map[string]int{
		``:                             28,
		`{cluster="c1"}`:               28,
		`{cluster=~"c.",replica!="b"}`: 28,
		`{cluster="c2"}`:               0,
		`{code!="200"}`:                22,
		`{code=""}`:                    10,
		`{__name__=~".*"}`:             28,
		`requests_total`:               18,
		`requests_total{cluster="c1",code=~"4..|5.."}`: 12,
		`{__name__!="requests_total"}`:                 10,
		`{nonexistent!=""}`:                            0,
	} {
		for _, skip := range []bool{false, true} {
			for _, without := range [][]string{nil, {"replica"}, {"instance"}} {
				req := &store.SeriesRequest{
					MinTime: h.start.UnixMilli(), MaxTime: h.end.UnixMilli(), Matchers: selectors(t, selector),
					SkipChunks: skip, WithoutReplicaLabels: without,
				}
				n := 0
				for range store.All(t.Context(), s, req, nil) {
					n++
				}
				testutil.Equals(t, want, n, "%s, skip %t, without %v", selector, skip, without)
				series(t, s, req) // in order
			}
		}
	}
	before := h.start.Add(-24 * time.Hour).UnixMilli()
	testutil.Equals(t, 0, len(series(t, s, &store.SeriesRequest{MinTime: before - 1000, MaxTime: before})))
	testutil.Assert(t, len(series(t, s, &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64, SkipChunks: true})) >= 27)
}

func promstoreLabels(t *testing.T, s *promstore.Store, h history) {
	mint, maxt := h.start.UnixMilli(), h.end.UnixMilli()
	for selector, want := range map[string]string{
		`requests_total`:                "__name__ cluster code instance replica",
		`temperature{cluster="c1"}`:     "__name__ cluster instance replica",
		`{code="",le=""}`:               "__name__ cluster instance replica",
		`requests_total{cluster="c2"}`:  "",
		`requests_total{instance="i9"}`: "",
	} {
		got, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{MinTime: mint, MaxTime: maxt, Matchers: selectors(t, selector)})
		testutil.Ok(t, err)
		testutil.Equals(t, want, strings.Join(got, " "), selector)
	}
	for _, tc := range []struct{ label, selector, want string }{
		{"code", ``, "200 404 500"},
		{"code", `requests_total{code!="404"}`, "200 500"},
		{"code", `{code!~"404"}`, "200 500"},
		{"cluster", ``, "c1"},
		{"cluster", `temperature`, "c1"},
		{"cluster", `nope`, ""},
		{"nope.utf8", ``, ""},
	} {
		got, err := s.LabelValues(t.Context(), &store.LabelValuesRequest{Label: tc.label, MinTime: mint, MaxTime: maxt, Matchers: selectors(t, tc.selector)})
		testutil.Ok(t, err)
		testutil.Equals(t, tc.want, strings.Join(got, " "), "%s of %s", tc.label, tc.selector)
	}
}

// promstoreSidecar compares with the real sidecar of the same Prometheus, chunk
// for chunk.
func promstoreSidecar(t *testing.T, s *promstore.Store, p *prometheus, h history) {
	c, err := grpcstore.Dial(sidecar(t, "thanos", p).grpc, nil)
	testutil.Ok(t, err)
	defer c.Close()
	proc.Await(t, "info", nil, proc.Patience, func(ctx context.Context) error {
		_, err := c.Describe(ctx)
		return err
	})
	ours, err := s.Describe(t.Context())
	testutil.Ok(t, err)
	theirs, err := c.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, fmt.Sprint(theirs), fmt.Sprint(ours))
	for _, req := range []*store.SeriesRequest{
		{Matchers: selectors(t, `{__name__=~".+"}`)},
		{Matchers: selectors(t, `{__name__=~".+"}`), SkipChunks: true},
		{Matchers: selectors(t, `requests_total{cluster="c1"}`), WithoutReplicaLabels: []string{"replica"}},
		{Matchers: selectors(t, `requests_total`), WithoutReplicaLabels: []string{"replica", "instance"}},
		{Matchers: selectors(t, `{__name__=~".+"}`), Shard: &store.Shard{Index: 1, Total: 3, By: true, Labels: []string{"instance", "code"}}},
		{Matchers: selectors(t, `{cluster="c2",__name__=~".+"}`)},
	} {
		req.MinTime, req.MaxTime = h.start.UnixMilli(), h.end.UnixMilli()
		ours, theirs := chunksOf(series(t, s, req)), chunksOf(series(t, c, req))
		testutil.Equals(t, theirs, ours, req.String())
	}
}

// chunksOf is series as text, with all that they consist of.
func chunksOf(series []*store.Series) []string {
	out := []string{}
	for _, s := range series {
		slices.SortFunc(s.Chunks, func(a, b store.Chunk) int {
			if a.MinTime != b.MinTime {
				return int(a.MinTime - b.MinTime)
			}
			return bytes.Compare(a.Raw.Bytes, b.Raw.Bytes)
		})
		var b strings.Builder
		for _, c := range s.Chunks {
			fmt.Fprintf(&b, " %d-%d %s %x", c.MinTime, c.MaxTime, c.Raw.Encoding, c.Raw.Bytes)
		}
		out = append(out, s.Labels.String()+b.String())
	}
	return out
}

// promstoreHistograms compares scraped native histograms with the API.
func promstoreHistograms(t *testing.T, s *promstore.Store, p *prometheus) {
	at := p.awaitScrapes(t, 10*time.Second)
	const name = "prometheus_http_request_duration_seconds"
	a, err := promhttp.Query(t.Context(), p.url, "query", map[string]string{"query": name + `{handler="/metrics"}[20s]`, "time": seconds(at)})
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(a.Data.Result))
	var want []string
	for _, h := range a.Data.Result[0].Histograms {
		raw, err := json.Marshal(h[1])
		testutil.Ok(t, err)
		var fields struct{ Count, Sum string }
		testutil.Ok(t, json.Unmarshal(raw, &fields))
		want = append(want, fmt.Sprintf("%d %s %s", int64(math.Round(h[0].(float64)*1000)), fields.Count, fields.Sum))
	}
	testutil.Assert(t, len(want) > 10, "%d histograms", len(want))

	mint, maxt := at.Add(-20*time.Second).UnixMilli()+1, at.UnixMilli() // ranges are left-open
	got := series(t, s, &store.SeriesRequest{MinTime: mint, MaxTime: maxt, Matchers: selectors(t, name+`{handler="/metrics"}`)})
	testutil.Equals(t, 1, len(got))
	var have []string
	for _, c := range got[0].Chunks {
		testutil.Equals(t, chunkenc.EncHistogram, c.Raw.Encoding)
		chk, err := c.Raw.Chunk()
		testutil.Ok(t, err)
		for it := chk.Iterator(nil); it.Next() != chunkenc.ValNone; {
			if ts, h := it.AtHistogram(nil); ts >= mint && ts <= maxt {
				have = append(have, fmt.Sprintf("%d %d %s", ts, h.Count, strconv.FormatFloat(h.Sum, 'f', -1, 64)))
			}
		}
	}
	testutil.Equals(t, want, have)
}

// promstoreDown stops Prometheus.
func promstoreDown(t *testing.T, s *promstore.Store, p *prometheus) {
	p.Stop()
	err := s.Series(t.Context(), &store.SeriesRequest{MaxTime: math.MaxInt64}, discard{})
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
	err = s.Sync(t.Context())
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
	_, err = s.Describe(t.Context())
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
}

// discard is a writer.
type discard struct{}

func (discard) Send(*store.Series) error { return nil }
func (discard) Warn(error) error         { return nil }
