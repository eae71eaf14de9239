package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store"
)

// TestQueryParameters looks at what the store is asked for.
func TestQueryParameters(t *testing.T) {
	t.Parallel()
	instant := func(s string) string { return "/api/v1/query?time=600&query=requests_total&" + s }
	ranged := func(s string) string { return "/api/v1/query_range?query=requests_total&start=300&end=600&" + s }
	for _, tc := range []struct {
		target string
		want   func(r *store.SeriesRequest) any
		is     any
	}{
		{instant(""), func(r *store.SeriesRequest) any { return r.WithoutReplicaLabels }, []string{"replica"}},
		{instant("dedup=true"), func(r *store.SeriesRequest) any { return r.WithoutReplicaLabels }, []string{"replica"}},
		{instant("dedup=0"), func(r *store.SeriesRequest) any { return len(r.WithoutReplicaLabels) }, 0},
		{instant("replicaLabels[]=job&replicaLabels%5B%5D=x"), func(r *store.SeriesRequest) any { return r.WithoutReplicaLabels }, []string{"job", "x"}},
		{instant("replicaLabels[]="), func(r *store.SeriesRequest) any { return len(r.WithoutReplicaLabels) }, 0},
		{instant(""), func(r *store.SeriesRequest) any { return r.Strategy }, store.Warn},
		{instant("partial_response=false"), func(r *store.SeriesRequest) any { return r.Strategy }, store.Abort},
		{instant("partial_response=1"), func(r *store.SeriesRequest) any { return r.Strategy }, store.Warn},
		{instant(""), func(r *store.SeriesRequest) any { return r.MaxResolution }, time.Duration(0)},
		{instant("max_source_resolution=5m"), func(r *store.SeriesRequest) any { return r.MaxResolution }, 5 * time.Minute},
		{instant("max_source_resolution=3600"), func(r *store.SeriesRequest) any { return r.MaxResolution }, time.Hour},
		{instant("max_source_resolution=auto"), func(r *store.SeriesRequest) any { return r.MaxResolution }, time.Duration(0)},
		{ranged("step=60&max_source_resolution=auto"), func(r *store.SeriesRequest) any { return r.MaxResolution }, 12 * time.Second},
		{instant(""), func(r *store.SeriesRequest) any { return r.MaxTime }, int64(600_000)},
		{instant(""), func(r *store.SeriesRequest) any { return r.MinTime }, int64(300_001)}, // 5 minutes, without the last millisecond
		{instant("lookback_delta=10"), func(r *store.SeriesRequest) any { return r.MinTime }, int64(590_001)},
		{instant("lookback_delta=1m"), func(r *store.SeriesRequest) any { return r.MinTime }, int64(540_001)},
		{instant(`shard_info={"shard_index":1,"total_shards":4,"by":true,"labels":["job"]}`), func(r *store.SeriesRequest) any { return *r.Shard }, store.Shard{Index: 1, Total: 4, By: true, Labels: []string{"job"}}},
		{instant(`storeMatch[]={__address__=~"a.*"}&storeMatch[]={__address__="b"}`), func(r *store.SeriesRequest) any { return fmt.Sprint(r.StoreMatch) }, `[[__address__=~"a.*"] [__address__="b"]]`},
		{instant("engine=prometheus"), func(r *store.SeriesRequest) any { return r.MaxTime }, int64(600_000)},
		{ranged("step=60"), func(r *store.SeriesRequest) any { return r.Hints.Step }, time.Minute},
		{ranged("step=1m30s"), func(r *store.SeriesRequest) any { return r.Hints.Step }, 90 * time.Second},
		{ranged("step=0.5"), func(r *store.SeriesRequest) any { return r.Hints.Step }, 500 * time.Millisecond},
		{ranged(""), func(r *store.SeriesRequest) any { return r.Hints.Step }, time.Second},
		{"/api/v1/query_range?query=requests_total&start=0&end=10000", func(r *store.SeriesRequest) any { return r.Hints.Step }, 40 * time.Second},
		{"/api/v1/query_range?query=requests_total&start=1970-01-01T00:05:00Z&end=1970-01-01T01:10:00%2B01:00&step=1", func(r *store.SeriesRequest) any { return r.MaxTime }, int64(600_000)},
		{"/api/v1/query?query=requests_total&time=0.1234", func(r *store.SeriesRequest) any { return r.MaxTime }, int64(123)},
		{"/api/v1/series?match[]=requests_total", func(r *store.SeriesRequest) any { return r.SkipChunks }, true},
		{"/api/v1/series?match[]=requests_total", func(r *store.SeriesRequest) any { return [2]int64{r.MinTime, r.MaxTime} }, [2]int64{-9223309901257974000, 9223309901257974999}},
		{"/api/v1/series?match[]=requests_total&start=1.5&end=2", func(r *store.SeriesRequest) any { return [2]int64{r.MinTime, r.MaxTime} }, [2]int64{1500, 2000}},
		{"/api/v1/series?match[]=requests_total&limit=1", func(r *store.SeriesRequest) any { return r.Limit }, 2},
		{"/api/v1/series?match[]=requests_total&dedup=false", func(r *store.SeriesRequest) any { return len(r.WithoutReplicaLabels) }, 0},
		{"/api/v1/series?match[]=requests_total&replicaLabels[]=b", func(r *store.SeriesRequest) any { return r.WithoutReplicaLabels }, []string{"b"}},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			s := &recorder{Store: replicas(t)}
			// Penalty has stores remove replica labels, which shows what they are.
			h := handler(t, s, &query.Options{ReplicaLabels: []string{"replica"}, Algorithm: dedup.Penalty{}}, nil)
			path, form, _ := strings.Cut(tc.target, "?")
			var res *http.Response
			var e envelope
			if method == http.MethodGet {
				u, err := url.Parse(path)
				testutil.Ok(t, err)
				u.RawQuery = strings.ReplaceAll(strings.ReplaceAll(form, `"`, "%22"), " ", "%20")
				res, e = get(t, h, u.String())
			} else {
				res, e = post(t, h, path, form)
			}
			testutil.Equals(t, http.StatusOK, res.StatusCode, "%s: %s", tc.target, e.Error)
			testutil.Assert(t, len(s.series) > 0, "%s: nothing asked", tc.target)
			testutil.Equals(t, tc.is, tc.want(s.series[0]), "%s %s", method, tc.target)
		}
	}
}

