package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// TestRequiredStores has one member that fails, which is not always missed.
func TestRequiredStores(t *testing.T) {
	t.Parallel()
	down := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return store.ErrUnavailable })
	cluster := func(name string, s store.Store) fanout.Member {
		return fanout.Member{Name: name, Store: store.Wrap(s, store.WithExternalLabels(labels.FromStrings("cluster", name)))}
	}
	f, err := fanout.New(fanout.Static(cluster("eu", replicas(t)), cluster("us", down)), nil)
	testutil.Ok(t, err)
	h := handler(t, f, nil, nil)
	for _, target := range []string{
		"/api/v1/query?time=600&query=count(requests_total)&", "/api/v1/query_range?start=0&end=600&step=60&query=requests_total&",
		"/api/v1/series?match[]=requests_total&", "/api/v1/labels?", "/api/v1/label/job/values?",
	} {
		for require, message := range map[string]string{
			"":                             "",
			`require[]={cluster="eu"}`:     "",
			`require[]={cluster=~"eu|us"}`: "member us failed",
			`require[]={cluster="us"}`:     "member us failed",
			`require[]={cluster="asia"}`:   "no member has such labels",
			`require[]={cluster="eu"}&require[]={cluster="us"}`: `{cluster="us"} is required`,
		} {
			res, e := get(t, h, target+strings.ReplaceAll(require, `"`, "%22"))
			if message == "" {
				testutil.Equals(t, http.StatusOK, res.StatusCode, "%s", e.Error)
				testutil.Equals(t, 1, len(e.Warnings))
				continue
			}
			testutil.Equals(t, http.StatusUnprocessableEntity, res.StatusCode, "%s%s", target, require)
			testutil.Assert(t, strings.Contains(e.Error, message), "%s: %s", require, e.Error)
		}
	}
}

// TestTenantsThatGRPCDoesNotCarry: one is not left out, nor does it make every store
// fail.
func TestTenantsThatGRPCDoesNotCarry(t *testing.T) {
	t.Parallel()
	h := handler(t, replicas(t), nil, nil)
	for _, target := range []string{"/api/v1/query?time=600&query=requests_total", "/api/v1/series?match[]=requests_total", "/api/v1/labels", "/api/v1/label/job/values"} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("Thanos-Tenant", "caf\u00e9")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		testutil.Equals(t, http.StatusBadRequest, w.Code, "%s: %s", target, w.Body)
	}
}
