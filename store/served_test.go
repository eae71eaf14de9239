package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// deaf is a Store that does not obey matchers.
func deaf(s store.Store) store.Store {
	return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		r := *req
		r.Matchers = nil
		return s.Series(ctx, &r, w)
	})
}

func podIn(name, pod string) labels.Labels {
	return labels.FromStrings(labels.MetricName, "up", "cluster", name, "pod", pod)
}

var mixed = list{
	labels.FromStrings(labels.MetricName, "down"), // of no cluster
	podIn("a", "1"), podIn("a", "2"), podIn("ab", "1"), podIn("b", "1"), podIn("b", "2"),
	labels.FromStrings(labels.MetricName, "up", "clutter", "a"),
}

func onlyA(kind labels.MatchType, value string) store.Middleware {
	return store.WithServed(labels.MustNewMatcher(kind, "cluster", value))
}

// podsOf returns what was got as cluster and pod.
func podsOf(got []string) (out []string) {
	for _, s := range got {
		s = s[:strings.LastIndex(s, "}")]
		s = strings.NewReplacer(`"`, "", `{__name__=`, "", "cluster=", "", " ", "", "pod=", "").Replace(s)
		out = append(out, s)
	}
	return out
}

// Series of others are left out, whether they come plain or in frames of any size,
// and are warned of once.
func TestServedSeries(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		may     store.Middleware
		want    []string
		outside int
		first   string
	}{
		"one cluster":  {onlyA(labels.MatchEqual, "a"), []string{"up,a,1", "up,a,2"}, 5, `{__name__="down"}`},
		"two clusters": {onlyA(labels.MatchRegexp, "ab?"), []string{"up,a,1", "up,a,2", "up,ab,1"}, 4, `{__name__="down"}`},
		"no cluster":   {onlyA(labels.MatchEqual, ""), []string{"down", "up,clutter=a"}, 5, podIn("a", "1").String()},
		"both": {
			store.WithServed(match(t, labels.MatchEqual, "cluster", "a"), match(t, labels.MatchEqual, "pod", "2")),
			[]string{"up,a,2"}, 6, `{__name__="down"}`,
		},
		"nothing": {onlyA(labels.MatchEqual, "c"), nil, 7, `{__name__="down"}`},
		"all":     {onlyA(labels.MatchRegexp, ".*"), podsOf([]string{`{__name__="down"} `, podIn("a", "1").String(), podIn("a", "2").String(), podIn("ab", "1").String(), podIn("b", "1").String(), podIn("b", "2").String(), `{__name__="up", clutter="a"}`}), 0, ""},
	} {
		check := func(t *testing.T, got *sink, err error) {
			t.Helper()
			testutil.Ok(t, err)
			testutil.Equals(t, tc.want, podsOf(got.got))
			if tc.outside == 0 {
				testutil.Equals(t, 0, len(got.warnings))
				return
			}
			testutil.Equals(t, 1, len(got.warnings))
			outside, ok := errors.AsType[*store.OutsideError](got.warnings[0])
			testutil.Assert(t, ok && errors.Is(outside, store.ErrOutside), "%v", got.warnings)
			testutil.Equals(t, []any{"series", tc.outside, tc.first}, []any{outside.What, outside.Count, outside.First})
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var plain sink
			err := store.Wrap(deaf(mixed), tc.may).Series(t.Context(), &store.SeriesRequest{}, &plain)
			check(t, &plain, err)
			for size := range len(mixed) + 1 {
				live, got := 0, frameSink{}
				err := store.Wrap(deaf(framed{mixed, size + 1, &live}), tc.may).Series(t.Context(), &store.SeriesRequest{}, &got)
				got.drain()
				check(t, &got.sink, err)
				testutil.Equals(t, 0, live)
			}
		})
	}
}

