package httpapi_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/promql"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	h := handler(t, replicas(t), &query.Options{ReplicaLabels: []string{"replica"}}, nil)
	for target, want := range map[string]string{
		"/api/v1/query?query=requests_total&time=600":                      `{"resultType":"vector","result":[{"metric":{"__name__":"requests_total","job":"api"},"value":[600,"40"]}]}`,
		"/api/v1/query?query=sum(requests_total)&time=600&dedup=false":     `{"resultType":"vector","result":[{"metric":{},"value":[600,"80"]}]}`,
		"/api/v1/query?query=temperatur&time=1.5":                          `{"resultType":"vector","result":[{"metric":{"__name__":"temperatur","job":"haus","straße/nr":"ä"},"value":[1.500,"20"]}]}`,
		"/api/v1/query?query=absent_metric":                                `{"resultType":"vector","result":[]}`,
		"/api/v1/query?query=1/0&time=1":                                   `{"resultType":"scalar","result":[1,"+Inf"]}`,
		"/api/v1/query?query=%22a%22&time=1":                               `{"resultType":"string","result":[1,"a"]}`,
		"/api/v1/query?query=requests_total[20s]&time=600":                 `{"resultType":"matrix","result":[{"metric":{"__name__":"requests_total","job":"api"},"values":[[585,"39"],[600,"40"]]}]}`,
		"/api/v1/query_range?query=requests_total&start=30&end=60&step=15": `{"resultType":"matrix","result":[{"metric":{"__name__":"requests_total","job":"api"},"values":[[30,"2"],[45,"3"],[60,"4"]]}]}`,
		"/api/v1/series?match[]=requests_total&match[]=temperatur":         `[{"__name__":"requests_total","job":"api"},{"__name__":"temperatur","job":"haus","straße/nr":"ä"}]`,
		"/api/v1/series?match[]=requests_total&dedup=false":                `[{"__name__":"requests_total","job":"api","replica":"a"},{"__name__":"requests_total","job":"api","replica":"b"}]`,
		"/api/v1/series?match[]=none":                                      `[]`,
		"/api/v1/labels":                                                   `["__name__","job","replica","straße/nr"]`,
		"/api/v1/labels?match[]=temperatur":                                `["__name__","job","straße/nr"]`,
		"/api/v1/labels?start=700&end=800":                                 `[]`,
		"/api/v1/label/replica/values":                                     `["a","b"]`,
	} {
		res, e := get(t, h, target)
		testutil.Equals(t, http.StatusOK, res.StatusCode, "%s: %s", target, e.Error)
		testutil.Equals(t, "success", e.Status)
		testutil.Equals(t, want, string(e.Data), "%s", target)
		testutil.Equals(t, "application/json", res.Header.Get("Content-Type"))
		testutil.Equals(t, "", res.Header.Get("Cache-Control"), "%s", target)
		testutil.Equals(t, 0, len(e.Warnings)+len(e.Infos), "%s", target)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	h := handler(t, replicas(t), nil, nil)
	for target, want := range map[string]int{
		"/api/v1/query?time=600&query={job!=%22%22}&limit=":                      3,
		"/api/v1/query?time=600&query={job!=%22%22}&limit=0":                     3,
		"/api/v1/query?time=600&query={job!=%22%22}&limit=3":                     3,
		"/api/v1/query?time=600&query={job!=%22%22}&limit=2":                     2,
		"/api/v1/query_range?start=0&end=60&step=15&query={job!=%22%22}&limit=1": 1,
		"/api/v1/query?time=600&query={job!=%22%22}[1m]&limit=3":                 3,
		"/api/v1/series?match[]={job!=%22%22}&limit=3":                           3,
		"/api/v1/series?match[]={job!=%22%22}&limit=2":                           2,
		"/api/v1/series?match[]=temperatur&match[]=requests_total&limit=2":       2,
		"/api/v1/series?match[]={job!=%22%22}&limit=9223372036854775807":         3,
		"/api/v1/labels?limit=4":                                                 4,
		"/api/v1/labels?limit=3":                                                 3,
		"/api/v1/labels?limit=1&match[]=temperatur&match[]=requests_total":       1,
		"/api/v1/label/job/values?limit=2":                                       2,
		"/api/v1/label/job/values?limit=1":                                       1,
	} {
		res, e := get(t, h, target)
		testutil.Equals(t, http.StatusOK, res.StatusCode, "%s: %s", target, e.Error)
		var items []json.RawMessage
		if e.Data[0] == '{' {
			var d struct{ Result []json.RawMessage }
			testutil.Ok(t, json.Unmarshal(e.Data, &d))
			items = d.Result
		} else {
			testutil.Ok(t, json.Unmarshal(e.Data, &items))
		}
		testutil.Equals(t, want, len(items), "%s", target)
		cut := strings.HasSuffix(target, "limit=1") || strings.Contains(target, "limit=1&") ||
			(want == 2 && !strings.Contains(target, "/label/")) || target == "/api/v1/labels?limit=3"
		warned := len(e.Warnings) == 1 && e.Warnings[0] == "results truncated due to limit"
		testutil.Equals(t, cut, warned, "%s: %v", target, e.Warnings)
		testutil.Equals(t, cut, res.Header.Get("Cache-Control") == "no-store", "%s", target)
	}
}

