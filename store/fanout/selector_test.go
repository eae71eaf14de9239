package fanout_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

func matcher(typ labels.MatchType, name, value string) *labels.Matcher {
	return labels.MustNewMatcher(typ, name, value)
}

func TestStoreMatch(t *testing.T) {
	t.Parallel()
	forwarded := store.Func(func(_ context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
		testutil.Equals(t, 0, len(req.StoreMatch), "storeMatch reached a member")
		return nil
	})
	members := named(forwarded, forwarded, forwarded, forwarded)
	members[2].Group, members[3].Group = "g", "g"
	f := newFanout(t, nil, members...)
	const byMatch = " pruned: " + store.PrunedByStoreMatch
	eqAddr := func(v string) *labels.Matcher { return eq("__address__", v) }
	for name, tc := range map[string]struct {
		match [][]*labels.Matcher
		want  []string // acceptable
	}{
		"none":            {nil, []string{"a answered, b answered, g answered, g/c answered", "a answered, b answered, g answered, g/d answered"}},
		"one":             {[][]*labels.Matcher{{eqAddr("a")}}, []string{"a answered, b" + byMatch + ", g" + byMatch}},
		"either":          {[][]*labels.Matcher{{eqAddr("a")}, {eqAddr("b")}}, []string{"a answered, b answered, g" + byMatch}},
		"both, of nobody": {[][]*labels.Matcher{{eqAddr("a"), eqAddr("b")}}, []string{"a" + byMatch + ", b" + byMatch + ", g" + byMatch}},
		"regexp":          {[][]*labels.Matcher{{matcher(labels.MatchRegexp, "__address__", "b|x")}}, []string{"a" + byMatch + ", b answered, g" + byMatch}},
		"other labels":    {[][]*labels.Matcher{{eq("cluster", "eu"), eqAddr("a")}}, []string{"a answered, b" + byMatch + ", g" + byMatch}},
		"a replica":       {[][]*labels.Matcher{{eqAddr("d")}}, []string{"a" + byMatch + ", b" + byMatch + ", g answered, g/d answered"}},
		"not a replica":   {[][]*labels.Matcher{{matcher(labels.MatchNotEqual, "__address__", "c")}}, []string{"a answered, b answered, g answered, g/d answered"}},
		"a group":         {[][]*labels.Matcher{{eqAddr("g")}}, []string{"a" + byMatch + ", b" + byMatch + ", g answered, g/c answered", "a" + byMatch + ", b" + byMatch + ", g answered, g/d answered"}},
		"not a group":     {[][]*labels.Matcher{{matcher(labels.MatchNotRegexp, "__address__", "g|a")}}, []string{"a" + byMatch + ", b answered, g" + byMatch}},
	} {
		t.Run(name, func(t *testing.T) {
			req := all()
			req.StoreMatch = tc.match
			testutil.Ok(t, f.Series(t.Context(), req, &frameReader{}))
			testutil.Assert(t, slices.Contains(tc.want, statuses(req.Outcome)), statuses(req.Outcome))
			out := &store.Outcome{}
			_, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{StoreMatch: tc.match, Outcome: out})
			testutil.Ok(t, err)
			testutil.Assert(t, slices.Contains(tc.want, statuses(out)), statuses(out))
			out = &store.Outcome{}
			_, err = f.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "x", StoreMatch: tc.match, Outcome: out})
			testutil.Ok(t, err)
			testutil.Assert(t, slices.Contains(tc.want, statuses(out)), statuses(out))
		})
	}
}

// filtered knows the metrics that it has.
type filtered struct {
	store.Store
	metrics []string
}

func (f filtered) MayHoldMetric(name string) bool { return slices.Contains(f.metrics, name) }

