package tsdbstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

// TestSeriesEqualsDB compares what the Store sends with what the TSDB's own
// sample querier reads, for several states of a TSDB.
func TestSeriesEqualsDB(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, prepare := range map[string]func(t *testing.T, db *tsdb.DB){
		"head": func(t *testing.T, db *tsdb.DB) { fill(t, db, 0, 150) },
		"head and late samples": func(t *testing.T, db *tsdb.DB) {
			fill(t, db, 0, 150)
			fillLate(t, db, 50, 120)
		},
		"only late samples in range": func(t *testing.T, db *tsdb.DB) {
			fill(t, db, 300, 301)
			fillLate(t, db, 0, 100)
		},
		"blocks and head": func(t *testing.T, db *tsdb.DB) {
			fill(t, db, 0, 400)
			testutil.Ok(t, db.Compact(ctx))
			testutil.Assert(t, len(db.Blocks()) > 1)
		},
		"overlapping blocks, head, late samples": func(t *testing.T, db *tsdb.DB) {
			fill(t, db, 0, 400)
			fillLate(t, db, 25, 150)
			testutil.Ok(t, db.Compact(ctx))
			testutil.Ok(t, db.CompactOOOHead(ctx))
			fillLate(t, db, 175, 350)
		},
		"deleted samples": func(t *testing.T, db *tsdb.DB) {
			fill(t, db, 0, 400)
			testutil.Ok(t, db.Compact(ctx))
			testutil.Ok(t, db.Delete(ctx, 50*step, 60*step, everySeries))
			testutil.Ok(t, db.Delete(ctx, 0, math.MaxInt64, matcher(labels.MatchEqual, "__name__", "counter")))
			testutil.Ok(t, db.Delete(ctx, 390*step, 395*step, everySeries))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openDB(t)
			prepare(t, db)
			s, ofSamples := tsdbstore.New(db, nil), tsdbstore.NewQueryable(db, nil)
			for _, r := range [][2]int64{
				{math.MinInt64, math.MaxInt64}, {51*step + 7, 111*step - 1}, {120 * step, 120 * step},
				{2*hour - 1, 2 * hour}, {390 * step, 500 * step}, {2500 * step, 3000 * step}, {-10, -1}, {100, 50},
			} {
				for _, ms := range [][]*labels.Matcher{nil, {matcher(labels.MatchRegexp, "__name__", ".*float.*"), matcher(labels.MatchEqual, "instance", "a")}} {
					want := map[string]samples{}
					if r[0] <= r[1] {
						oracle := ms
						if len(ms) == 0 {
							oracle = []*labels.Matcher{everySeries}
						}
						want = fromDB(t, db, r[0], r[1], oracle...)
					}
					req := &store.SeriesRequest{MinTime: r[0], MaxTime: r[1], Matchers: ms}
					testutil.Equals(t, want, fromStore(t, s, req), "%v %v", r, ms)
					testutil.Equals(t, want, fromStore(t, ofSamples, req), "of samples: %v %v", r, ms)
				}
			}
		})
	}
}

func TestSeriesMatchers(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	app := db.Appender(context.Background())
	var all []labels.Labels
	for i := range 60 {
		lset := labels.FromStrings("__name__", fmt.Sprintf("m%d", i%3), "id", fmt.Sprint(i))
		if i%4 == 0 {
			lset = labels.FromStrings("id", fmt.Sprint(i), "sometimes", fmt.Sprint(i%5)) // no metric name either
		}
		all = append(all, lset)
		appendTo(t, app, lset, 1000, 1.0)
	}
	testutil.Ok(t, app.Commit())
	slices.SortFunc(all, labels.Compare)
	s := tsdbstore.New(db, nil)
	for _, ms := range [][]*labels.Matcher{
		nil,
		{matcher(labels.MatchEqual, "id", "7")},
		{matcher(labels.MatchEqual, "sometimes", "")},
		{matcher(labels.MatchNotEqual, "sometimes", ""), matcher(labels.MatchEqual, "__name__", "")},
		{matcher(labels.MatchNotEqual, "sometimes", "2"), matcher(labels.MatchEqual, "__name__", "m1")},
		{matcher(labels.MatchRegexp, "id", "1.*")},
		{matcher(labels.MatchRegexp, "id", ".*")},
		{matcher(labels.MatchNotRegexp, "id", "1.*"), matcher(labels.MatchRegexp, "sometimes", "0|")},
		{matcher(labels.MatchEqual, "absent", "x")},
	} {
		req := &store.SeriesRequest{MaxTime: 2000, Matchers: slices.Clone(ms), SkipChunks: true}
		var want, got []string
		for _, lset := range all {
			if req.Matches(lset) {
				want = append(want, lset.String())
			}
		}
		for series, err := range store.All(context.Background(), s, req, nil) {
			testutil.Ok(t, err)
			testutil.Equals(t, 0, len(series.Chunks))
			got = append(got, series.Labels.String())
		}
		testutil.Equals(t, want, got, "%s", req)
		testutil.Assert(t, slices.Equal(ms, req.Matchers), "the request's matchers changed: %s", req)
	}
}

