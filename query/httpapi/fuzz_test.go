package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// FuzzParameters sends any parameters to any endpoint: the answer is JSON of a
// known shape, and the store is never asked for a range that is none.
func FuzzParameters(f *testing.F) {
	for _, s := range []string{
		"query=up&time=1.5&timeout=1m&limit=3&dedup=false&partial_response=true",
		"query=rate(up[5m])&start=0&end=100&step=7&max_source_resolution=auto&stats=all&analyze=1",
		"query=up&start=2020-01-01T00:00:00Z&end=2020-01-01T00:10:00.5%2B02:00&step=1m30s",
		"match[]=up&match[]={job=~%22a|b%22}&start=-1&end=1e9&replicaLabels[]=r&replicaLabels[]=",
		`query=up&shard_info={"shard_index":1,"total_shards":3,"by":true,"labels":["a"]}&engine=prometheus&lookback_delta=10`,
		"query=up&time=NaN", "query=up&time=-Inf&timeout=Inf", "query=%zz", "query=up&start=-9e15&end=9e15&step=1e9", "storeMatch[]=x", "limit=-1",
		"start=-292273086-05-16T16:47:06Z&end=292277025-08-18T07:12:54.999999999Z",
	} {
		for path := range uint8(5) {
			f.Add(path, s)
		}
	}
	mem := memstore.New(nil)
	for i := range int64(10) {
		if err := mem.Append(labels.FromStrings("__name__", "up", "job", "a"), i*1000, 1); err != nil {
			f.Fatal(err)
		}
	}
	s := &recorder{Store: mem}
	h := handler(f, s, &query.Options{Timeout: time.Second}, nil)
	paths := []string{"/api/v1/query", "/api/v1/query_range", "/api/v1/series", "/api/v1/labels", "/api/v1/label/job/values"}
	f.Fuzz(func(t *testing.T, path uint8, form string) {
		s.series, s.names, s.values = nil, nil, nil
		r := httptest.NewRequest(http.MethodGet, paths[int(path)%len(paths)], nil)
		r.URL.RawQuery = form
		w := httptest.NewRecorder()
		began := time.Now()
		h.ServeHTTP(w, r)
		if d := time.Since(began); d > 20*time.Second { // of which the querier has given it one
			t.Fatalf("it took %s", d)
		}
		var e envelope
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
			t.Fatalf("%v in %q", err, w.Body)
		}
		switch w.Code {
		case 200:
			if e.Status != "success" || e.Error != "" {
				t.Fatalf("%q", w.Body)
			}
		case 400, 422, 503:
			if e.Status != "error" || e.Error == "" || e.ErrorType == "" {
				t.Fatalf("%q", w.Body)
			}
		default:
			t.Fatalf("%d: %q", w.Code, w.Body)
		}
		for _, req := range s.series {
			check(t, req.Limit, req.Shard)
		}
		for _, req := range s.names {
			check(t, req.Limit, nil)
			if req.MinTime > req.MaxTime {
				t.Fatalf("asked for %d to %d", req.MinTime, req.MaxTime)
			}
		}
		for _, req := range s.values {
			check(t, req.Limit, nil)
			if req.MinTime > req.MaxTime || !strings.EqualFold(req.Label, "job") {
				t.Fatalf("asked for %s from %d to %d", req.Label, req.MinTime, req.MaxTime)
			}
		}
	})
}

func check(t *testing.T, limit int, shard *store.Shard) {
	if limit < 0 {
		t.Fatalf("limit %d", limit)
	}
	if shard != nil && shard.Total > 0 && (shard.Index < 0 || shard.Index >= shard.Total) {
		t.Fatalf("shard %+v", shard)
	}
}
