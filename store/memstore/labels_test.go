package memstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

func TestLabelQueries(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	fill(t, &s, 100, labels.FromStrings("__name__", "up", "job", "node", "replica", "a"), labels.FromStrings("__name__", "up", "job", "api"))
	fill(t, &s, 200, labels.FromStrings("__name__", "late", "zone", "z"))
	testutil.Ok(t, s.AddDownsampled(time.Hour, &store.Series{Labels: labels.FromStrings("__name__", "old"), Chunks: []store.Chunk{aggregated(t, 50)}}))
	job := matcher(labels.MatchEqual, "job", "node")

	for _, tc := range []struct {
		mint, maxt int64
		ms         []*labels.Matcher
		without    []string
		limit      int
		names      []string
		jobs       []string
	}{
		{mint: 0, maxt: 300, names: []string{"__name__", "job", "replica", "zone"}, jobs: []string{"api", "node"}},
		{mint: 0, maxt: 300, limit: 1, names: []string{"__name__"}, jobs: []string{"api"}},
		{mint: 0, maxt: 100, names: []string{"__name__", "job", "replica"}, jobs: []string{"api", "node"}},
		{mint: 101, maxt: 300, names: []string{"__name__", "zone"}},
		{mint: 0, maxt: 60, names: []string{"__name__"}},
		{mint: 0, maxt: 49},
		{mint: 100, maxt: 50},
		{mint: 0, maxt: 300, ms: []*labels.Matcher{job}, names: []string{"__name__", "job", "replica"}, jobs: []string{"node"}},
		{mint: 0, maxt: 300, without: []string{"replica", "job"}, names: []string{"__name__", "zone"}},
	} {
		got, err := s.LabelNames(context.Background(), &store.LabelNamesRequest{MinTime: tc.mint, MaxTime: tc.maxt, Matchers: tc.ms, WithoutReplicaLabels: tc.without, Limit: tc.limit})
		testutil.Ok(t, err)
		testutil.Assert(t, slices.Equal(tc.names, got), "names of %+v: %v", tc, got)
		got, err = s.LabelValues(context.Background(), &store.LabelValuesRequest{Label: "job", MinTime: tc.mint, MaxTime: tc.maxt, Matchers: tc.ms, WithoutReplicaLabels: tc.without, Limit: tc.limit})
		testutil.Ok(t, err)
		testutil.Assert(t, slices.Equal(tc.jobs, got), "values of %+v: %v", tc, got)
	}
	_, err := s.LabelValues(context.Background(), &store.LabelValuesRequest{MaxTime: 300})
	testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest))
}

// TestLabelValuesKeepsMatchers has a request whose slice of matchers has room.
func TestLabelValuesKeepsMatchers(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	fill(t, &s, 1, up)
	spare := matcher(labels.MatchEqual, "spare", "")
	ms := []*labels.Matcher{matcher(labels.MatchEqual, "job", "node"), spare}
	_, err := s.LabelValues(context.Background(), &store.LabelValuesRequest{Label: "job", MaxTime: 1, Matchers: ms[:1]})
	testutil.Ok(t, err)
	testutil.Assert(t, ms[1] == spare)
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	lsets := []labels.Labels{labels.FromStrings("cluster", "eu")}
	for _, tc := range []struct {
		openEnd bool
		samples []int64
		want    string
	}{
		{false, nil, fmt.Sprint(int64(math.MaxInt64), " ", int64(math.MinInt64))},
		{false, []int64{100, 500, 300}, "100 500"},
		{true, nil, fmt.Sprint(int64(math.MinInt64), " ", int64(math.MaxInt64))},
		{true, []int64{100, 500}, fmt.Sprint(100, " ", int64(math.MaxInt64))},
	} {
		opts := &memstore.Options{Component: "sidecar", LabelSets: lsets, OpenEnd: tc.openEnd}
		s := memstore.New(opts)
		opts.LabelSets[0] = labels.FromStrings("cluster", "eu") // the options were copied
		for _, ts := range tc.samples {
			fill(t, s, ts, labels.FromStrings("id", fmt.Sprint(ts)))
		}
		info, err := s.Describe(context.Background())
		testutil.Ok(t, err)
		testutil.Equals(t, tc.want, fmt.Sprint(info.MinTime, " ", info.MaxTime))
		testutil.Equals(t, "sidecar", info.Component)
		testutil.Equals(t, `[{cluster="eu"}]`, fmt.Sprint(info.LabelSets))
		testutil.Assert(t, info.SupportsSharding && info.SupportsWithoutReplicaLabels)
		ok, _ := info.MayHold(0, 1000, nil)
		testutil.Equals(t, len(tc.samples) > 0 || tc.openEnd, ok)
	}
	info, err := memstore.New(nil).Describe(context.Background())
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(info.LabelSets))
}

func TestDelete(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	testutil.Equals(t, 0, s.Delete())
	fill(t, &s, 100, labels.FromStrings("id", "1"), labels.FromStrings("id", "2"))
	fill(t, &s, 900, labels.FromStrings("id", "3"))
	testutil.Equals(t, 0, s.Delete(matcher(labels.MatchEqual, "id", "4")))
	testutil.Equals(t, 2, s.Delete(matcher(labels.MatchRegexp, "id", "1|3")))
	testutil.Equals(t, []string{`{id="2"}`}, names(collect(t, &s, everything())))
	info, err := s.Describe(context.Background())
	testutil.Ok(t, err)
	testutil.Equals(t, int64(100), info.MaxTime)

	fill(t, &s, 5, labels.FromStrings("id", "1")) // starts anew
	testutil.Equals(t, []string{`{id="1"}`, `{id="2"}`}, names(collect(t, &s, everything())))
	values, err := s.LabelValues(context.Background(), &store.LabelValuesRequest{Label: "id", MaxTime: 1000})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"1", "2"}, values)
	testutil.Equals(t, 2, s.Delete())
	testutil.Equals(t, 0, len(collect(t, &s, everything())))
}
