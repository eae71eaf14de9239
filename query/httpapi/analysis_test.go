package httpapi_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
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