// TestSeriesWithoutData has a series in the head that ended before the range. To
// the TSDB's index its last chunk is open.
func TestSeriesWithoutData(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	app := db.Appender(context.Background())
	ended, alive := labels.FromStrings("series", "ended"), labels.FromStrings("series", "alive")
	appendTo(t, app, ended, 1000, 1.0)
	appendTo(t, app, alive, 1000, 1.0)
	appendTo(t, app, alive, 9000, 1.0)
	testutil.Ok(t, app.Commit())
	s := tsdbstore.New(db, nil)
	for _, skip := range []bool{false, true} {
		var got []string
		for series, err := range store.All(context.Background(), s, &store.SeriesRequest{MinTime: 5000, MaxTime: 9000, SkipChunks: skip}, nil) {
			testutil.Ok(t, err)
			got = append(got, series.Labels.String())
		}
		testutil.Equals(t, []string{alive.String()}, got, "skip chunks %t", skip)
	}
	// What is left out does not count towards a limit.
	n := 0
	for _, err := range store.All(context.Background(), s, &store.SeriesRequest{MinTime: 1001, MaxTime: 9000, Limit: 1}, nil) {
		testutil.Ok(t, err)
		n++
	}
	testutil.Equals(t, 1, n)
}

func TestSeriesLimit(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	app := db.Appender(context.Background())
	for i := range 10 {
		appendTo(t, app, labels.FromStrings("id", fmt.Sprint(i)), 1000, 1.0)
	}
	testutil.Ok(t, app.Commit())
	for limit, want := range map[int]int{0: 10, 1: 1, 9: 9, 10: 10, 11: 10} {
		n := 0
		for series, err := range store.All(context.Background(), tsdbstore.New(db, nil), &store.SeriesRequest{MaxTime: 2000, Limit: limit}, nil) {
			testutil.Ok(t, err)
			testutil.Equals(t, fmt.Sprint(n), series.Labels.Get("id"))
			n++
		}
		testutil.Equals(t, want, n)
	}
}

// TestSeriesInParts has a series of some 3 MiB between two small ones.
func TestSeriesInParts(t *testing.T) {
	t.Parallel()
	big := fakeSeries{lset: labels.FromStrings("id", "big", "padding", strings.Repeat("x", 1000))}
	var times []int64
	for i := range int64(1000) {
		times = append(times, i*1000+i*i%997)
	}
	m := floats(t, times...)
	for size := 0; size < 3<<20; size += len(m.Chunk.Bytes()) {
		big.metas = append(big.metas, m)
		m.MinTime, m.MaxTime = m.MinTime+1, m.MaxTime+1
	}
	small := []chunks.Meta{floats(t, 1000)}
	db := &fakeDB{series: []fakeSeries{{lset: labels.FromStrings("id", "a"), metas: small}, big, {lset: labels.FromStrings("id", "c"), metas: small}}}

	parts, sent := 0, 0
	var order []string
	for series, err := range store.All(context.Background(), tsdbstore.New(db, nil), &store.SeriesRequest{MaxTime: math.MaxInt64}, nil) {
		testutil.Ok(t, err)
		order = append(order, series.Labels.Get("id"))
		if series.Labels.Get("id") != "big" {
			continue
		}
		size := 0
		for _, c := range series.Chunks {
			testutil.Equals(t, int64(sent), c.MinTime) // none lost or sent twice
			sent++
			size += len(c.Raw.Bytes)
		}
		testutil.Assert(t, size > 0 && size < 1<<20+20_000, "part of %d bytes", size)
		parts++
	}
	testutil.Equals(t, len(big.metas), sent)
	testutil.Equals(t, 4, parts)
	testutil.Equals(t, []string{"a", "big", "big", "big", "big", "c"}, order)
}

// TestExternalLabels has the middleware work on the Store's frames.
func TestExternalLabels(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	fill(t, db, 0, 50)
	s := store.Wrap(tsdbstore.New(db, nil), store.WithExternalLabels(labels.FromStrings("cluster", "eu", "instance", "z")))
	var got []string
	req := &store.SeriesRequest{MaxTime: hour, WithoutReplicaLabels: []string{"zone"}, Matchers: []*labels.Matcher{
		matcher(labels.MatchEqual, "cluster", "eu"), matcher(labels.MatchRegexp, "__name__", "float|counter"),
	}}
	for series, err := range store.All(context.Background(), s, req, nil) {
		testutil.Ok(t, err)
		got = append(got, series.Labels.String())
	}
	counter := `{__name__="counter", cluster="eu", instance="z"}`
	float := `{__name__="float", cluster="eu", instance="z"}`
	testutil.Equals(t, []string{counter, counter, float, float}, got)

	info, err := store.Describe(context.Background(), s)
	testutil.Ok(t, err)
	testutil.Equals(t, `[{cluster="eu", instance="z"}]`, fmt.Sprint(info.LabelSets))
	testutil.Equals(t, `{cluster="eu", instance="z"}`, info.TSDBs[0].Labels.String())
}

