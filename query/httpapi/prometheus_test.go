package httpapi_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// prometheusAPI is Prometheus' own handler of queries to a storage. Its
// constructor has some forty arguments, which change from version to version:
// those that matter here are told by their types, the others are zero.
func prometheusAPI(t testing.TB, engine promql.QueryEngine, q storage.Queryable) http.Handler {
	t.Helper()
	queryable := struct {
		storage.Queryable
		storage.ChunkQueryable
	}{Queryable: q}
	known := []any{engine, queryable, slog.New(slog.DiscardHandler), func(h http.HandlerFunc) http.HandlerFunc { return h }}
	newAPI := reflect.ValueOf(v1.NewAPI)
	args := make([]reflect.Value, newAPI.Type().NumIn())
	for i := range args {
		typ := newAPI.Type().In(i)
		args[i] = reflect.Zero(typ)
		for _, k := range known {
			if v := reflect.ValueOf(k); v.Type().AssignableTo(typ) && (typ.Kind() != reflect.Interface || typ.NumMethod() > 0) {
				args[i] = v
			}
		}
	}
	api := newAPI.Call(args)[0].Interface().(*v1.API)
	r := route.New()
	api.Register(r.WithPrefix("/api/v1"))
	return r
}

// TestEqualsPrometheus asks both handlers the same.
func TestEqualsPrometheus(t *testing.T) {
	t.Parallel()
	s := replicas(t)
	for i := range int64(41) {
		testutil.Ok(t, s.AppendHistogram(labels.FromStrings("__name__", "latency", "job", "api"), i*15_000, tsdbutil.GenerateTestHistogram(i)))
		testutil.Ok(t, s.AppendFloatHistogram(labels.FromStrings("__name__", "custom"), i*15_000, tsdbutil.GenerateTestCustomBucketsFloatHistogram(i)))
		if i%2 == 0 {
			testutil.Ok(t, s.Append(labels.FromStrings("__name__", "mixed"), i*15_000, 1))
		} else {
			testutil.Ok(t, s.AppendFloatHistogram(labels.FromStrings("__name__", "mixed"), i*15_000, &histogram.FloatHistogram{Count: 1}))
		}
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true})
	q, err := query.New(s, &query.Options{Engine: engine})
	testutil.Ok(t, err)
	ours, err := httpapi.New(q, nil)
	testutil.Ok(t, err)
	theirs := prometheusAPI(t, engine, q.Queryable(nil))

	instant := func(expr string, more ...string) string {
		return "/api/v1/query?" + strings.Join(append([]string{"query=" + url.QueryEscape(expr), "time=600"}, more...), "&")
	}
	ranged := func(expr string, more ...string) string {
		return "/api/v1/query_range?" + strings.Join(append([]string{"query=" + url.QueryEscape(expr)}, more...), "&")
	}
	targets := []string{
		instant("requests_total"), instant("latency"), instant("custom"), instant("mixed[2m]"), instant("mixed", "limit=1"), instant(`{job!=""}`, "limit=2"),
		instant("1/0"), instant("-1/0"), instant("0/0"), instant("1e21"), instant("1e-7"), instant(`"a string"`), instant("vector(1e21)"),
		instant("sum by (job) (rate(requests_total[5m]))"), instant("histogram_quantile(0.9, latency)"), instant("sort_desc(requests_total)"),
		instant("rate(temperatur[1m])"), instant("quantile(7, temperatur)"), instant("rate(mixed[5m])"), instant("absent(nothing)"),
		instant("requests_total @ 100 offset -10s"), instant("count_values(\"v\", requests_total)"), instant("requests_total[1m:10s]"),
		instant(""), instant("up{"), instant("nosuch(up)"), instant("{}"), instant("up + {a=~\".*\"}"), instant("sum(1)"), instant("1 + \"a\""),
		instant("up", "limit=-1"), instant("up", "limit=x"), instant("up", "timeout=x"), instant("up", "timeout=1e300"),
		"/api/v1/query?query=up&time=x", "/api/v1/query?query=temperatur&time=1.5", "/api/v1/query?query=temperatur&time=1970-01-01T00:00:01.25Z",
		ranged("requests_total", "start=0", "end=60", "step=15"), ranged("latency", "start=0.5", "end=60.25", "step=15"), ranged("mixed", "start=0", "end=60", "step=15"),
		ranged("rate(requests_total[1m])", "start=0", "end=600", "step=1m"), ranged("1", "start=0", "end=10", "step=5"), ranged("nothing", "start=0", "end=10", "step=5"),
		ranged(`{job!=""}`, "start=0", "end=60", "step=15", "limit=2"), ranged("up[5m]", "start=0", "end=10", "step=5"), ranged("up{", "start=0", "end=10", "step=5"),
		ranged("up", "end=10", "step=5"), ranged("up", "start=1", "step=5"), ranged("up", "start=2", "end=1", "step=5"), ranged("up", "start=1", "end=2", "step=0"),
		ranged("up", "start=1", "end=2", "step=x"), ranged("up", "start=x", "end=2", "step=1"),
		ranged("up", "start=1", "end=2", "step=1", "timeout=x"), ranged("up", "start=1", "end=2", "step=1", "limit=x"),
		"/api/v1/series?match[]=requests_total", "/api/v1/series?match[]=requests_total&match[]=temperatur&match[]={job=%22api%22}", "/api/v1/series?match[]=nothing",
		"/api/v1/series", "/api/v1/series?match[]={}", "/api/v1/series?match[]=up{", "/api/v1/series?match[]=requests_total&start=900", "/api/v1/series?match[]=requests_total&start=x",
		"/api/v1/labels", "/api/v1/labels?limit=2", "/api/v1/labels?match[]=temperatur", "/api/v1/labels?match[]=temperatur&match[]=latency", "/api/v1/labels?start=900", "/api/v1/labels?end=x",
		"/api/v1/label/job/values", "/api/v1/label/job/values?limit=1", "/api/v1/label/job/values?match[]=temperatur", "/api/v1/label/job/values?match[]=temperatur&match[]=latency",
		"/api/v1/label/U__stra_DF_e_2f_nr/values", "/api/v1/label/nothing/values", "/api/v1/label/job/values?limit=x",
	}
	for _, target := range targets {
		wantRes, want := get(t, theirs, target)
		gotRes, got := get(t, ours, target)
		// Prometheus names the parameter of a selector in some endpoints only.
		want.Error = strings.TrimPrefix(want.Error, `invalid parameter "match[]": `)
		got.Error = strings.TrimPrefix(got.Error, `invalid parameter "match[]": `)
		// It says twice what is wrong with a time.
		want.Error = strings.NewReplacer("invalid time value for 'time': ", "", "invalid time value for 'start': ", "", "invalid time value for 'end': ", "").Replace(want.Error)
		testutil.Equals(t, wantRes.StatusCode, gotRes.StatusCode, "%s: %s, %s", target, want.Error, got.Error)
		testutil.Equals(t, wantRes.Header.Get("Content-Type"), gotRes.Header.Get("Content-Type"), "%s", target)
		testutil.Equals(t, string(want.Data), string(got.Data), "%s", target)
		want.Data, got.Data = nil, nil
		testutil.Equals(t, want, got, "%s", target)
	}
}

// TestLikeNoPrometheus has what is different on purpose.
func TestLikeNoPrometheus(t *testing.T) {
	t.Parallel()
	s := memstore.New(nil)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})
	q, err := query.New(s, &query.Options{Engine: engine})
	testutil.Ok(t, err)
	ours, err := httpapi.New(q, nil)
	testutil.Ok(t, err)
	theirs := prometheusAPI(t, engine, q.Queryable(nil))
	for target, codes := range map[string][2]int{
		"/api/v1/query_range?query=up&start=0&end=100": {400, 200}, // a step need not be given
		"/api/v1/query?query=up&time=NaN":              {200, 400}, // not a time
		"/api/v1/query?query=up&lookback_delta=-1":     {200, 400}, // would be the default
		"/api/v1/label/job/values?start=2&end=1":       {200, 400}, // not a range
		"/api/v1/labels?match[]=up&dedup=x":            {200, 200}, // of which there is none
	} {
		wantRes, _ := get(t, theirs, target)
		gotRes, e := get(t, ours, target)
		testutil.Equals(t, codes, [2]int{wantRes.StatusCode, gotRes.StatusCode}, "%s: %s", target, e.Error)
	}
}