func TestLabelParameters(t *testing.T) {
	t.Parallel()
	s := &recorder{Store: replicas(t)}
	h := handler(t, s, &query.Options{ReplicaLabels: []string{"replica"}}, nil)
	_, e := get(t, h, "/api/v1/labels?start=10&end=20&limit=7&partial_response=false&match[]=up&match[]={a=%22b%22}")
	testutil.Equals(t, "success", e.Status)
	testutil.Equals(t, 2, len(s.names))
	for i, want := range []string{`[__name__="up"]`, `[a="b"]`} {
		req := s.names[i]
		testutil.Equals(t, want, fmt.Sprint(req.Matchers))
		testutil.Equals(t, [2]int64{10_000, 20_000}, [2]int64{req.MinTime, req.MaxTime})
		testutil.Equals(t, 8, req.Limit)
		testutil.Equals(t, store.Abort, req.Strategy)
		testutil.Equals(t, 0, len(req.WithoutReplicaLabels))
	}
	_, e = post(t, h, "/api/v1/labels", "")
	testutil.Equals(t, "success", e.Status)
	testutil.Equals(t, 0, s.names[2].Limit)
	_, e = get(t, h, "/api/v1/label/job/values?end=20&limit=9223372036854775807")
	testutil.Equals(t, "success", e.Status)
	testutil.Equals(t, "job", s.values[0].Label)
	testutil.Equals(t, 9223372036854775807, s.values[0].Limit)
}

