package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

var names = []string{"A", "__name__", "a", "cluster", "instance", "le", "replica", "z"}

// randomSeries returns distinct label sets in order, many of them prefixes of
// others.
func randomSeries(r *rand.Rand, n int) list {
	seen := map[string]labels.Labels{}
	for range n {
		b := labels.NewBuilder(labels.EmptyLabels())
		for _, name := range names {
			if p := r.Intn(10); p < 4 || (name == "__name__" && p < 9) {
				b.Set(name, []string{"x", "xy", "y"}[r.Intn(3)])
			}
		}
		l := b.Labels()
		seen[l.String()] = l
	}
	var out list
	for _, l := range seen {
		out = append(out, l)
	}
	slices.SortFunc(out, labels.Compare)
	return out
}

// expected is what the middleware should send, made the simple way.
func expected(in list, external labels.Labels, req *store.SeriesRequest) []string {
	type row struct {
		lset labels.Labels
		text string
	}
	var rows []row
	for i, lset := range in {
		b := labels.NewBuilder(lset)
		external.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
		full := b.Labels()
		b.Del(req.WithoutReplicaLabels...)
		if l := b.Labels(); (!l.IsEmpty() || lset.IsEmpty()) && req.Matches(full) && req.Shard.Matches(l) {
			rows = append(rows, row{l, l.String() + " " + string(chunkNo(i)[0].Raw.Bytes)})
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return labels.Compare(a.lset, b.lset) })
	var out []string
	distinct := 0
	for i, x := range rows {
		if i == 0 || !labels.Equal(rows[i-1].lset, x.lset) {
			distinct++
		}
		if req.Limit > 0 && distinct > req.Limit {
			break
		}
		out = append(out, x.text)
	}
	return out
}

func TestExternalLabelsAgainstTheSimpleWay(t *testing.T) {
	r := rand.New(rand.NewSource(3))
	for i := range 3000 {
		in := randomSeries(r, r.Intn(60))
		// Matchers are tested on the labels with external ones; a label that the
		// store has of its own below an external one is not there to match.
		eb := labels.NewBuilder(labels.EmptyLabels())
		req := &store.SeriesRequest{Limit: r.Intn(2) * r.Intn(20)}
		for _, n := range []string{"A", "cluster", "replica", "zz"} {
			if r.Intn(2) == 0 {
				eb.Set(n, "E")
			}
		}
		for _, n := range []string{"a", "replica", "cluster", "le", ""} {
			if r.Intn(3) == 0 {
				req.WithoutReplicaLabels = append(req.WithoutReplicaLabels, n)
			}
		}
		if r.Intn(3) == 0 {
			req.Shard = &store.Shard{Index: int64(r.Intn(3)), Total: 3, By: r.Intn(2) == 0, Labels: []string{"a", "cluster"}}
		}
		if r.Intn(3) == 0 {
			req.Matchers = append(req.Matchers, match(t, labels.MatchRegexp, "cluster", "E|x.*|"))
		}
		if r.Intn(3) == 0 {
			req.Matchers = append(req.Matchers, match(t, labels.MatchNotEqual, "a", "x"))
		}
		external := eb.Labels()
		if external.IsEmpty() && strings.Join(req.WithoutReplicaLabels, "") == "" && req.Shard == nil {
			req.Limit = 0 // nothing to do: the limit is the store's own business
		}
		want := expected(in, external, req)

		wrapped := store.Wrap(in, store.WithExternalLabels(external))
		var plain sink
		testutil.Ok(t, wrapped.Series(t.Context(), req, &plain))
		testutil.Equals(t, want, plain.got, "plain to plain, case %d", i)

		var both frameSink
		testutil.Ok(t, wrapped.Series(t.Context(), req, &both))
		testutil.Equals(t, want, both.got, "plain to frames, case %d", i)

		live := 0
		wrapped = store.Wrap(framed{in, 1 + r.Intn(9), &live}, store.WithExternalLabels(external), store.WithLimits(store.Limits{Series: 1e6}))
		var frames frameSink
		testutil.Ok(t, wrapped.Series(t.Context(), req, &frames))
		frames.drain()
		testutil.Equals(t, want, frames.got, "frames to frames, case %d", i)
		testutil.Equals(t, 0, live, "frames not released, case %d", i)
	}
}

