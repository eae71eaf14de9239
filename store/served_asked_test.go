package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// asked remembers what it was asked, and does what is to be done then.
type asked struct {
	req store.SeriesRequest
	do  func(*store.SeriesRequest, store.SeriesWriter) error
}

func (a *asked) Series(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	a.req = *req
	return a.do(req, w)
}

func nothing(*store.SeriesRequest, store.SeriesWriter) error { return nil }

// What the caller has in its hands stays as it was, and the Store is asked to remove
// the replica labels that nobody looks at.
func TestServedAsks(t *testing.T) {
	t.Parallel()
	ms := []*labels.Matcher{match(t, labels.MatchEqual, "cluster", "a")}
	s := &asked{do: nothing}
	served := store.Wrap(s, store.WithServed(ms...))
	ms[0] = match(t, labels.MatchEqual, "cluster", "b")
	req := &store.SeriesRequest{
		Matchers: []*labels.Matcher{match(t, labels.MatchEqual, "pod", "1")}, WithoutReplicaLabels: []string{"cluster", "replica", "zone"},
		Shard: &store.Shard{}, Limit: 7,
	}
	testutil.Ok(t, served.Series(t.Context(), req, &sink{}))
	testutil.Equals(t, []string{"cluster", "replica", "zone"}, req.WithoutReplicaLabels)
	testutil.Equals(t, 1, len(req.Matchers))
	testutil.Equals(t, []string{"replica", "zone"}, s.req.WithoutReplicaLabels)
	testutil.Assert(t, len(s.req.Matchers) == 2 && s.req.Matchers[1].String() == `cluster="a"`, "%v", s.req.Matchers)
	testutil.Assert(t, s.req.Shard == nil && s.req.Limit == 0 && s.req.Outcome == nil, "%+v", s.req)

	// What does not meet the replica labels is left to the Store as it is.
	req.WithoutReplicaLabels = req.WithoutReplicaLabels[1:]
	testutil.Ok(t, served.Series(t.Context(), req, &sink{}))
	testutil.Assert(t, s.req.Shard == req.Shard && s.req.Limit == 7 && s.req.Outcome == nil, "%+v", s.req)
	testutil.Equals(t, []string{"replica", "zone"}, s.req.WithoutReplicaLabels)
}

// A shard of no total is no shard.
func TestServedWithoutShard(t *testing.T) {
	t.Parallel()
	for _, shard := range []*store.Shard{nil, {}, {Total: -1}, {Total: 1}} {
		var got sink
		s := store.Wrap(list{podIn("a", "1"), podIn("a", "2"), podIn("a", "3")}, onlyA(labels.MatchEqual, "a"))
		testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{WithoutReplicaLabels: []string{"cluster"}, Shard: shard}, &got))
		testutil.Equals(t, []string{"up,1", "up,2", "up,3"}, podsOf(got.got))
	}
}

// Values are looked at by the matchers on their own label, and nothing is said of
// those that are as they should be.
func TestServedLabelValuesByLabel(t *testing.T) {
	t.Parallel()
	may := store.WithServed(match(t, labels.MatchEqual, "cluster", "a"), match(t, labels.MatchRegexp, "pod", "1|2"), match(t, labels.MatchNotEqual, "pod", "2"))
	for _, tc := range []struct {
		label        string
		values, want []string
		outside      int
	}{
		{"cluster", []string{"a"}, []string{"a"}, 0},
		{"cluster", []string{"1", "a"}, []string{"a"}, 1},
		{"pod", []string{"1"}, []string{"1"}, 0},
		{"pod", []string{"1", "2", "3", "a"}, []string{"1"}, 3},
		{"zone", []string{"1", "x"}, []string{"1", "x"}, 0},
		{"cluster", nil, nil, 0},
	} {
		for _, strategy := range []store.PartialResponseStrategy{store.Warn, store.Abort} {
			out := &store.Outcome{}
			got, err := store.LabelValues(t.Context(), store.Wrap(&teller{values: tc.values}, may), &store.LabelValuesRequest{Label: tc.label, Strategy: strategy, Outcome: out})
			if strategy == store.Abort && tc.outside > 0 {
				testutil.Assert(t, errors.Is(err, store.ErrOutside) && got == nil && len(out.Warnings()) == 0, "%v %v", got, err)
				continue
			}
			testutil.Ok(t, err)
			testutil.Equals(t, tc.want, got)
			count := 0
			for _, w := range out.Warnings() {
				outside, ok := errors.AsType[*store.OutsideError](w)
				testutil.Assert(t, ok, "%v", w)
				count += outside.Count
			}
			testutil.Equals(t, tc.outside, count)
		}
	}
}

