package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// fill appends one sample at t to each of the series.
func fill(t testing.TB, s *memstore.Store, ts int64, lsets ...labels.Labels) {
	t.Helper()
	for _, lset := range lsets {
		testutil.Ok(t, s.Append(lset, ts, 1))
	}
}

func TestSeriesOrder(t *testing.T) {
	t.Parallel()
	// Ascending as labels.Compare has it.
	ordered := []labels.Labels{
		labels.EmptyLabels(),
		labels.FromStrings("A", "1"),
		labels.FromStrings("__name__", "a"),
		labels.FromStrings("__name__", "a", "b", "1"),
		labels.FromStrings("__name__", "a", "b", "10"),
		labels.FromStrings("__name__", "a", "b", "2"),
		labels.FromStrings("__name__", "a", "ba", "1"),
		labels.FromStrings("__name__", "ab"),
		labels.FromStrings("a", strings.Repeat("x", 300)),
		labels.FromStrings("a", strings.Repeat("x", 301)),
		labels.FromStrings("größe", "1"),
		labels.FromStrings("größe", "€"),
	}
	var want []string
	for i, lset := range ordered {
		want = append(want, lset.String())
		testutil.Assert(t, i == 0 || labels.Compare(ordered[i-1], lset) < 0, "%s", lset)
	}
	shuffled := slices.Clone(ordered)
	rand.New(rand.NewSource(1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var s memstore.Store
	fill(t, &s, 1, shuffled...)
	testutil.Equals(t, want, names(collect(t, &s, everything())))
}

// TestSeriesMatchers compares the index with a look at every series.
func TestSeriesMatchers(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	var all []labels.Labels
	for i := range 200 {
		lset := labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "id", fmt.Sprint(i), "tens", fmt.Sprint(i/10))
		if i%4 == 0 {
			lset = labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "id", fmt.Sprint(i), "sometimes", fmt.Sprint(i%5))
		}
		all = append(all, lset)
	}
	fill(t, &s, 1, all...)
	slices.SortFunc(all, labels.Compare)
	for _, ms := range [][]*labels.Matcher{
		nil,
		{matcher(labels.MatchEqual, "id", "7")},
		{matcher(labels.MatchEqual, "__name__", "m1")},
		{matcher(labels.MatchEqual, "__name__", "m1"), matcher(labels.MatchEqual, "tens", "3")},
		{matcher(labels.MatchEqual, "__name__", "none")},
		{matcher(labels.MatchEqual, "none", "x")},
		{matcher(labels.MatchEqual, "sometimes", "")},
		{matcher(labels.MatchEqual, "none", "")},
		{matcher(labels.MatchNotEqual, "sometimes", "")},
		{matcher(labels.MatchNotEqual, "sometimes", "2")},
		{matcher(labels.MatchRegexp, "id", "1.*"), matcher(labels.MatchNotEqual, "__name__", "m0")},
		{matcher(labels.MatchRegexp, "id", "1|2|300")},
		{matcher(labels.MatchRegexp, "id", ".*")},
		{matcher(labels.MatchRegexp, "sometimes", ".+")},
		{matcher(labels.MatchRegexp, "sometimes", "1|")},
		{matcher(labels.MatchNotRegexp, "sometimes", ".+")},
		{matcher(labels.MatchNotRegexp, "id", "1.*"), matcher(labels.MatchRegexp, "tens", "2|3|")},
		{matcher(labels.MatchEqual, "id", "7"), matcher(labels.MatchEqual, "id", "8")},
	} {
		req := everything(ms...)
		var want []string
		for _, lset := range all {
			if req.Matches(lset) {
				want = append(want, lset.String())
			}
		}
		testutil.Equals(t, want, names(collect(t, &s, req)), "%s", req)
	}
}

func TestSeriesTimeRange(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	testutil.Ok(t, s.AddSeries(&store.Series{Labels: up, Chunks: []store.Chunk{chunk(t, 100, 200), chunk(t, 300, 400)}}))
	for _, tc := range []struct {
		mint, maxt int64
		want       []int64 // beginnings of chunks
	}{
		{0, 99, nil},
		{0, 100, []int64{100}},
		{150, 150, []int64{100}},
		{200, 200, []int64{100}},
		{201, 299, nil},
		{201, 300, []int64{300}},
		{200, 300, []int64{100, 300}},
		{400, 500, []int64{300}},
		{401, 500, nil},
		{math.MinInt64, math.MaxInt64, []int64{100, 300}},
		{150, 120, nil}, // empty range inside a chunk
	} {
		for _, skip := range []bool{false, true} {
			got := collect(t, &s, &store.SeriesRequest{MinTime: tc.mint, MaxTime: tc.maxt, SkipChunks: skip})
			testutil.Equals(t, len(tc.want) > 0, len(got) == 1, "[%d, %d], skip chunks %t", tc.mint, tc.maxt, skip)
			if len(got) == 0 {
				continue
			}
			var begins []int64
			for _, c := range got[0].Chunks {
				begins = append(begins, c.MinTime)
			}
			if skip {
				tc.want = nil
			}
			testutil.Equals(t, tc.want, begins, "[%d, %d]", tc.mint, tc.maxt)
		}
	}
}