// What need not be changed is not: frames with nothing to leave out are the same.
func TestServedKeepsFrames(t *testing.T) {
	t.Parallel()
	f := encoded.NewFrame(nil)
	f.Series = []encoded.Series{{Labels: encoded.AppendLabels(nil, podIn("a", "1"))}}
	send := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		return w.(encoded.Writer).SendFrame(f)
	})
	var got frameSink
	testutil.Ok(t, store.Wrap(send, onlyA(labels.MatchEqual, "a")).Series(t.Context(), &store.SeriesRequest{}, &got))
	testutil.Assert(t, len(got.kept) == 1 && got.kept[0] == f)
	f.Release()

	// Errors of the writer come through, of either kind of frame.
	for _, value := range []string{"a", "b"} {
		s := store.Wrap(deaf(framed{list{podIn("a", "1"), podIn("b", "1")}, 2, new(int)}), onlyA(labels.MatchEqual, value))
		testutil.Equals(t, errSink, s.Series(t.Context(), &store.SeriesRequest{}, &failingFrames{}))
	}
}

// A store that obeys is asked for no more than it may serve, and nothing is said.
func TestServedAsksForItsOwn(t *testing.T) {
	t.Parallel()
	s := store.Wrap(mixed, onlyA(labels.MatchEqual, "a"))
	var got sink
	testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{Strategy: store.Abort}, &got))
	testutil.Equals(t, []string{"up,a,1", "up,a,2"}, podsOf(got.got))
	testutil.Equals(t, 0, len(got.warnings))
	names, err := store.LabelNames(t.Context(), s, &store.LabelNamesRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{labels.MetricName, "cluster", "pod"}, names)
	testutil.Equals(t, store.Store(mixed[:1]), store.Wrap(mixed[:1], store.WithServed()))
}

// Who must have everything or nothing gets an error.
func TestServedAborts(t *testing.T) {
	t.Parallel()
	s := store.Wrap(deaf(mixed), onlyA(labels.MatchEqual, "a"))
	err := s.Series(t.Context(), &store.SeriesRequest{Strategy: store.Abort}, &sink{})
	testutil.Assert(t, errors.Is(err, store.ErrOutside), "%v", err)
	s = store.Wrap(&teller{values: []string{"a", "b"}}, onlyA(labels.MatchEqual, "a"))
	_, err = store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "cluster", Strategy: store.Abort})
	testutil.Assert(t, errors.Is(err, store.ErrOutside), "%v", err)
}

// A replica label that is matched on is looked at before it goes, and the rest is
// sorted, sharded and cut without it.
func TestServedReplicaLabel(t *testing.T) {
	t.Parallel()
	s := store.Wrap(deaf(list{podIn("a", "2"), podIn("ab", "1"), podIn("az", "3"), podIn("b", "0")}), onlyA(labels.MatchRegexp, "a.*"))
	for name, tc := range map[string]struct {
		limit int
		want  []string
	}{"all": {0, []string{"up,1", "up,2", "up,3"}}, "cut": {2, []string{"up,1", "up,2"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got sink
			testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{WithoutReplicaLabels: []string{"cluster"}, Limit: tc.limit}, &got))
			testutil.Equals(t, tc.want, podsOf(got.got))
			testutil.Assert(t, len(got.warnings) == 1 && errors.Is(got.warnings[0], store.ErrOutside), "%v", got.warnings)
		})
	}
	var all []string
	for i := range int64(3) {
		var got sink
		testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{WithoutReplicaLabels: []string{"cluster"}, Shard: &store.Shard{Index: i, Total: 3}}, &got))
		all = append(all, podsOf(got.got)...)
	}
	slices.Sort(all)
	testutil.Equals(t, []string{"up,1", "up,2", "up,3"}, all)
}

func TestServedLabelValues(t *testing.T) {
	t.Parallel()
	s := store.Wrap(&teller{values: []string{"a", "b", "c"}, warnings: []error{errSink}}, onlyA(labels.MatchEqual, "a"))
	out := &store.Outcome{}
	values, err := store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "cluster", Outcome: out})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a"}, values)
	warnings := out.Warnings()
	testutil.Assert(t, len(warnings) == 2 && slices.Contains(warnings, errSink), "%v", warnings)
	i := slices.IndexFunc(warnings, func(err error) bool { return errors.Is(err, store.ErrOutside) })
	testutil.Equals(t, `store serves what it may not: 2 label values outside of {cluster="a"} left out, the first is "b"`, warnings[i].Error())
	values, err = store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "pod"})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "b", "c"}, values)

	s = store.Wrap(&teller{err: errSink}, onlyA(labels.MatchEqual, "a"))
	_, err = store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "cluster"})
	testutil.Equals(t, errSink, err)
	_, err = store.Describe(t.Context(), s)
	testutil.Equals(t, errSink, err)
	testutil.Assert(t, !store.MayHoldMetric(s, "up"))
}