// TestHeadersTravel looks at what stores are told of who asks.
func TestHeadersTravel(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		opts   httpapi.Options
		header http.Header
		tenant string
		id     []string
	}{
		{},
		{httpapi.Options{DefaultTenant: "all"}, nil, "all", nil},
		{httpapi.Options{DefaultTenant: "all"}, http.Header{"Thanos-Tenant": {"a"}, "X-Request-Id": {"1"}}, "a", []string{"1"}},
		{httpapi.Options{TenantHeader: "X-Scope-OrgID"}, http.Header{"Thanos-Tenant": {"a"}, "X-Scope-Orgid": {"b"}}, "b", nil},
		{httpapi.Options{DefaultTenant: "all"}, http.Header{"X-Request-Id": {"caf\u00e9"}}, "all", nil}, // which gRPC does not carry
	} {
		s := &recorder{Store: replicas(t)}
		h := handler(t, s, nil, &tc.opts)
		for _, target := range []string{"/api/v1/query?query=up", "/api/v1/series?match[]=up", "/api/v1/labels", "/api/v1/label/a/values"} {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			r.Header = tc.header
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			testutil.Equals(t, http.StatusOK, w.Code)
		}
		testutil.Equals(t, 2, len(s.series))
		for _, r := range s.series {
			testutil.Equals(t, tc.tenant, r.Tenant)
			testutil.Equals(t, tc.id, r.Metadata["request-id"])
		}
		testutil.Equals(t, tc.tenant, s.names[0].Tenant)
		testutil.Equals(t, tc.id, s.names[0].Metadata["request-id"])
		testutil.Equals(t, tc.tenant, s.values[0].Tenant)
		testutil.Equals(t, tc.id, s.values[0].Metadata["request-id"])
	}
}

// TestLabelNamesInPaths has names that take escaping.
func TestLabelNamesInPaths(t *testing.T) {
	t.Parallel()
	h := handler(t, replicas(t), nil, nil)
	for path, want := range map[string]string{
		"job":                         `["api","haus"]`,
		"__name__":                    `["requests_total","temperatur"]`,
		"absent":                      `[]`,
		"stra%C3%9Fe%2Fnr":            `["ä"]`,
		"U__stra_DF_e_2f_nr":          `["ä"]`,
		"U__job":                      `["api","haus"]`,
		"%55__job":                    `["api","haus"]`,
		"U__broken_zz_":               `[]`, // not an escape: the name as it is
		url.PathEscape("straße/nr"):   `["ä"]`,
		url.PathEscape("with spaces"): `[]`,
	} {
		res, e := get(t, h, "/api/v1/label/"+path+"/values")
		testutil.Equals(t, http.StatusOK, res.StatusCode, "%s: %s", path, e.Error)
		testutil.Equals(t, want, string(e.Data), "%s", path)
	}
	res, e := get(t, h, "/api/v1/label/%ff/values")
	testutil.Equals(t, http.StatusBadRequest, res.StatusCode)
	testutil.Equals(t, `invalid label name: "\xff"`, e.Error)
}

