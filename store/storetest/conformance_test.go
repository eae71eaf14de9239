package storetest_test

import (
	"context"
	"errors"
	"math/rand"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

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
	series := func(n int, ls ...string) *memstore.Store {
		s := memstore.New(nil)
		for i := range n {
			lset := labels.NewBuilder(labels.FromStrings(ls...)).Set(labels.MetricName, "up").Labels()
			testutil.Ok(t, s.Append(lset, int64(1000+i), float64(i)))
		}
		return s
	}
	f, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	for _, tc := range []struct {
		name    string
		s       store.Store
		opts    storetest.Options
		checked int // that are not skipped, at least
		err     error
	}{
		{name: "empty", s: &memstore.Store{}, checked: 1, err: storetest.ErrNoSeries},
		{name: "one sample", s: series(1), checked: 40},
		{name: "one series", s: series(1000, "job", "a"), checked: 40},
		{name: "nothing in range", s: series(10), opts: storetest.Options{MinTime: 1, MaxTime: 2}, checked: 1, err: storetest.ErrNoSeries},
		{name: "the fixture", s: held(t, f), checked: 60},
		{
			name: "a part of the fixture", s: held(t, f), checked: 55,
			opts: storetest.Options{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, "storetest_[fhl].*")}},
		},
		{name: "no Info", s: store.Func(held(t, f).Series), checked: 40, opts: storetest.Options{MinTime: 1_700_000_400_000, MaxTime: 1_700_002_000_000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			results, err := storetest.Check(t.Context(), tc.s, &tc.opts)
			testutil.Assert(t, errors.Is(err, tc.err), "%v", err)
			checked := 0
			for _, r := range results {
				switch r.Status {
				case storetest.Failed:
					t.Error(r)
				case storetest.OK:
					checked++
				case storetest.Skipped:
				}
			}
			testutil.Assert(t, checked >= tc.checked, "%d checks made", checked)
		})
	}
}

func TestCheckErrors(t *testing.T) {
	t.Parallel()
	f, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	s := held(t, f)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		opts storetest.Options
		want string
	}{
		{name: "no such check", opts: storetest.Options{Checks: []string{"order", "ordre"}}, want: `no check is called "ordre"`},
		{name: "range", opts: storetest.Options{MinTime: 2, MaxTime: 1}, want: "MinTime 2 is after MaxTime 1"},
		{name: "several", opts: storetest.Options{MaxSeries: -1, Patience: -1}, want: "MaxSeries is negative: -1\noption Patience is negative: -1ns"},
		{name: "too many series", opts: storetest.Options{MaxSeries: 10}, want: "more series than Options.MaxSeries: 10"},
		{name: "canceled", ctx: canceled, want: "context canceled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			if tc.ctx != nil {
				ctx = tc.ctx
			}
			_, err := storetest.Check(ctx, s, &tc.opts)
			testutil.NotOk(t, err)
			testutil.Assert(t, strings.Contains(err.Error(), tc.want), "error is %v", err)
		})
	}
}
