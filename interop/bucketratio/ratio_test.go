package bucketratio_test

import (
	"context"
	"flag"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore/providers/filesystem"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/interop/internal/gateway"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

var ratioPairs = flag.Int("ratio", 0, "time `n` pairs of Thanos and thanoskit at the same work in the tests named Ratio, 15 at least, over more data; 0 times none")

// ratioShape is how much data the ratios are taken over.
func ratioShape() shape {
	if *ratioPairs > 0 {
		return shape{blocks: 4, series: 5000}
	}
	return shape{blocks: 4, series: 600}
}

// TestRatioSeries streams series out of a bucket that is a directory, all that are
// in it and fewer.
func TestRatioSeries(t *testing.T) {
	s := ratioShape()
	const always = 1000
	questions := []struct {
		question
		repeat int // so that a run takes long enough to be timed
		// allocs and ratio are how many times as many allocations and as much time
		// Thanos needs at least.
		allocs, ratio float64
	}{
		{s.all(false), 1, 10, 2},
		{s.all(true), 1, 10, 1.5},
		{s.scattered(always), 4, 1.5, 1},
		{s.one("counter", always), 32, 1, 1},
	}
	forGateways(t, s, func(t *testing.T, thanos *thanosstore.BucketStore, ours *bucketstore.Store) {
		for _, q := range questions {
			t.Run(q.name, func(t *testing.T) {
				ctx := t.Context()
				sameAnswers(ctx, t, thanos, ours, &q.question)
				want, got := askThanos(ctx, t, thanos, &q.question), askUs(ctx, t, ours, &q.question)
				testutil.Equals(t, want.chunks, got.chunks)
				testutil.Equals(t, want.bytes, got.bytes)
				t.Logf("%d series, %d chunks, %d bytes of chunks", got.series, got.chunks, got.bytes)
				theirs, us, r := pair.Work{
					Items:  q.repeat * q.series,
					Thanos: repeat(q.repeat, func() { askThanos(ctx, t, thanos, &q.question) }),
					Ours:   repeat(q.repeat, func() { askUs(ctx, t, ours, &q.question) }),
				}.Compare(t, *ratioPairs)
				testutil.Assert(t, us.Allocs*q.allocs <= theirs.Allocs, "%.0f allocations beside %.0f", us.Allocs, theirs.Allocs)
				testutil.Assert(t, r.N == 0 || r.Median >= q.ratio, "median %.2f", r.Median)
			})
		}
	})
}

// TestRatioLabelValues asks for the values of labels: of few and of many, of all
// series and of some.
func TestRatioLabelValues(t *testing.T) {
	s := ratioShape()
	mint, maxt := s.span()
	forGateways(t, s, func(t *testing.T, thanos *thanosstore.BucketStore, ours *bucketstore.Store) {
		for _, tc := range []struct {
			label    string
			matchers []*labels.Matcher
			repeat   int
		}{
			{"job", nil, 64},
			{"pod", nil, 8},
			{"pod", []*labels.Matcher{equal("namespace", "team-003")}, 16},
		} {
			t.Run(fmt.Sprint(tc.label, " ", tc.matchers), func(t *testing.T) {
				ctx := t.Context()
				ms, err := storepb.PromMatchersToMatchers(tc.matchers...)
				testutil.Ok(t, err)
				askThem := func() []string {
					r, err := thanos.LabelValues(ctx, &storepb.LabelValuesRequest{Label: tc.label, Start: mint, End: maxt, Matchers: ms})
					testutil.Ok(t, err)
					return r.Values
				}
				askUs := func() []string {
					values, err := ours.LabelValues(ctx, &store.LabelValuesRequest{Label: tc.label, MinTime: mint, MaxTime: maxt, Matchers: tc.matchers})
					testutil.Ok(t, err)
					return values
				}
				want := askThem()
				testutil.Equals(t, want, askUs())
				theirs, us, r := pair.Work{
					Items:  tc.repeat * len(want),
					Thanos: repeat(tc.repeat, func() { askThem() }),
					Ours:   repeat(tc.repeat, func() { askUs() }),
				}.Compare(t, *ratioPairs)
				testutil.Assert(t, us.Allocs <= theirs.Allocs, "%.0f allocations beside %.0f", us.Allocs, theirs.Allocs)
				testutil.Assert(t, r.N == 0 || r.Median >= 1, "median %.2f", r.Median)
			})
		}
	})
}

// forGateways runs f over both gateways on a directory with blocks, once without
// an index cache and once with one.
func forGateways(t *testing.T, s shape, f func(*testing.T, *thanosstore.BucketStore, *bucketstore.Store)) {
	dir := t.TempDir()
	inner, err := filesystem.NewBucket(dir)
	testutil.Ok(t, err)
	s.put(t, inner, nil)
	for _, set := range []gateway.Settings{{}, {Cache: true}} {
		t.Run(fmt.Sprintf("index cache %t", set.Cache), func(t *testing.T) {
			ctx := context.Background()
			thanos := gateway.Thanos(ctx, t, inner, t.TempDir(), set)
			defer func() { testutil.Ok(t, thanos.Close()) }()
			ours := gateway.Ours(ctx, t, inner, t.TempDir(), set)
			defer func() { testutil.Ok(t, ours.Close()) }()
			f(t, thanos, ours)
		})
	}
}

func repeat(n int, f func()) func() {
	return func() {
		for range n {
			f()
		}
	}
}
