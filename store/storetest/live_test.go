package storetest_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// live is a Store in use: whenever it is asked for series there is one more, and
// it knows label names and values of all of its time only.
type live struct {
	*memstore.Store
	calls atomic.Int64
}

func (l *live) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	n := l.calls.Add(1)
	lset := labels.FromStrings(labels.MetricName, "up", "pod", fmt.Sprintf("new-%d", n), fmt.Sprintf("l%d", n), "x")
	if err := l.Append(lset, time.Now().UnixMilli(), 1); err != nil {
		return err
	}
	return l.Store.Series(ctx, req, w)
}

func (l *live) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	r := *req
	r.MinTime, r.MaxTime = math.MinInt64, math.MaxInt64
	return l.Store.LabelNames(ctx, &r)
}

func (l *live) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	r := *req
	r.MinTime, r.MaxTime = math.MinInt64, math.MaxInt64
	return l.Store.LabelValues(ctx, &r)
}

// unnamed are series without a metric name.
func unnamed(t *testing.T, n int) *memstore.Store {
	s := memstore.New(nil)
	for i := range n {
		testutil.Ok(t, s.Append(labels.FromStrings("job", strconv.Itoa(i), "env", "a"), int64(1000+i), float64(i)))
	}
	return s
}

// TestCheckOfStoresInUse makes all checks on Stores that are right, but not laid
// out for them.
func TestCheckOfStoresInUse(t *testing.T) {
	t.Parallel()
	growing := &live{Store: memstore.New(nil)}
	for i := range 200 {
		lset := labels.FromStrings(labels.MetricName, "up", "pod", strconv.Itoa(i%3))
		testutil.Ok(t, growing.Append(lset, time.Now().Add(time.Duration(i-300)*time.Second).UnixMilli(), float64(i)))
	}
	many := unnamed(t, 100)
	testutil.Ok(t, many.Append(labels.FromStrings(labels.MetricName, "up"), 1000, 1))
	for name, tc := range map[string]struct {
		s    store.Store
		opts storetest.Options
	}{
		"growing":         {s: growing},
		"no metric names": {s: unnamed(t, 10), opts: storetest.Options{Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchNotEqual, "job", "")}}},
		"many without":    {s: many, opts: storetest.Options{MaxSeries: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results, err := storetest.Check(t.Context(), tc.s, &tc.opts)
			testutil.Ok(t, err)
			for _, r := range results {
				if r.Status == storetest.Failed {
					t.Error(r)
				}
			}
		})
	}
}

// TestCheckOfHostileStores makes all checks on Stores that are wrong where nobody
// looks: what comes of each is a result.
func TestCheckOfHostileStores(t *testing.T) {
	t.Parallel()
	f, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	var calls atomic.Int64
	for name, spoil := range map[string]func(req *store.SeriesRequest) bool{
		"silent without replica labels": func(r *store.SeriesRequest) bool { return len(r.WithoutReplicaLabels) > 0 },
		"silent in shards":              func(r *store.SeriesRequest) bool { return r.Shard != nil },
		"silent with limits":            func(r *store.SeriesRequest) bool { return r.Limit > 0 },
		"silent without chunks":         func(r *store.SeriesRequest) bool { return r.SkipChunks },
		"silent but once":               func(*store.SeriesRequest) bool { return calls.Add(1) > 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := silent{held(t, f).(*memstore.Store), spoil}
			results, err := storetest.Check(t.Context(), s, &storetest.Options{Patience: time.Millisecond})
			testutil.Ok(t, err)
			failed := 0
			for _, r := range results {
				if r.Status == storetest.Failed {
					failed++
				}
			}
			testutil.Assert(t, failed > 0)
		})
	}
}

// silent is a Store that answers some requests with nothing.
type silent struct {
	*memstore.Store
	when func(*store.SeriesRequest) bool
}

func (s silent) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	if s.when(req) {
		return nil
	}
	return s.Store.Series(ctx, req, w)
}

// endless goes on with one series for ever.
func endless(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	lset := labels.FromStrings(labels.MetricName, "up")
	for {
		if err := w.Send(&store.Series{Labels: lset}); err != nil {
			return err
		}
	}
}

func TestCheckOfEndlessAnswer(t *testing.T) {
	t.Parallel()
	_, err := storetest.Check(t.Context(), store.Func(endless), nil)
	testutil.NotOk(t, err)
	testutil.Assert(t, strings.HasSuffix(err.Error(), "more than 256 MiB: choose fewer by Matchers, MinTime and MaxTime"), err.Error())
}