// What is left of a frame is a frame of its own, as large as the first, which stays
// as it is for whoever else has it; of nothing there is none.
func TestServedFrames(t *testing.T) {
	t.Parallel()
	encode := func(sets ...labels.Labels) (out []encoded.Series) {
		for _, lset := range sets {
			out = append(out, encoded.Series{Labels: encoded.AppendLabels(nil, lset)})
		}
		return out
	}
	for name, tc := range map[string]struct{ sent, want []encoded.Series }{
		"first":  {encode(podIn("b", "1"), podIn("a", "1"), podIn("a", "2")), encode(podIn("a", "1"), podIn("a", "2"))},
		"middle": {encode(podIn("a", "1"), podIn("b", "1"), podIn("a", "2"), podIn("b", "2"), podIn("a", "3")), encode(podIn("a", "1"), podIn("a", "2"), podIn("a", "3"))},
		"all":    {encode(podIn("b", "1"), podIn("b", "2")), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			released := 0
			s := &asked{do: func(_ *store.SeriesRequest, w store.SeriesWriter) error {
				f := encoded.NewFrame(func(*encoded.Frame) { released++ })
				defer f.Release()
				f.Series, f.Size = slices.Clone(tc.sent), 1000
				err := w.(encoded.Writer).SendFrame(f)
				testutil.Equals(t, tc.sent, f.Series)
				return err
			}}
			var got frameSink
			testutil.Ok(t, store.Wrap(s, onlyA(labels.MatchEqual, "a")).Series(t.Context(), &store.SeriesRequest{}, &got))
			if tc.want == nil {
				testutil.Equals(t, 0, len(got.kept))
				testutil.Equals(t, 1, released)
				return
			}
			testutil.Equals(t, 1, len(got.kept))
			testutil.Equals(t, tc.want, got.kept[0].Series)
			testutil.Equals(t, 1000, got.kept[0].Size)
			testutil.Equals(t, 0, released)
			got.kept[0].Release()
			testutil.Equals(t, 1, released)
		})
	}
}

// All that is told beside an answer comes through, but for members that are others'.
func TestServedTells(t *testing.T) {
	t.Parallel()
	told := errors.New("told")
	replica := store.ReplicaOutcome{Labels: labels.FromStrings("replica", "a"), Series: 1, Samples: 2}
	hint := store.Any{TypeURL: "hint", Value: []byte("h")}
	s := &asked{do: func(req *store.SeriesRequest, _ store.SeriesWriter) error {
		o := req.Outcome
		o.AddMember(store.MemberOutcome{Member: "a"})
		o.AddMember(store.MemberOutcome{Member: "b", LabelSets: []labels.Labels{labels.FromStrings("cluster", "b")}})
		o.AddWarning(told)
		o.AddHints(hint)
		o.AddReplica(replica)
		o.AddUnidentified(3)
		o.AddOmitted(4)
		return told
	}}
	out := &store.Outcome{}
	out.AddOmitted(1)
	testutil.Equals(t, told, store.Wrap(s, onlyA(labels.MatchEqual, "a")).Series(t.Context(), &store.SeriesRequest{Outcome: out}, &sink{}))
	testutil.Assert(t, len(out.Members()) == 1 && out.Members()[0].Member == "a", "%v", out.Members())
	testutil.Equals(t, []error{told}, out.Warnings())
	testutil.Equals(t, []store.Any{hint}, out.Hints())
	testutil.Equals(t, []store.ReplicaOutcome{replica}, out.Replicas())
	testutil.Equals(t, []any{int64(3), 5}, []any{out.Unidentified(), out.Omitted()})
	testutil.Assert(t, s.req.Outcome != out && !slices.Contains(out.Warnings(), nil))
}