var errDown = errors.New("connection refused")

// halfDown is a fan-out of two members, of which one is down. It says so twice.
func halfDown(t testing.TB) store.Store {
	up := replicas(t)
	return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		err := &store.Error{Store: "far-away", Op: "series", Err: errDown}
		req.Outcome.AddMember(store.MemberOutcome{Member: "near", Series: 2, Chunks: 3, Bytes: 4, Duration: time.Second, FirstSeries: time.Millisecond, Warnings: []error{errors.New("slow")}})
		req.Outcome.AddMember(store.MemberOutcome{Member: "far-away", Status: store.Failed, Err: err})
		req.Outcome.AddMember(store.MemberOutcome{Member: "elsewhere", Status: store.Pruned, Reason: store.PrunedByTime})
		if req.Strategy == store.Abort {
			return err
		}
		for range 2 {
			if err := w.Warn(err); err != nil {
				return err
			}
		}
		return up.Series(ctx, req, w)
	})
}

func TestPartialAnswers(t *testing.T) {
	t.Parallel()
	h := handler(t, halfDown(t), nil, nil)
	for _, target := range []string{
		"/api/v1/query?query=temperatur&time=60", "/api/v1/query_range?query=temperatur&start=0&end=60&step=15",
		"/api/v1/series?match[]=temperatur", "/api/v1/labels?match[]=temperatur", "/api/v1/label/job/values?match[]=temperatur",
	} {
		res, e := get(t, h, target)
		testutil.Equals(t, http.StatusOK, res.StatusCode, "%s: %s", target, e.Error)
		testutil.Equals(t, []string{"store far-away: series: connection refused"}, e.Warnings, "%s", target)
		testutil.Equals(t, "no-store", res.Header.Get("Cache-Control"), "%s", target)
		testutil.Assert(t, strings.Contains(string(e.Data), "haus") || strings.Contains(string(e.Data), "job"), "%s: %s", target, e.Data)

		res, e = get(t, h, target+"&partial_response=false")
		testutil.Equals(t, http.StatusUnprocessableEntity, res.StatusCode, "%s", target)
		testutil.Equals(t, "execution", e.ErrorType, "%s", target)
		testutil.Assert(t, strings.Contains(e.Error, "store far-away: series: connection refused"), "%s", e.Error)
		testutil.Equals(t, "no-store", res.Header.Get("Cache-Control"), "%s", target)
	}
}

// TestAnnotations are the engine's: they do not make an answer partial.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	h := handler(t, replicas(t), nil, nil)
	res, e := get(t, h, "/api/v1/query?time=600&query=rate(temperatur[1m])")
	testutil.Equals(t, 0, len(e.Warnings))
	testutil.Equals(t, []string{`PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "temperatur" (1:6)`}, e.Infos)
	testutil.Equals(t, "", res.Header.Get("Cache-Control"))
	res, e = get(t, h, "/api/v1/query?time=600&query=quantile(7,temperatur)")
	testutil.Equals(t, []string{"PromQL warning: quantile value should be between 0 and 1, got 7 (1:10)"}, e.Warnings)
	testutil.Equals(t, 0, len(e.Infos))
	testutil.Equals(t, "", res.Header.Get("Cache-Control"))
}

