package main

import (
	"context"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
)

// What has nothing to look at is not reported to be right.
func TestNoSeries(t *testing.T) {
	addr := serve(t, fixtureStore(t, nil))
	for _, args := range [][]string{
		{"-matcher={job=\"nobody\"}", addr},
		{"-from=2001-01-01T00:00:00Z", "-to=2001-01-02T00:00:00Z", addr},
	} {
		o := storecheck(t, args...)
		testutil.Equals(t, statusUsage, o.status)
		testutil.Equals(t, "", o.out)
		testutil.Assert(t, strings.Contains(o.log, "there are no series"), "%q: %s", args, o.log)
	}
}

// A store that answers nothing where it is asked for labels alone is not empty: a
// check says what is wrong.
func TestNoSeriesWithoutChunks(t *testing.T) {
	s := fixtureStore(t, nil)
	addr := serve(t, override{s, func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		if req.SkipChunks {
			return nil
		}
		return s.Series(ctx, req, w)
	}})
	o := storecheck(t, addr)
	testutil.Equals(t, statusFailed, o.status)
	o.requireLines(t, "FAIL skip-chunks:")
}