// TestOutlivesDB keeps what was sent, names and values until the TSDB is closed
// and its files are unmapped.
func TestOutlivesDB(t *testing.T) {
	t.Parallel()
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = 0
	db, err := tsdb.Open(t.TempDir(), nil, nil, opts, nil)
	testutil.Ok(t, err)
	fill(t, db, 0, 400)
	testutil.Ok(t, db.Compact(context.Background()))
	want := fromDB(t, db, 0, hour, everySeries)
	s := tsdbstore.New(db, nil)
	var kept []*store.Series
	for series, err := range store.All(context.Background(), s, &store.SeriesRequest{MaxTime: hour}, nil) {
		testutil.Ok(t, err)
		kept = append(kept, series)
	}
	names, err := s.LabelNames(context.Background(), &store.LabelNamesRequest{MaxTime: hour})
	testutil.Ok(t, err)
	values, err := s.LabelValues(context.Background(), &store.LabelValuesRequest{Label: "instance", MaxTime: hour})
	testutil.Ok(t, err)
	testutil.Ok(t, db.Close())

	testutil.Equals(t, []string{"__name__", "instance", "zone"}, names)
	testutil.Equals(t, []string{"a", "b"}, values)
	got := map[string]samples{}
	for _, series := range kept {
		for _, c := range series.Chunks {
			dec, err := c.Raw.Chunk()
			testutil.Ok(t, err)
			key := series.Labels.String()
			got[key] = got[key].add(t, dec.Iterator(nil), 0, hour)
		}
	}
	testutil.Equals(t, want, got)
}

func TestLabelQueries(t *testing.T) {
	t.Parallel()
	db := openDB(t)
	fill(t, db, 0, 400)
	testutil.Ok(t, db.Compact(context.Background()))
	s := tsdbstore.New(db, nil)
	ctx := context.Background()
	a := []*labels.Matcher{matcher(labels.MatchEqual, "instance", "a"), matcher(labels.MatchRegexp, "__name__", "co.*|float")}
	for _, tc := range []struct {
		mint, maxt    int64
		ms            []*labels.Matcher
		limit         int
		names, values []string
	}{
		{0, hour, nil, 2, []string{"__name__", "instance"}, []string{"counter", "custom_buckets"}},
		{0, hour, a, 0, []string{"__name__", "instance", "zone"}, []string{"counter", "float"}},
		{0, 20 * hour, a, 1, []string{"__name__"}, []string{"counter"}},
		{20 * hour, 21 * hour, nil, 0, nil, nil},
		{hour, 0, nil, 0, nil, nil},
	} {
		names, err := s.LabelNames(ctx, &store.LabelNamesRequest{MinTime: tc.mint, MaxTime: tc.maxt, Matchers: tc.ms, Limit: tc.limit})
		testutil.Ok(t, err)
		testutil.Assert(t, slices.Equal(tc.names, names), "%+v: %v", tc, names)
		values, err := s.LabelValues(ctx, &store.LabelValuesRequest{Label: "__name__", MinTime: tc.mint, MaxTime: tc.maxt, Matchers: tc.ms, Limit: tc.limit})
		testutil.Ok(t, err)
		testutil.Assert(t, slices.Equal(tc.values, values), "%+v: %v", tc, values)
	}
	_, err := s.LabelValues(ctx, &store.LabelValuesRequest{MaxTime: hour})
	testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest))
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := openDB(t)
	empty, err := tsdbstore.New(db, nil).Describe(ctx)
	testutil.Ok(t, err)
	ok, _ := empty.MayHold(0, hour, nil)
	testutil.Assert(t, !ok, "an empty TSDB announces %d..%d", empty.MinTime, empty.MaxTime)

	fill(t, db, 10, 20)
	info, err := tsdbstore.New(db, &tsdbstore.Options{Component: "receive"}).Describe(ctx)
	testutil.Ok(t, err)
	want := store.Info{Component: "receive", MinTime: 10 * step, MaxTime: math.MaxInt64, TSDBs: []store.TSDBInfo{{MinTime: 10 * step, MaxTime: math.MaxInt64}}}
	testutil.Equals(t, want, info)

	fillLate(t, db, 0, 5)
	info, err = tsdbstore.New(db, &tsdbstore.Options{TimeRange: func() (int64, int64, error) {
		mint, err := db.StartTime()
		return min(mint, db.Head().MinOOOTime()), math.MaxInt64, err
	}}).Describe(ctx)
	testutil.Ok(t, err)
	testutil.Equals(t, step/2, info.MinTime)

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = tsdbstore.New(db, nil).Describe(canceled)
	testutil.Equals(t, context.Canceled, err)
}