func TestAnalysis(t *testing.T) {
	t.Parallel()
	h := handler(t, halfDown(t), nil, nil)
	var d struct {
		Analysis *struct {
			PeakSamples, TotalSamples int
			Fanout                    []map[string]any
		}
	}
	for _, off := range []string{"", "&analyze=false", "&analyze=yes"} {
		_, e := get(t, h, "/api/v1/query?query=temperatur&time=60"+off)
		testutil.Ok(t, json.Unmarshal(e.Data, &d))
		testutil.Assert(t, d.Analysis == nil)
	}
	for _, on := range []string{"true", "1"} {
		_, e := get(t, h, "/api/v1/query?query=temperatur&time=60&analyze="+on)
		testutil.Ok(t, json.Unmarshal(e.Data, &d))
		testutil.Equals(t, 1, d.Analysis.PeakSamples)
		testutil.Equals(t, 1, d.Analysis.TotalSamples)
		testutil.Equals(t, []map[string]any{
			{"endpointAddr": "near", "status": "answered", "warnings": []any{"slow"}, "duration": "1s", "firstSeries": "1ms", "bytesProcessed": 4., "series": 2., "chunks": 3.},
			{"endpointAddr": "far-away", "status": "failed", "error": "store far-away: series: connection refused"},
			{"endpointAddr": "elsewhere", "status": "pruned", "reason": "no data in the time range"},
		}, d.Analysis.Fanout)
	}
	// A store that is no fan-out has no members.
	_, e := get(t, handler(t, replicas(t), nil, nil), "/api/v1/query?query=1&analyze=true")
	testutil.Assert(t, strings.Contains(string(e.Data), `"fanout":[]`), "%s", e.Data)
	// An engine may keep no statistics.
	_, e = get(t, handler(t, memstore.New(nil), &query.Options{Engine: &fixed{promql.Result{Value: promql.Scalar{}}}}, nil), "/api/v1/query?query=1&analyze=true&stats=all")
	testutil.Equals(t, `{"resultType":"scalar","result":[0,"0"],"analysis":{"fanout":[]}}`, string(e.Data))
}

func TestStats(t *testing.T) {
	t.Parallel()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1000, Timeout: time.Minute, EnablePerStepStats: true})
	h := handler(t, replicas(t), &query.Options{Engine: engine}, nil)
	for param, steps := range map[string]int{"": -1, "&stats=true": 0, "&stats=all": 3} {
		_, e := get(t, h, "/api/v1/query_range?query=temperatur&start=0&end=30&step=15"+param)
		var d struct {
			Stats *struct {
				Timings map[string]float64
				Samples struct {
					TotalQueryableSamples        int
					TotalQueryableSamplesPerStep [][2]int
				}
			}
		}
		testutil.Ok(t, json.Unmarshal(e.Data, &d))
		testutil.Equals(t, steps >= 0, d.Stats != nil, "%s", param)
		if d.Stats != nil {
			testutil.Equals(t, 3, d.Stats.Samples.TotalQueryableSamples)
			testutil.Equals(t, steps, len(d.Stats.Samples.TotalQueryableSamplesPerStep))
			testutil.Assert(t, d.Stats.Timings["execTotalTime"] > 0)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	failing := func(err error) store.Store {
		return store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return err })
	}
	crash := store.Wrap(store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { panic("bug") }), store.WithRecovery())
	storage := &query.Options{Engine: &fixed{promql.Result{Err: promql.ErrStorage{Err: errDown}}}}
	for name, tc := range map[string]struct {
		s    store.Store
		opts *query.Options
		typ  string
		code int
	}{
		"store fails":    {failing(errDown), nil, "execution", 422},
		"limit":          {failing(&store.LimitError{Limit: "series", Max: 1}), nil, "execution", 422},
		"bad request":    {failing(store.ErrInvalidRequest), nil, "bad_data", 400},
		"crash":          {crash, nil, "internal", 500},
		"storage":        {failing(nil), storage, "internal", 500},
		"canceled":       {failing(nil), &query.Options{Engine: &fixed{promql.Result{Err: promql.ErrQueryCanceled("x")}}}, "canceled", 503},
		"timed out":      {failing(nil), &query.Options{Engine: &fixed{promql.Result{Err: promql.ErrQueryTimeout("x")}}}, "timeout", 503},
		"too many":       {failing(nil), &query.Options{Engine: &fixed{promql.Result{Err: promql.ErrTooManySamples("x")}}}, "execution", 422},
		"a store's time": {failing(&store.Error{Store: "a", Op: "series", Err: context.DeadlineExceeded}), nil, "execution", 422},
	} {
		h := handler(t, tc.s, tc.opts, nil)
		targets := []string{"/api/v1/query?query=up", "/api/v1/query_range?query=up&start=0&end=1&step=1"}
		if tc.opts == nil {
			targets = append(targets, "/api/v1/series?match[]=up", "/api/v1/labels", "/api/v1/label/job/values")
		}
		for _, target := range targets {
			res, e := get(t, h, target)
			testutil.Equals(t, tc.code, res.StatusCode, "%s: %s: %s", name, target, e.Error)
			testutil.Equals(t, tc.typ, e.ErrorType, "%s: %s", name, target)
			testutil.Equals(t, "no-store", res.Header.Get("Cache-Control"))
		}
	}
}

// stuck is a store that answers when its request ends.
var stuck = store.Func(func(ctx context.Context, _ *store.SeriesRequest, _ store.SeriesWriter) error {
	<-ctx.Done()
	return ctx.Err()
})