func TestExternalLabelsHoldBackOneMetricAtATime(t *testing.T) {
	sent := 0
	in := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, name := range []string{"a", "b", "c"} {
			for _, job := range []string{"1", "2"} {
				if err := w.Send(&store.Series{Labels: labels.FromStrings("__name__", name, "job", job), Chunks: chunkNo(0)}); err != nil {
					return err
				}
				sent++
			}
		}
		return nil
	})
	w := &sink{fail: 2}
	err := store.Wrap(in, store.WithExternalLabels(labels.FromStrings("cluster", "x"))).Series(t.Context(), &store.SeriesRequest{}, w)
	testutil.Assert(t, errors.Is(err, errSink), "got %v", err)
	testutil.Equals(t, 2, sent) // the first of metric b let those of a out
}

func TestExternalLabelsReleaseFramesWhenTheReaderFails(t *testing.T) {
	in := randomSeries(rand.New(rand.NewSource(4)), 50)
	live := 0
	s := store.Wrap(framed{in, 4, &live}, store.WithExternalLabels(labels.FromStrings("A", "x")))
	err := s.Series(t.Context(), &store.SeriesRequest{}, &failingFrames{})
	testutil.Assert(t, errors.Is(err, errSink), "got %v", err)
	testutil.Equals(t, 0, live)
}

func TestExternalLabelMatchers(t *testing.T) {
	in := list{labels.FromStrings("__name__", "down", "job", "a"), labels.FromStrings("__name__", "up", "cluster", "inner", "job", "b")}
	s := store.Wrap(in, store.WithExternalLabels(labels.FromStrings("cluster", "x", "empty", "")))
	for _, tc := range []struct {
		name string
		ms   []*labels.Matcher
		want int
	}{
		{"none left answers everything", []*labels.Matcher{match(t, labels.MatchEqual, "cluster", "x")}, 2},
		{"regex on external and rest on series", []*labels.Matcher{match(t, labels.MatchRegexp, "cluster", "x|y"), match(t, labels.MatchEqual, "__name__", "up")}, 1},
		{"rejects", []*labels.Matcher{match(t, labels.MatchEqual, "cluster", "y")}, 0},
		{"negative rejects", []*labels.Matcher{match(t, labels.MatchNotEqual, "cluster", "x"), match(t, labels.MatchEqual, "__name__", "up")}, 0},
		{"overridden label is not to be found", []*labels.Matcher{match(t, labels.MatchEqual, "cluster", "inner")}, 0},
		{"an external label without a value is none", []*labels.Matcher{match(t, labels.MatchEqual, "empty", "")}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got sink
			testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{Matchers: tc.ms}, &got))
			testutil.Equals(t, tc.want, len(got.got))
		})
	}
}

func TestExternalLabelsInLabelAPIs(t *testing.T) {
	in := list{labels.FromStrings("__name__", "down", "job", "a"), labels.FromStrings("__name__", "up", "job", "b", "replica", "i")}
	s := store.Wrap(in, store.WithExternalLabels(labels.FromStrings("cluster", "x", "replica", "r1"))).(store.LabelQuerier)

	got, err := s.LabelNames(t.Context(), &store.LabelNamesRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"__name__", "cluster", "job", "replica"}, got)
	got, err = s.LabelNames(t.Context(), &store.LabelNamesRequest{WithoutReplicaLabels: []string{"replica"}, Limit: 2})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"__name__", "cluster"}, got)
	for name, m := range map[string]*labels.Matcher{
		"no series":      match(t, labels.MatchEqual, "job", "none"),
		"wrong external": match(t, labels.MatchEqual, "cluster", "y"),
	} {
		got, err = s.LabelNames(t.Context(), &store.LabelNamesRequest{Matchers: []*labels.Matcher{m}})
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(got), name)
	}

	values := func(req store.LabelValuesRequest) []string {
		t.Helper()
		got, err := s.LabelValues(t.Context(), &req)
		testutil.Ok(t, err)
		return got
	}
	testutil.Equals(t, []string{"a", "b"}, values(store.LabelValuesRequest{Label: "job"}))
	testutil.Equals(t, []string{"a"}, values(store.LabelValuesRequest{Label: "job", Limit: 1}))
	testutil.Equals(t, []string{"x"}, values(store.LabelValuesRequest{Label: "cluster"}))
	testutil.Equals(t, []string{"r1"}, values(store.LabelValuesRequest{Label: "replica"}))
	testutil.Equals(t, 0, len(values(store.LabelValuesRequest{Label: "replica", WithoutReplicaLabels: []string{"replica"}})))
	testutil.Equals(t, 0, len(values(store.LabelValuesRequest{Label: "cluster", Matchers: []*labels.Matcher{match(t, labels.MatchEqual, "job", "c")}})))
	testutil.Equals(t, 0, len(values(store.LabelValuesRequest{Label: "job", Matchers: []*labels.Matcher{match(t, labels.MatchEqual, "cluster", "y")}})))

	_, err = store.LabelValues(t.Context(), in, &store.LabelValuesRequest{})
	testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "got %v", err)
}