func TestSeriesLimit(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	fill(t, &s, 1, labels.FromStrings("a", "1"), labels.FromStrings("a", "3"))
	fill(t, &s, 1000, labels.FromStrings("a", "2"))
	for limit, want := range map[int][]string{
		0: {`{a="1"}`, `{a="3"}`},
		1: {`{a="1"}`},
		2: {`{a="1"}`, `{a="3"}`}, // what is out of range does not count
		9: {`{a="1"}`, `{a="3"}`},
	} {
		testutil.Equals(t, want, names(collect(t, &s, &store.SeriesRequest{MaxTime: 10, Limit: limit})), "limit %d", limit)
	}
}

func TestSeriesWithoutReplicaLabels(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	fill(t, &s, 2, labels.FromStrings("a", "1", "replica", "r2", "z", "2"))
	fill(t, &s, 1,
		labels.FromStrings("a", "1", "replica", "r1", "z", "2"),
		labels.FromStrings("a", "1", "replica", "r9", "z", "1"),
		labels.FromStrings("replica", "r1"),
		labels.FromStrings("a", "2"),
	)
	req := everything()
	req.WithoutReplicaLabels = []string{"replica", "absent"}
	got := collect(t, &s, req)
	testutil.Equals(t, []string{`{}`, `{a="1", z="1"}`, `{a="1", z="2"}`, `{a="2"}`}, names(got))
	testutil.Equals(t, []string{point(1, 1.0), point(2, 1.0)}, points(t, got[2].Chunks))

	req.Limit = 3
	testutil.Equals(t, []string{`{}`, `{a="1", z="1"}`, `{a="1", z="2"}`}, names(collect(t, &s, req)))
	testutil.Equals(t, 2, len(collect(t, &s, req)[2].Chunks))
}

func TestSeriesShards(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	for i := range 100 {
		for _, r := range []string{"a", "b"} {
			fill(t, &s, 1, labels.FromStrings("id", fmt.Sprint(i), "replica", r))
		}
	}
	all := everything()
	all.WithoutReplicaLabels = []string{"replica"}
	var parts []string
	for i := range int64(3) {
		req := *all
		req.Shard = &store.Shard{Index: i, Total: 3}
		part := collect(t, &s, &req)
		testutil.Assert(t, len(part) > 10, "shard %d has %d series", i, len(part))
		parts = append(parts, names(part)...)
	}
	slices.Sort(parts)
	want := names(collect(t, &s, all))
	slices.Sort(want)
	testutil.Equals(t, want, parts)
}

// stopAfter fails at a given call of Send, after calling f.
type stopAfter struct {
	n   int
	f   func()
	err error
}

func (w *stopAfter) Send(*store.Series) error {
	if w.n--; w.n > 0 {
		return nil
	}
	if w.f != nil {
		w.f()
	}
	return w.err
}

func (w *stopAfter) Warn(error) error { return errors.New("unexpected warning") }

func TestSeriesStops(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	for i := range 10 {
		fill(t, &s, 1, labels.FromStrings("id", fmt.Sprint(i)))
	}
	t.Run("canceled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		testutil.Equals(t, context.Canceled, s.Series(ctx, everything(), &stopAfter{n: 1, err: errors.New("series sent")}))
		_, err := s.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: 10})
		testutil.Equals(t, context.Canceled, err)
		_, err = s.LabelValues(ctx, &store.LabelValuesRequest{Label: "id", MaxTime: 10})
		testutil.Equals(t, context.Canceled, err)
		_, err = s.Describe(ctx)
		testutil.Equals(t, context.Canceled, err)
	})
	t.Run("canceled during", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		w := &stopAfter{n: 3, f: cancel}
		testutil.Equals(t, context.Canceled, s.Series(ctx, everything(), w))
		testutil.Equals(t, 0, w.n)
	})
	t.Run("send fails", func(t *testing.T) {
		enough := errors.New("enough")
		w := &stopAfter{n: 3, err: enough}
		testutil.Equals(t, enough, s.Series(context.Background(), everything(), w))
		testutil.Equals(t, 0, w.n)
	})
}

// TestConcurrency is for the race detector, and checks that a reader sees a
// series' samples without a hole.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	const samples = 500
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range int64(samples) {
				if err := s.Append(labels.FromStrings("writer", fmt.Sprint(w)), i, float64(i)); err != nil {
					t.Error(err)
				}
				if err := s.Append(labels.FromStrings("short", fmt.Sprint(w, i)), i, float64(i)); err != nil {
					t.Error(err)
				}
				if i%50 == 49 {
					s.Delete(matcher(labels.MatchRegexp, "short", fmt.Sprintf("%d .*", w)))
				}
			}
		})
	}
	for done := false; !done; {
		done = true
		for _, series := range collect(t, &s, everything(matcher(labels.MatchNotEqual, "writer", ""))) {
			got := points(t, series.Chunks)
			for i, p := range got {
				testutil.Equals(t, point(int64(i), float64(i)), p)
			}
			done = done && len(got) == samples
		}
		_, err := s.LabelNames(context.Background(), &store.LabelNamesRequest{MaxTime: samples})
		testutil.Ok(t, err)
		info, err := s.Describe(context.Background())
		testutil.Ok(t, err)
		done = done && info.MaxTime == samples-1
	}
	wg.Wait()
	testutil.Equals(t, []string{`{writer="0"}`, `{writer="1"}`}, names(collect(t, &s, everything())))
}