func TestTimeoutAndCancel(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/api/v1/query?query=up", "/api/v1/query_range?query=up&start=0&end=1&step=1"} {
		synctest.Test(t, func(t *testing.T) {
			h := handler(t, stuck, nil, nil)
			start := time.Now()
			res, e := get(t, h, target+"&timeout=3.5")
			testutil.Equals(t, http.StatusServiceUnavailable, res.StatusCode)
			testutil.Equals(t, "timeout", e.ErrorType, "%s", e.Error)
			testutil.Equals(t, 3500*time.Millisecond, time.Since(start))

			// A request cannot have more time than the querier gives.
			start = time.Now()
			_, e = get(t, handler(t, stuck, &query.Options{Timeout: time.Second}, nil), target+"&timeout=1h")
			testutil.Equals(t, "timeout", e.ErrorType, "%s", e.Error)
			testutil.Equals(t, time.Second, time.Since(start))

			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Second, cancel)
			res, e = send(t, h, httptest.NewRequest(http.MethodGet, target, nil).WithContext(ctx))
			testutil.Equals(t, http.StatusServiceUnavailable, res.StatusCode)
			testutil.Equals(t, "canceled", e.ErrorType, "%s", e.Error)
		})
	}
}

// TestDefaultTime is now.
func TestDefaultTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Hour) // of the bubble's clock
		_, e := get(t, handler(t, replicas(t), nil, nil), "/api/v1/query?query=time()")
		var d struct{ Result [2]any }
		testutil.Ok(t, json.Unmarshal(e.Data, &d))
		testutil.Equals(t, float64(time.Now().Unix()), d.Result[0])
	})
}

func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		h := handler(t, stuck, nil, &httpapi.Options{MaxConcurrent: 2, Registerer: reg})
		answers := make(chan string, 4)
		ask := func(timeout string) {
			_, e := get(t, h, "/api/v1/query?query=up&timeout="+timeout)
			answers <- timeout + " " + e.ErrorType + ": " + e.Error
		}
		go ask("10")
		go ask("20")
		synctest.Wait()
		go ask("5")  // ends while it waits
		go ask("60") // gets the place of the first
		synctest.Wait()
		expected := func(inFlight, total string) string {
			return "# HELP thanos_query_concurrent_gate_queries_in_flight Number of queries that are currently in flight.\n" +
				"# TYPE thanos_query_concurrent_gate_queries_in_flight gauge\nthanos_query_concurrent_gate_queries_in_flight " + inFlight + "\n" +
				"# HELP thanos_query_concurrent_gate_queries_total Total number of queries.\n" +
				"# TYPE thanos_query_concurrent_gate_queries_total counter\nthanos_query_concurrent_gate_queries_total " + total + "\n"
		}
		names := []string{"thanos_query_concurrent_gate_queries_in_flight", "thanos_query_concurrent_gate_queries_total"}
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(expected("2", "2")), names...))
		got := <-answers
		testutil.Assert(t, strings.HasPrefix(got, "5 timeout: wait for a turn"), "%s", got)
		got = <-answers
		testutil.Assert(t, strings.HasPrefix(got, "10 timeout"), "%s", got)
		synctest.Wait()
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(expected("2", "3")), names...))
		<-answers
		<-answers
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(expected("0", "3")), names...))

		// Label queries do not wait, and there may be no gate.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, e := send(t, handler(t, stuck, nil, &httpapi.Options{MaxConcurrent: -1}), httptest.NewRequest(http.MethodGet, "/api/v1/query?query=up", nil).WithContext(ctx))
		testutil.Equals(t, "timeout", e.ErrorType)

		waiting, giveUp := context.WithCancel(context.Background())
		full := handler(t, stuck, nil, &httpapi.Options{MaxConcurrent: 1})
		go get(t, full, "/api/v1/query?query=up&timeout=100")
		synctest.Wait()
		time.AfterFunc(time.Second, giveUp)
		_, e = send(t, full, httptest.NewRequest(http.MethodGet, "/api/v1/query?query=up", nil).WithContext(waiting))
		testutil.Equals(t, "canceled", e.ErrorType)
		<-time.After(2 * time.Minute) // until the other one is done
	})
}

func TestGzip(t *testing.T) {
	t.Parallel()
	h := handler(t, replicas(t), nil, nil)
	r := httptest.NewRequest(http.MethodGet, "/api/v1/query_range?query=requests_total&start=0&end=600&step=1", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	testutil.Equals(t, "gzip", w.Header().Get("Content-Encoding"))
	z, err := gzip.NewReader(w.Body)
	testutil.Ok(t, err)
	var e envelope
	testutil.Ok(t, json.NewDecoder(z).Decode(&e))
	testutil.Equals(t, "success", e.Status)
}

// brokenPipe fails to write.
type brokenPipe struct{ http.ResponseWriter }

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