func TestExternalLabelsInInfo(t *testing.T) {
	info, err := store.Describe(t.Context(), store.Wrap(list{}, store.WithExternalLabels(labels.FromStrings("cluster", "x"))))
	testutil.Ok(t, err)
	testutil.Assert(t, info.SupportsSharding && info.SupportsWithoutReplicaLabels)
	testutil.Equals(t, `[{cluster="x"}]`, fmt.Sprint(info.LabelSets))

	inner := described{list{}, store.Info{
		LabelSets: []labels.Labels{labels.FromStrings("region", "eu"), labels.FromStrings("cluster", "y")},
		TSDBs:     []store.TSDBInfo{{Labels: labels.FromStrings("region", "eu"), MaxTime: 9}},
	}}
	info, err = store.Describe(t.Context(), store.Wrap(inner, store.WithExternalLabels(labels.FromStrings("cluster", "x"))))
	testutil.Ok(t, err)
	testutil.Equals(t, `[{cluster="x", region="eu"} {cluster="x"}]`, fmt.Sprint(info.LabelSets))
	testutil.Equals(t, `{cluster="x", region="eu"}`, info.TSDBs[0].Labels.String())
	testutil.Equals(t, `{region="eu"}`, inner.info.TSDBs[0].Labels.String()) // not changed behind its back
}

func TestSorting(t *testing.T) {
	r := rand.New(rand.NewSource(5))
	in := randomSeries(r, 50)
	shuffled := slices.Clone(in)
	r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var got []labels.Labels
	for s, err := range store.All(t.Context(), store.Wrap(shuffled, store.WithSorting()), &store.SeriesRequest{Limit: 10}, nil) {
		testutil.Ok(t, err)
		got = append(got, s.Labels)
	}
	testutil.Equals(t, fmt.Sprint(in[:10]), fmt.Sprint(got))
}

type described struct {
	list
	info store.Info
}

func (d described) Describe(context.Context) (store.Info, error) { return d.info, nil }

func TestExternalLabelsUnderAbortLeaveNothingOut(t *testing.T) {
	in := list{labels.FromStrings("a", "1"), labels.FromStrings("replica", "1"), labels.FromStrings("replica", "2")}
	s := store.Wrap(in, store.WithExternalLabels(labels.EmptyLabels()))
	var w sink
	testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{WithoutReplicaLabels: []string{"replica"}}, &w))
	testutil.Equals(t, 1, len(w.got))
	testutil.Equals(t, 1, len(w.warnings))
	testutil.NotOk(t, s.Series(t.Context(), &store.SeriesRequest{WithoutReplicaLabels: []string{"replica"}, Strategy: store.Abort}, &w))
}

// A Store that goes on writing after its call must not reach another one.
func TestSortingWriterEndsWithItsCall(t *testing.T) {
	var kept store.SeriesWriter
	s := store.Wrap(store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		if kept != nil {
			testutil.NotOk(t, kept.Send(&store.Series{Labels: labels.FromStrings("a", "late"), Chunks: chunkNo(1)}))
		}
		kept = w
		return w.Send(&store.Series{Labels: labels.FromStrings("a", "b"), Chunks: chunkNo(0)})
	}), store.WithExternalLabels(labels.FromStrings("cluster", "x")))
	for range 2 {
		var w sink
		testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{}, &w))
		testutil.Equals(t, []string{`{a="b", cluster="x"} chunk 0`}, w.got)
	}
}
