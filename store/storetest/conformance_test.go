package storetest_test

import (
	"context"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestMiddleware runs the kit over the smallest Store there can be, to which
// middleware adds what it lacks.
func TestMiddleware(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB, f *storetest.Fixture) store.Store {
			return store.Wrap(shuffled(f.Series()), store.WithRecovery(), store.WithLimits(store.Limits{Series: 1000}),
				store.WithExternalLabels(f.ExternalLabels()), store.WithSorting())
		},
		Lacks: map[storetest.Feature]string{storetest.DownsampledData: "it has raw data only"},
	})
}

// shuffled is a Store in 20 lines: it knows matchers and the time range, and
// sends series in any order.
func shuffled(series []*store.Series) store.Store {
	return store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		for _, i := range rand.Perm(len(series)) {
			s := series[i]
			out := &store.Series{Labels: s.Labels}
			inRange := false
			for _, c := range s.Chunks {
				if c.MinTime > req.MaxTime || c.MaxTime < req.MinTime {
					continue
				}
				inRange = true
				if !req.SkipChunks {
					c.Raw.Bytes = append([]byte(nil), c.Raw.Bytes...)
					out.Chunks = append(out.Chunks, c)
				}
			}
			if !inRange || req.MinTime > req.MaxTime || !req.Matches(s.Labels) {
				continue
			}
			if err := w.Send(out); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestCheckOfAnyStore runs Check over Stores that hold something else than the
// fixture: nothing fails, whatever there is.
func TestCheckOfAnyStore(t *testing.T) {
	t.Parallel()
	var empty memstore.Store
	f, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	full := memstore.New(nil)
	for _, s := range f.Sent() {
		testutil.Ok(t, full.AddSeries(s))
	}
	for _, tc := range []struct {
		name    string
		s       store.Store
		opts    *storetest.Options
		skipped []string
	}{
		{name: "empty", s: &empty},
		{name: "full", s: full},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			results, err := storetest.Check(t.Context(), tc.s, tc.opts)
			testutil.Ok(t, err)
			testutil.Assert(t, len(results) > 30)
			for _, r := range results {
				if r.Status == storetest.Failed {
					t.Error(r)
				}
				t.Log(r)
			}
		})
	}
}
