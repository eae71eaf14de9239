package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/prometheus/prometheus/util/stats"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// fixed is an engine whose queries have one result, whatever they ask.
type fixed struct{ result promql.Result }

func (e *fixed) NewInstantQuery(context.Context, storage.Queryable, promql.QueryOpts, string, time.Time) (promql.Query, error) {
	return &fixedQuery{result: e.result}, nil
}

func (e *fixed) NewRangeQuery(context.Context, storage.Queryable, promql.QueryOpts, string, time.Time, time.Time, time.Duration) (promql.Query, error) {
	return &fixedQuery{result: e.result}, nil
}

type fixedQuery struct{ result promql.Result }

func (q *fixedQuery) Exec(context.Context) *promql.Result { return &q.result }
func (q *fixedQuery) Close()                              { q.result.Value = nil }
func (q *fixedQuery) Statement() parser.Statement         { return nil }
func (q *fixedQuery) Stats() *stats.Statistics            { return nil }
func (q *fixedQuery) Cancel()                             {}
func (q *fixedQuery) String() string                      { return "" }

// body asks for an instant query that has the value for an answer.
func body(t testing.TB, v parser.Value) []byte {
	t.Helper()
	h := handler(t, memstore.New(nil), &query.Options{Engine: &fixed{promql.Result{Value: v}}}, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/query?query=x", nil))
	b, err := io.ReadAll(w.Result().Body)
	testutil.Ok(t, err)
	testutil.Equals(t, http.StatusOK, w.Code, "%s", b)
	return b
}

// TestJSONEqualsPrometheus compares answers byte by byte with those of
// Prometheus' own encoder.
func TestJSONEqualsPrometheus(t *testing.T) {
	t.Parallel()
	lset := labels.FromStrings("__name__", "up", "job", "node")
	floats := []float64{0, math.Copysign(0, -1), 1, -1.5, 1e-6, 9.99e-7, 1e20, 1e21, -1e21, 1e300, 5e-324, math.MaxFloat64, 1. / 3, math.NaN(), math.Inf(1), math.Inf(-1)}
	times := []int64{0, 1, 10, 100, 999, 1000, 1001, 1010, 1100, 1435781451781, -1, -999, -1000, -1500, 9223309901257974, -9223309901257974}
	histograms := []*histogram.FloatHistogram{
		{},
		{Count: math.Inf(1), Sum: math.NaN()},
		tsdbutil.GenerateTestFloatHistogram(3),
		tsdbutil.GenerateTestGaugeFloatHistogram(5),
		tsdbutil.GenerateTestCustomBucketsFloatHistogram(2),
		{
			Schema: 2, Count: 9.5, Sum: -3, ZeroThreshold: 0.01, ZeroCount: 2,
			PositiveSpans: []histogram.Span{{Offset: -2, Length: 2}, {Offset: 3, Length: 1}}, PositiveBuckets: []float64{1, 0, 2.5},
			NegativeSpans: []histogram.Span{{Offset: 0, Length: 1}}, NegativeBuckets: []float64{4},
		},
	}
	values := map[string]parser.Value{
		"empty vector":          promql.Vector{},
		"empty matrix":          promql.Matrix{},
		"nil vector":            promql.Vector(nil),
		"series without points": promql.Matrix{{Metric: lset}},
		"no labels":             promql.Vector{{T: 1, F: 1}},
		"labels": promql.Vector{{Metric: labels.FromStrings(
			"__name__", `a "quoted" \ name`, "control", "\x00\x01\b\f\n\r\t\x1f\x7f", "html", "<a href='x'>&</a>", "straße", "größe €\u2028\u2029\U0001f600", "zero", "",
		)}},
		"string": promql.String{T: 1500, V: "plain 'string' €"},
	}
	var vector promql.Vector
	var matrix promql.Matrix
	for _, ts := range times {
		for _, f := range floats {
			vector = append(vector, promql.Sample{Metric: lset, T: ts, F: f})
		}
		for _, h := range histograms {
			vector = append(vector, promql.Sample{Metric: lset, T: ts, H: h})
		}
		series := promql.Series{Metric: labels.FromStrings("t", time.UnixMilli(ts).UTC().String())}
		for _, f := range floats {
			series.Floats = append(series.Floats, promql.FPoint{T: ts, F: f})
		}
		matrix = append(matrix, series)
		for _, h := range histograms {
			series.Histograms = append(series.Histograms, promql.HPoint{T: ts, H: h})
		}
		matrix = append(matrix, series, promql.Series{Metric: lset, Histograms: series.Histograms})
	}
	values["vector"], values["matrix"] = vector, matrix
	for _, f := range floats {
		values["scalar "+promql.Scalar{V: f}.String()] = promql.Scalar{T: 1435781451781, V: f}
	}
	for _, ts := range times[:len(times)-2] { // the last ones are more than a float64 can tell
		values["scalar at "+time.UnixMilli(ts).String()] = promql.Scalar{T: ts, V: 1}
		values["string at "+time.UnixMilli(ts).String()] = promql.String{T: ts, V: "x"}
	}
	for name, v := range values {
		want, err := (v1.JSONCodec{}).Encode(&v1.Response{Status: "success", Data: &v1.QueryData{ResultType: v.Type(), Result: v}})
		testutil.Ok(t, err)
		testutil.Equals(t, string(want), string(body(t, v)), "%s", name)
	}
}

// TestJSONStrings has what Prometheus writes in another way, or not as JSON.
func TestJSONStrings(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"<b>&\u2028":        "<b>&\u2028",
		"broken \xff\xc3":   "broken \ufffd\ufffd",
		"\xe2\x82 cut off":  "\ufffd\ufffd cut off",
		"real \ufffd stays": "real \ufffd stays",
	} {
		var got struct {
			Data struct{ Result []any }
		}
		b := body(t, promql.String{V: in})
		testutil.Ok(t, json.Unmarshal(b, &got))
		testutil.Assert(t, reflect.DeepEqual([]any{0.0, want}, got.Data.Result), "%q: %s", in, b)
	}
}

// TestLargeAnswer is written in several parts.
func TestLargeAnswer(t *testing.T) {
	t.Parallel()
	var v promql.Vector
	for i := range 5000 {
		v = append(v, promql.Sample{Metric: labels.FromStrings("id", strings.Repeat("x", i%200)), T: int64(i), F: float64(i)})
	}
	want, err := (v1.JSONCodec{}).Encode(&v1.Response{Status: "success", Data: &v1.QueryData{ResultType: v.Type(), Result: v}})
	testutil.Ok(t, err)
	testutil.Assert(t, string(want) == string(body(t, v)))
}

func BenchmarkMatrix(b *testing.B) {
	var m promql.Matrix
	for i := range 100 {
		s := promql.Series{Metric: labels.FromStrings("__name__", "up", "id", strings.Repeat("x", i))}
		for t := range int64(1000) {
			s.Floats = append(s.Floats, promql.FPoint{T: t * 15_000, F: float64(t) / 7})
		}
		m = append(m, s)
	}
	h := handler(b, memstore.New(nil), &query.Options{Engine: &fixed{promql.Result{Value: m}}}, nil)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.ServeHTTP(discard{http.Header{}}, httptest.NewRequest(http.MethodGet, "/api/v1/query?query=x", nil))
		}
		b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "samples/s")
	})
	b.Run("Prometheus", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := (v1.JSONCodec{}).Encode(&v1.Response{Status: "success", Data: &v1.QueryData{ResultType: m.Type(), Result: m}})
			testutil.Ok(b, err)
		}
		b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "samples/s")
	})
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}