// A store cannot say that it is another.
func TestServedInfo(t *testing.T) {
	t.Parallel()
	a, b, az, region := labels.FromStrings("cluster", "a"), labels.FromStrings("cluster", "b"), labels.FromStrings("cluster", "a", "zone", "1"), labels.FromStrings("region", "x")
	for name, tc := range map[string]struct{ sets, want []labels.Labels }{
		"nothing said":      {nil, []labels.Labels{a}},
		"others beside it":  {[]labels.Labels{b, az}, []labels.Labels{az}},
		"one that may have": {[]labels.Labels{b, region}, []labels.Labels{a}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := store.Info{LabelSets: tc.sets, Component: "query", TSDBs: []store.TSDBInfo{{Labels: az}, {Labels: b}}}
			info, err := store.Describe(t.Context(), store.Wrap(&teller{info: inner}, onlyA(labels.MatchEqual, "a")))
			testutil.Ok(t, err)
			testutil.Equals(t, store.Info{LabelSets: tc.want, Component: "query", TSDBs: []store.TSDBInfo{{Labels: az}}}, info)
		})
	}
	_, err := store.Describe(t.Context(), store.Wrap(&teller{info: store.Info{LabelSets: []labels.Labels{b}}}, onlyA(labels.MatchEqual, "a")))
	outside, ok := errors.AsType[*store.OutsideError](err)
	testutil.Assert(t, ok && outside.What == "label sets" && outside.First == b.String(), "%v", err)
	long := labels.FromStrings("cluster", strings.Repeat("b", 1000))
	_, err = store.Describe(t.Context(), store.Wrap(&teller{info: store.Info{LabelSets: []labels.Labels{long}}}, onlyA(labels.MatchEqual, "a")))
	testutil.Assert(t, len(err.Error()) < 400, "%v", err)
}

// Nor can it tell of members that are others'.
func TestServedOutcome(t *testing.T) {
	t.Parallel()
	a, b := labels.FromStrings("cluster", "a"), labels.FromStrings("cluster", "b")
	s := store.Wrap(&teller{warnings: []error{errSink}, members: []store.MemberOutcome{
		{Member: "a", LabelSets: []labels.Labels{a, b}, Status: store.Failed, Err: errSink},
		{Member: "b", LabelSets: []labels.Labels{b}},
		{Member: "unknown"},
	}}, onlyA(labels.MatchEqual, "a"))
	out := &store.Outcome{}
	testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{Outcome: out}, &sink{}))
	members := out.Members()
	testutil.Equals(t, 2, len(members))
	testutil.Equals(t, []labels.Labels{a}, members[0].LabelSets)
	testutil.Equals(t, "unknown", members[1].Member)
	testutil.Equals(t, []error{errSink}, out.Warnings())
	testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{}, &sink{})) // who wants no outcome gets none
}

// A store that removes labels, and shards what is left, is not asked to remove what
// is to be looked at.
func TestServedReplicaLabelOfStore(t *testing.T) {
	t.Parallel()
	inner := list{labels.FromStrings("pod", "1"), labels.FromStrings("pod", "2"), labels.FromStrings("pod", "3"), labels.FromStrings("pod", "4")}
	s := store.Wrap(inner, onlyA(labels.MatchEqual, "a"), store.WithExternalLabels(labels.FromStrings("cluster", "a")))
	var all []string
	for i := range int64(2) {
		var got sink
		req := &store.SeriesRequest{WithoutReplicaLabels: []string{"cluster"}, Shard: &store.Shard{Index: i, Total: 2}, Strategy: store.Abort}
		testutil.Ok(t, s.Series(t.Context(), req, &got))
		all = append(all, got.got...)
	}
	testutil.Equals(t, 4, len(all))
}