func TestBadParameters(t *testing.T) {
	t.Parallel()
	h := handler(t, replicas(t), nil, nil)
	instant := func(s string) string { return "/api/v1/query?query=up&" + s }
	ranged := func(s string) string { return "/api/v1/query_range?query=up&" + s }
	for target, want := range map[string]string{
		"/api/v1/query":                      `invalid parameter "query": unknown position: parse error: no expression found in input`,
		"/api/v1/query?query=up%7B":          `invalid parameter "query": 1:4: parse error: unexpected end of input inside braces`,
		"/api/v1/query?query=frobnicate(up)": `invalid parameter "query": 1:1: parse error: unknown function with name "frobnicate"`,
		ranged("start=0&end=1&step=1")[:0] + "/api/v1/query_range?query=up[5m]&start=0&end=1&step=1": `invalid parameter "query": invalid expression type "range vector" for range query, must be Scalar or instant Vector`,
		instant("time=yesterday"):               `invalid parameter "time": cannot parse "yesterday" to a valid timestamp`,
		instant("time=NaN"):                     `invalid parameter "time": time "NaN" is out of range`,
		instant("time=1e18"):                    `invalid parameter "time": time "1e18" is out of range`,
		instant("time=-Inf"):                    `invalid parameter "time": time "-Inf" is out of range`,
		instant("timeout=soon"):                 `invalid parameter "timeout": cannot parse "soon" to a valid duration`,
		instant("timeout=-1s"):                  `invalid parameter "timeout": cannot parse "-1s" to a valid duration`,
		instant("timeout=-1"):                   `invalid parameter "timeout": -1s is negative`,
		instant("timeout=1e300"):                `invalid parameter "timeout": cannot parse "1e300" to a valid duration. It overflows int64`,
		instant("timeout=NaN"):                  `invalid parameter "timeout": cannot parse "NaN" to a valid duration. It overflows int64`,
		instant("limit=-1"):                     `invalid parameter "limit": limit must be non-negative`,
		instant("limit=many"):                   `invalid parameter "limit": strconv.Atoi: parsing "many": invalid syntax`,
		instant("dedup=perhaps"):                `invalid parameter "dedup": cannot parse "perhaps" to a truth value`,
		instant("partial_response=2"):           `invalid parameter "partial_response": cannot parse "2" to a truth value`,
		instant("max_source_resolution=-5"):     `invalid parameter "max_source_resolution": -5s is negative`,
		instant("max_source_resolution=coarse"): `invalid parameter "max_source_resolution": cannot parse "coarse" to a valid duration`,
		instant("lookback_delta=-1"):            `invalid parameter "lookback_delta": -1s is negative`,
		instant("shard_info=1"):                 `invalid parameter "shard_info": json: cannot unmarshal number into Go value of type struct { Index int64 "json:\"shard_index\""; Total int64 "json:\"total_shards\""; By bool "json:\"by\""; Labels []string "json:\"labels\"" }`,
		instant("shard_info={%22shard_index%22:4,%22total_shards%22:4}"): `invalid parameter "shard_info": there is no shard 4 of 4`,
		instant("engine=thanos"):                      `invalid parameter "engine": there is no engine "thanos"`,
		instant("storeMatch[]={"):                     `invalid parameter "storeMatch[]": 1:2: parse error: unexpected end of input inside braces`,
		instant("require[]=1"):                        `invalid parameter "require[]": 1:1: parse error: unexpected "1", expected metric name or "{"`,
		instant("time=%zz"):                           `parse form: invalid URL escape "%zz"`,
		ranged("end=1&step=1"):                        `invalid parameter "start": cannot parse "" to a valid timestamp`,
		ranged("start=1&step=1"):                      `invalid parameter "end": cannot parse "" to a valid timestamp`,
		ranged("start=2&end=1&step=1"):                `invalid parameter "end": end timestamp must not be before start time`,
		ranged("start=1&end=2&step=0"):                `invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer`,
		ranged("start=1&end=2&step=0.0001"):           `invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer`,
		ranged("start=1&end=2&step=-1"):               `invalid parameter "step": -1s is negative`,
		ranged("start=1&end=2&step=often"):            `invalid parameter "step": cannot parse "often" to a valid duration`,
		ranged("start=0&end=11001&step=1"):            `exceeded maximum resolution of 11000 points per timeseries. Try decreasing the query resolution (?step=XX)`,
		ranged("start=-9e15&end=9e15&step=9e9"):       `exceeded maximum resolution of 11000 points per timeseries. Try decreasing the query resolution (?step=XX)`,
		"/api/v1/series":                              `no match[] parameter provided`,
		"/api/v1/series?match[]=":                     `invalid parameter "match[]": unknown position: parse error: unexpected end of input`,
		"/api/v1/series?match[]={}":                   `invalid parameter "match[]": match[] must contain at least one non-empty matcher`,
		"/api/v1/series?match[]={a=~%22.*%22}":        `invalid parameter "match[]": match[] must contain at least one non-empty matcher`,
		"/api/v1/series?match[]=up&start=x":           `invalid parameter "start": cannot parse "x" to a valid timestamp`,
		"/api/v1/series?match[]=up&start=2&end=1":     `invalid parameter "end": end timestamp must not be before start time`,
		"/api/v1/series?match[]=up&dedup=x":           `invalid parameter "dedup": cannot parse "x" to a truth value`,
		"/api/v1/labels?match[]=up{":                  `invalid parameter "match[]": 1:4: parse error: unexpected end of input inside braces`,
		"/api/v1/labels?limit=x":                      `invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax`,
		"/api/v1/labels?end=x":                        `invalid parameter "end": cannot parse "x" to a valid timestamp`,
		"/api/v1/labels?storeMatch[]={":               `invalid parameter "storeMatch[]": 1:2: parse error: unexpected end of input inside braces`,
		"/api/v1/label/job/values?partial_response=x": `invalid parameter "partial_response": cannot parse "x" to a truth value`,
	} {
		res, e := get(t, h, target)
		testutil.Equals(t, http.StatusBadRequest, res.StatusCode, "%s", target)
		testutil.Equals(t, "error", e.Status)
		testutil.Equals(t, "bad_data", e.ErrorType, "%s", target)
		testutil.Equals(t, "no-store", res.Header.Get("Cache-Control"))
		testutil.Assert(t, strings.HasPrefix(e.Error, want), "%s:\n%s\nwant\n%s", target, e.Error, want)
		testutil.Equals(t, 0, len(e.Data))
	}
	res, e := post(t, h, "/api/v1/query", "query=up&time=%zz")
	testutil.Equals(t, http.StatusBadRequest, res.StatusCode)
	testutil.Equals(t, "bad_data", e.ErrorType)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	q, err := query.New(replicas(t), nil)
	testutil.Ok(t, err)
	_, err = httpapi.New(nil, nil)
	testutil.NotOk(t, err)
	_, err = httpapi.New(q, &httpapi.Options{DefaultStep: -1, MaxPoints: -1})
	testutil.NotOk(t, err)
	for _, text := range []string{"default step", "max points"} {
		testutil.Assert(t, strings.Contains(err.Error(), text), "%v", err)
	}

	s := &recorder{Store: replicas(t)}
	h := handler(t, s, nil, &httpapi.Options{DefaultStep: time.Minute, MaxPoints: 5, Engine: "thanos", BuildInfo: httpapi.BuildInfo{Version: "1.2.3", GoVersion: "go1"}})
	res, _ := get(t, h, "/api/v1/query_range?query=requests_total&start=0&end=300&engine=thanos")
	testutil.Equals(t, http.StatusOK, res.StatusCode)
	testutil.Equals(t, time.Minute, s.series[0].Hints.Step)
	res, e := get(t, h, "/api/v1/query_range?query=requests_total&start=0&end=360")
	testutil.Equals(t, http.StatusBadRequest, res.StatusCode)
	testutil.Assert(t, strings.Contains(e.Error, "resolution of 5 points"), "%s", e.Error)
	res, _ = get(t, h, "/api/v1/query?query=1&engine=prometheus")
	testutil.Equals(t, http.StatusBadRequest, res.StatusCode)

	_, e = get(t, h, "/api/v1/status/buildinfo")
	testutil.Equals(t, `{"version":"1.2.3","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":"go1"}`, string(e.Data))
	_, e = get(t, handler(t, s, nil, nil), "/api/v1/status/buildinfo")
	var info httpapi.BuildInfo
	testutil.Ok(t, json.Unmarshal(e.Data, &info))
	testutil.Assert(t, strings.HasPrefix(info.GoVersion, "go"), "%s", info.GoVersion)
}