func TestMetricFilter(t *testing.T) {
	t.Parallel()
	panics := struct {
		store.Store
		store.MetricFilter
	}{Store: sends()} // the filter is nil: asked for series, it will say what is wrong
	f := newFanout(t, nil, named(filtered{sends(), []string{"up", "down"}}, sends(), panics)...)
	const rest = ", b answered, c answered"
	const no, yes = "a pruned: " + store.PrunedByMetric + rest, "a answered" + rest
	metric := func(typ labels.MatchType, v string) *labels.Matcher { return matcher(typ, "__name__", v) }
	for name, tc := range map[string]struct {
		ms   []*labels.Matcher
		want string
	}{
		"no matcher":          {nil, yes},
		"has it":              {[]*labels.Matcher{metric(labels.MatchEqual, "up")}, yes},
		"has it not":          {[]*labels.Matcher{metric(labels.MatchEqual, "left")}, no},
		"nameless":            {[]*labels.Matcher{metric(labels.MatchEqual, "")}, yes},
		"one of a list":       {[]*labels.Matcher{metric(labels.MatchRegexp, "left|down")}, yes},
		"none of a list":      {[]*labels.Matcher{metric(labels.MatchRegexp, "left|right(er)")}, no},
		"open list":           {[]*labels.Matcher{metric(labels.MatchRegexp, "left.*")}, yes},
		"list with nothing":   {[]*labels.Matcher{metric(labels.MatchRegexp, "left|")}, yes},
		"any case":            {[]*labels.Matcher{metric(labels.MatchRegexp, "(?i)left|UP")}, yes},
		"all must be had":     {[]*labels.Matcher{metric(labels.MatchRegexp, "up|x"), metric(labels.MatchEqual, "left")}, no},
		"exclusion":           {[]*labels.Matcher{metric(labels.MatchNotEqual, "left"), metric(labels.MatchNotRegexp, "right")}, yes},
		"name of other label": {[]*labels.Matcher{eq("job", "left")}, yes},
	} {
		t.Run(name, func(t *testing.T) {
			testutil.Equals(t, tc.want, ask(t, f, tc.ms...))
			out := &store.Outcome{}
			_, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{Matchers: tc.ms, Outcome: out})
			testutil.Ok(t, err)
			testutil.Equals(t, tc.want, statuses(out))
		})
	}
}

func TestSelectorLabels(t *testing.T) {
	t.Parallel()
	var got []*labels.Matcher
	member := withInfo(store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		got = req.Matchers
		return w.Send(&store.Series{Labels: labels.FromStrings("__name__", "up", "cluster", "eu")})
	}), store.Info{LabelSets: []labels.Labels{labels.FromStrings("cluster", "eu", "tier", "own")}})
	opts := &fanout.Options{SelectorLabels: labels.FromStrings("region", "west", "tier", "query")}
	f := newFanout(t, opts, fanout.Member{Name: "a", Store: member})

	info, err := f.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, fmt.Sprint([]labels.Labels{labels.FromStrings("cluster", "eu", "region", "west", "tier", "query")}), fmt.Sprint(info.LabelSets))
	info, err = newFanout(t, opts).Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, fmt.Sprint([]labels.Labels{opts.SelectorLabels}), fmt.Sprint(info.LabelSets))

	const rejected = "a pruned: " + store.PrunedBySelector
	for name, tc := range map[string]struct {
		ms   []*labels.Matcher
		want string
		left int // matchers for the member
	}{
		"none":              {nil, "a answered", 0},
		"satisfied":         {[]*labels.Matcher{eq("region", "west"), eq("job", "x")}, "a answered", 1},
		"satisfied, alone":  {[]*labels.Matcher{matcher(labels.MatchRegexp, "region", "we.*")}, "a answered", 0},
		"not satisfied":     {[]*labels.Matcher{eq("job", "x"), eq("region", "east")}, rejected, 0},
		"excluded":          {[]*labels.Matcher{matcher(labels.MatchNotEqual, "region", "west")}, rejected, 0},
		"overrides":         {[]*labels.Matcher{eq("tier", "query")}, "a answered", 0},
		"overridden":        {[]*labels.Matcher{eq("tier", "own")}, rejected, 0},
		"others still rule": {[]*labels.Matcher{eq("region", "west"), eq("cluster", "us")}, "a pruned: " + store.PrunedByLabels, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for _, strategy := range []store.PartialResponseStrategy{store.Warn, store.Abort} {
				got = nil
				req, r := all(), &frameReader{}
				req.Matchers, req.Strategy = tc.ms, strategy
				testutil.Ok(t, f.Series(t.Context(), req, r))
				testutil.Equals(t, tc.want, statuses(req.Outcome))
				testutil.Equals(t, tc.left, len(got))
				testutil.Equals(t, strings.HasSuffix(tc.want, "answered"), len(r.series) == 1)
				testutil.Equals(t, 0, len(r.warnings))
				for _, s := range r.series {
					testutil.Equals(t, "", s.Labels.Get("region"))
				}
				names, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{Matchers: tc.ms, Strategy: strategy})
				testutil.Ok(t, err)
				testutil.Equals(t, strings.HasSuffix(tc.want, "answered"), len(names) == 2)
			}
		})
	}
	// Outcomes have the labels by which a stacked fan-out knows the members.
	req := all()
	testutil.Ok(t, f.Series(t.Context(), req, &frameReader{}))
	testutil.Equals(t, fmt.Sprint([]labels.Labels{labels.FromStrings("cluster", "eu", "region", "west", "tier", "query")}), fmt.Sprint(req.Outcome.Members()[0].LabelSets))
}
