package store_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

func clusterA(context.Context) ([]*labels.Matcher, error) {
	return []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "cluster", "a")}, nil
}

// teller does what a fan-out may do beside sending series.
type teller struct {
	members  []store.MemberOutcome
	warnings []error
	err      error
	info     store.Info
	values   []string
}

func (s *teller) tell(out *store.Outcome) {
	for _, m := range s.members {
		out.AddMember(m)
	}
	for _, w := range s.warnings {
		out.AddWarning(w)
	}
}

// required is the error of who is asked for what is required: whether there are such
// members is for who lets the caller know of them to say.
func required(require [][]*labels.Matcher) error {
	if len(require) > 0 {
		return errors.New("required of others")
	}
	return nil
}

func (s *teller) Series(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	s.tell(req.Outcome)
	if err := required(req.Require); err != nil {
		return err
	}
	for _, warning := range s.warnings {
		if err := w.Warn(warning); err != nil {
			return err
		}
	}
	if s.err != nil {
		return s.err
	}
	return w.Send(&store.Series{Labels: labels.FromStrings("cluster", "a"), Chunks: []store.Chunk{{}}})
}

func (s *teller) LabelNames(_ context.Context, req *store.LabelNamesRequest) ([]string, error) {
	s.tell(req.Outcome)
	return []string{"cluster"}, cmp.Or(s.err, required(req.Require))
}

func (s *teller) LabelValues(_ context.Context, req *store.LabelValuesRequest) ([]string, error) {
	s.tell(req.Outcome)
	return s.values, cmp.Or(s.err, required(req.Require))
}

func (s *teller) Describe(context.Context) (store.Info, error) { return s.info, s.err }

func (s *teller) MayHoldMetric(string) bool { return false }

func TestAllowedInfo(t *testing.T) {
	t.Parallel()
	a, b, az, region := labels.FromStrings("cluster", "a"), labels.FromStrings("cluster", "b"), labels.FromStrings("cluster", "a", "zone", "1"), labels.FromStrings("region", "x")
	for name, tc := range map[string]struct{ sets, want []labels.Labels }{
		"nothing said":      {nil, []labels.Labels{a}},
		"others alone":      {[]labels.Labels{b}, []labels.Labels{a}},
		"some of them":      {[]labels.Labels{b, az}, []labels.Labels{az}},
		"one that may have": {[]labels.Labels{az, region}, []labels.Labels{az, a}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := store.Info{LabelSets: tc.sets, SupportsSharding: true, TSDBs: []store.TSDBInfo{{Labels: az}, {Labels: b}, {Labels: region}}}
			s := store.Wrap(&teller{info: inner}, store.WithAllowed(clusterA))
			info, err := store.Describe(t.Context(), s)
			testutil.Ok(t, err)
			testutil.Equals(t, store.Info{LabelSets: tc.want, SupportsSharding: true, TSDBs: []store.TSDBInfo{{Labels: az}}}, info)
			testutil.Assert(t, store.MayHoldMetric(s, "up"), "which metrics others have is told")
		})
	}
}

func TestAllowedOutcome(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk of b is full")
	a, b := labels.FromStrings("cluster", "a"), labels.FromStrings("cluster", "b")
	s := store.Wrap(&teller{
		members: []store.MemberOutcome{
			{Member: "a", LabelSets: []labels.Labels{a, b}, OmittedLabelSets: 3, Status: store.Failed, Err: cause, Warnings: []error{cause}},
			{Member: "b", LabelSets: []labels.Labels{b}, Status: store.Failed, Err: cause},
			{Member: "unknown", Status: store.TimedOut, Err: cause},
			{Member: "idle", Status: store.Pruned},
		},
		warnings: []error{cause, fmt.Errorf("%w: metric of b", annotations.PromQLWarning)},
		values:   []string{"a", "b"},
	}, store.WithAllowed(clusterA))
	check := func(out *store.Outcome) {
		t.Helper()
		members := out.Members()
		testutil.Equals(t, 1, len(members))
		m := members[0]
		testutil.Equals(t, []labels.Labels{a}, m.LabelSets)
		testutil.Assert(t, m.Member == "a" && m.OmittedLabelSets == 0 && len(m.Warnings) == 1, "%+v", m)
		testutil.Equals(t, []error{store.ErrWithheld, store.ErrWithheld}, []error{m.Err, m.Warnings[0]})
		testutil.Equals(t, 2, out.Omitted())
		testutil.Equals(t, []error{store.ErrWithheld}, out.Warnings())
	}
	out := &store.Outcome{}
	var got sink
	testutil.Ok(t, s.Series(t.Context(), &store.SeriesRequest{Outcome: out}, &got))
	check(out)
	testutil.Equals(t, []error{store.ErrWithheld}, got.warnings)
	out = &store.Outcome{}
	_, err := store.LabelNames(t.Context(), s, &store.LabelNamesRequest{Outcome: out})
	testutil.Ok(t, err)
	check(out)
	out = &store.Outcome{}
	values, err := store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "cluster", Outcome: out})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a"}, values) // though the store obeys no matchers
	check(out)

	// Whom the caller may not see does not exist.
	ms := [][]*labels.Matcher{{labels.MustNewMatcher(labels.MatchEqual, "cluster", "b")}}
	err = s.Series(t.Context(), &store.SeriesRequest{Require: ms}, &got)
	incomplete, ok := errors.AsType[*store.IncompleteError](err)
	testutil.Assert(t, ok && len(incomplete.Members) == 0, "%v", err)
	_, err = store.LabelNames(t.Context(), s, &store.LabelNamesRequest{Require: ms})
	testutil.Assert(t, errors.As(err, &incomplete) && len(incomplete.Members) == 0, "%v", err)
	_, err = store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "cluster", Require: ms})
	testutil.Assert(t, errors.As(err, &incomplete) && len(incomplete.Members) == 0, "%v", err)
}

func TestAllowedErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		is   error
		text string
	}{
		{errors.New("b"), store.ErrWithheld, store.ErrWithheld.Error()},
		{&store.Error{Store: "b", Err: context.DeadlineExceeded}, context.DeadlineExceeded, store.ErrWithheld.Error() + ": context deadline exceeded"},
		{&store.Error{Store: "b", Err: &store.LimitError{Limit: "series", Max: 3}}, store.ErrLimit, "series limit of 3 exceeded"},
		{fmt.Errorf("b: %w", store.ErrUnavailable), store.ErrUnavailable, store.ErrWithheld.Error() + ": store unavailable"},
	} {
		others := store.Info{LabelSets: []labels.Labels{labels.FromStrings("cluster", "b")}}
		s := store.Wrap(&teller{err: tc.err, info: others}, store.WithAllowed(clusterA))
		_, names := store.LabelNames(t.Context(), s, &store.LabelNamesRequest{})
		_, values := store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "x"})
		info, described := store.Describe(t.Context(), s)
		testutil.Equals(t, store.Info{}, info)
		for _, err := range []error{s.Series(t.Context(), &store.SeriesRequest{}, &sink{}), names, values, described} {
			testutil.Assert(t, errors.Is(err, tc.is) && err.Error() == tc.text, "%v", err)
		}
	}
	// The caller's own errors are its own.
	own := errors.New("b")
	s := store.Wrap(store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		return w.Send(&store.Series{})
	}), store.WithAllowed(clusterA))
	testutil.Equals(t, own, s.Series(t.Context(), &store.SeriesRequest{}, failing{own}))
	s = store.Wrap(store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		return w.(encoded.Writer).SendFrame(encoded.NewFrame(nil))
	}), store.WithAllowed(clusterA))
	testutil.Equals(t, errSink, s.Series(t.Context(), &store.SeriesRequest{}, &failingFrames{}))
}

type failing struct{ err error }

func (f failing) Send(*store.Series) error { return f.err }
func (f failing) Warn(error) error         { return f.err }

// Who is allowed everything gets everything as it is, and who is refused nothing.
func TestAllowedEverythingOrNothing(t *testing.T) {
	t.Parallel()
	cause := errors.New("b")
	inner := &teller{err: cause, members: []store.MemberOutcome{{Member: "b"}}}
	s := store.Wrap(inner, store.WithAllowed(func(context.Context) ([]*labels.Matcher, error) { return nil, nil }))
	out := &store.Outcome{}
	testutil.Equals(t, cause, s.Series(t.Context(), &store.SeriesRequest{Outcome: out}, &sink{}))
	testutil.Equals(t, "b", out.Members()[0].Member)
	_, err := store.LabelNames(t.Context(), s, &store.LabelNamesRequest{})
	testutil.Equals(t, cause, err)
	_, err = store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "x"})
	testutil.Equals(t, cause, err)
	_, err = store.Describe(t.Context(), s)
	testutil.Equals(t, cause, err)

	s = store.Wrap(inner, store.WithAllowed(func(context.Context) ([]*labels.Matcher, error) { return nil, store.ErrDenied }))
	testutil.Equals(t, store.ErrDenied, s.Series(t.Context(), &store.SeriesRequest{}, &sink{}))
	_, err = store.LabelNames(t.Context(), s, &store.LabelNamesRequest{})
	testutil.Equals(t, store.ErrDenied, err)
	_, err = store.LabelValues(t.Context(), s, &store.LabelValuesRequest{Label: "x"})
	testutil.Equals(t, store.ErrDenied, err)
	_, err = store.Describe(t.Context(), s)
	testutil.Equals(t, store.ErrDenied, err)
}
