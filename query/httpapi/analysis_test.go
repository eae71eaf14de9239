package httpapi_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// A receipt that had no room for all members says so.
func TestAnalysisOfOmittedMembers(t *testing.T) {
	t.Parallel()
	s := store.Func(func(_ context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
		req.Outcome.AddMember(store.MemberOutcome{Member: "eu/a", Status: store.Failed, Err: store.ErrUnavailable})
		req.Outcome.AddOmitted(7)
		return nil
	})
	_, e := get(t, handler(t, s, nil, nil), "/api/v1/query?query=up&analyze=1")
	var data struct {
		Analysis struct {
			Fanout []struct {
				Addr   string `json:"endpointAddr"`
				Status string `json:"status"`
			} `json:"fanout"`
			Omitted int `json:"omittedEndpoints"`
		} `json:"analysis"`
	}
	testutil.Ok(t, json.Unmarshal(e.Data, &data))
	testutil.Equals(t, 7, data.Analysis.Omitted)
	testutil.Equals(t, 1, len(data.Analysis.Fanout))
	testutil.Equals(t, "failed", data.Analysis.Fanout[0].Status)
}

// TestAnalysisOfReplicas: which replica served what, and where that is not known.
func TestAnalysisOfReplicas(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		query string
		want  string // the analysis without what stores did
	}{
		{"query=up", `"replicas":[{"labels":{"replica":"a"},"series":1,"samples":2},{"labels":{"replica":"b"},"series":1,"samples":1}]`},
		{"query=up&dedup=false", ""},
		{"query=up&replicaLabels[]=other", `"replicas":[{"labels":{},"series":2,"samples":5}]`}, // no series has that label
	} {
		var s memstore.Store
		for _, at := range []struct {
			replica string
			time    int64
		}{{"a", 0}, {"a", 15_000}, {"b", 2_000}, {"b", 17_000}, {"b", 32_000}} {
			testutil.Ok(t, s.Append(labels.FromStrings("__name__", "up", "replica", at.replica), at.time, 1))
		}
		_, e := get(t, handler(t, &s, &query.Options{ReplicaLabels: []string{"replica"}}, nil), "/api/v1/query?time=100&analyze=1&"+tc.query)
		var data struct {
			Analysis json.RawMessage `json:"analysis"`
		}
		testutil.Ok(t, json.Unmarshal(e.Data, &data))
		got := string(data.Analysis)
		if tc.want == "" {
			testutil.Assert(t, !strings.Contains(got, "replicas"), got)
			continue
		}
		testutil.Assert(t, strings.Contains(got, tc.want), "%s: %s", tc.query, got)
	}
}
