package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// answers is a LabelQuerier that gives the same answer to everything.
type answers struct {
	store.Store
	values []string
	err    error
	warn   error
	takes  time.Duration
	check  func(matchers []*labels.Matcher, without []string, limit int)
}

func (a answers) answer(ctx context.Context, out *store.Outcome) ([]string, error) {
	if a.warn != nil {
		out.AddWarning(a.warn)
	}
	if a.takes > 0 {
		if err := sleep(ctx, a.takes); err != nil {
			return nil, err
		}
	}
	return a.values, a.err
}

func (a answers) LabelNames(ctx context.Context, req *store.LabelNamesRequest) ([]string, error) {
	if a.check != nil {
		a.check(req.Matchers, req.WithoutReplicaLabels, req.Limit)
	}
	return a.answer(ctx, req.Outcome)
}

func (a answers) LabelValues(ctx context.Context, req *store.LabelValuesRequest) ([]string, error) {
	if req.Label != "job" {
		return nil, fmt.Errorf("asked for label %q", req.Label)
	}
	if a.check != nil {
		a.check(req.Matchers, req.WithoutReplicaLabels, req.Limit)
	}
	return a.answer(ctx, req.Outcome)
}

// both asks for names and for values, which must have come to the same.
func both(t *testing.T, f *fanout.Store, req store.LabelNamesRequest) (values []string, out *store.Outcome, err error) {
	t.Helper()
	req.Outcome = &store.Outcome{}
	names, nerr := f.LabelNames(t.Context(), &req)
	out = &store.Outcome{}
	values, err = f.LabelValues(t.Context(), &store.LabelValuesRequest{
		Label: "job", MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, Strategy: req.Strategy,
		WithoutReplicaLabels: req.WithoutReplicaLabels, Limit: req.Limit, StoreHints: req.StoreHints, Outcome: out,
	})
	testutil.Equals(t, names, values)
	testutil.Equals(t, nerr == nil, err == nil)
	if req.Strategy == store.Warn {
		testutil.Equals(t, statuses(req.Outcome), statuses(out))
	}
	testutil.Equals(t, len(req.Outcome.Warnings()), len(out.Warnings()))
	return values, out, err
}

func TestLabelsAreMerged(t *testing.T) {
	t.Parallel()
	check := func(ms []*labels.Matcher, without []string, limit int) {
		testutil.Equals(t, 1, len(ms))
		testutil.Equals(t, []string{"r"}, without)
	}
	can := store.Info{SupportsWithoutReplicaLabels: true}
	lister := func(values ...string) store.Store {
		return struct {
			store.LabelQuerier
			store.Store
			store.Describer
		}{answers{values: values, check: check}, sends(), withInfo(nil, can).(store.Describer)}
	}
	f := newFanout(t, nil, named(
		lister("b", "d", "f"), lister("f", "b", "a", "a"), lister(), lister("z"),
		withInfo(sends(series("no")), store.Info{LabelSets: []labels.Labels{labels.FromStrings("x", "2")}}),
	)...)
	req := store.LabelNamesRequest{MaxTime: 10, Matchers: []*labels.Matcher{eq("x", "1")}, WithoutReplicaLabels: []string{"r"}}
	got, out, err := both(t, f, req)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "b", "d", "f", "z"}, got)
	testutil.Equals(t, "a answered, b answered, c answered, d answered, e pruned: "+store.PrunedByLabels, statuses(out))
	testutil.Assert(t, out.Complete())
	req.Limit = 3
	got, _, err = both(t, f, req)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"a", "b", "d"}, got)
}

// Members without label APIs of their own are asked for series, and replica
// labels are removed where a member does not.
func TestLabelsOfPlainMembers(t *testing.T) {
	t.Parallel()
	s := &store.Series{Labels: labels.FromStrings("__name__", "up", "job", "node", "r", "1")}
	f := newFanout(t, nil, named(sends(s), sends(series("x")))...)
	names, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{WithoutReplicaLabels: []string{"r"}})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"__name__", "job"}, names)
	values, err := f.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "r"})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"1"}, values)
	values, err = f.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "r", WithoutReplicaLabels: []string{"r"}})
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(values))
	_, err = f.LabelValues(t.Context(), &store.LabelValuesRequest{})
	testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest))
}

func TestLabelsOfBadMembers(t *testing.T) {
	t.Parallel()
	panics := answers{Store: sends(), check: func([]*labels.Matcher, []string, int) { panic("no") }}
	for name, tc := range map[string]struct {
		bad   store.Store
		cause string
		info  bool
	}{
		"fails":               {answers{Store: sends(), err: errDown}, "connection refused", false},
		"panics":              {panics, "panic: no", false},
		"cannot be described": {describing{sends(), func(context.Context) (store.Info, error) { return store.Info{}, errDown }}, "store unavailable: connection refused", true},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time with what the first found out
				f := newFanout(t, nil, named(answers{Store: sends(), values: []string{"x"}}, tc.bad)...)
				got, out, err := both(t, f, store.LabelNamesRequest{})
				testutil.Ok(t, err)
				testutil.Equals(t, []string{"x"}, got)
				testutil.Equals(t, "a answered, b failed", statuses(out))
				op := "label values"
				if tc.info {
					op = "info"
				}
				testutil.Equals(t, []string{"store b: " + op + ": " + tc.cause}, texts(out.Warnings()))

				got, out, err = both(t, f, store.LabelNamesRequest{Strategy: store.Abort})
				testutil.Equals(t, "store b: "+op+": "+tc.cause, err.Error())
				testutil.Equals(t, 0, len(got))
				testutil.Equals(t, store.Failed, out.Members()[1].Status)
				testutil.Equals(t, 0, len(out.Warnings()))
			}
		})
	}
}

func TestLabelsWarnings(t *testing.T) {
	t.Parallel()
	f := newFanout(t, nil, named(answers{Store: sends(), values: []string{"x"}, warn: errDown})...)
	got, out, err := both(t, f, store.LabelNamesRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"x"}, got)
	testutil.Equals(t, []string{"store a: label values: connection refused"}, texts(out.Warnings()))
	testutil.Equals(t, []error{errDown}, out.Members()[0].Warnings)

	_, out, err = both(t, f, store.LabelNamesRequest{Strategy: store.Abort})
	testutil.Equals(t, "store a: label values: connection refused", err.Error())
	testutil.Equals(t, "a failed", statuses(out))
}

func TestLabelsNoMembers(t *testing.T) {
	t.Parallel()
	f := newFanout(t, nil)
	_, out, err := both(t, f, store.LabelNamesRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, []error{store.ErrNoStores}, out.Warnings())
	_, _, err = both(t, f, store.LabelNamesRequest{Strategy: store.Abort})
	testutil.Equals(t, store.ErrNoStores, err)
}

func TestLabelsTakeTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := answers{Store: sends(), values: []string{"slow"}, takes: time.Minute}
		fast := answers{Store: sends(), values: []string{"fast"}, takes: time.Millisecond}
		f := newFanout(t, &fanout.Options{WaitBudget: time.Second}, named(slow, fast, slow)...)
		start := time.Now()
		got, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"fast"}, got)
		testutil.Equals(t, time.Second, time.Since(start))
		_, out, err := both(t, f, store.LabelNamesRequest{})
		testutil.Ok(t, err)
		testutil.Equals(t, "a timed out, b answered, c timed out", statuses(out))
		testutil.Assert(t, errors.Is(out.Members()[0].Err, context.DeadlineExceeded))

		// One that fails cancels the others if nothing may be missing.
		fails := answers{Store: sends(), err: errDown, takes: time.Millisecond}
		f = newFanout(t, nil, named(slow, fails)...)
		start = time.Now()
		outcome := &store.Outcome{}
		_, err = f.LabelNames(t.Context(), &store.LabelNamesRequest{Strategy: store.Abort, Outcome: outcome})
		testutil.Equals(t, "store b: label names: connection refused", err.Error())
		testutil.Equals(t, time.Millisecond, time.Since(start))
		testutil.Equals(t, "a canceled, b failed", statuses(outcome))

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err = f.LabelNames(ctx, &store.LabelNamesRequest{})
		testutil.Equals(t, context.DeadlineExceeded, err)
	})
}

func TestManyLabelLists(t *testing.T) {
	t.Parallel()
	var stores []store.Store
	var want []string
	for i := range 33 {
		var values []string
		for j := range 200 {
			values = append(values, fmt.Sprint(j*(i%5+1)))
		}
		want = append(want, values...)
		if i%2 == 0 {
			slices.Sort(values)
		}
		stores = append(stores, answers{Store: sends(), values: values})
	}
	slices.Sort(want)
	before := fmt.Sprint(stores)
	got, _, err := both(t, newFanout(t, nil, named(stores...)...), store.LabelNamesRequest{})
	testutil.Ok(t, err)
	testutil.Equals(t, slices.Compact(want), got)
	testutil.Equals(t, before, fmt.Sprint(stores), "members' own lists were changed")
}

func TestLabelRequestsArePassedOn(t *testing.T) {
	t.Parallel()
	names := store.LabelNamesRequest{
		MinTime: 1, MaxTime: 2, Matchers: []*labels.Matcher{eq("a", "b")}, Strategy: store.Abort, WithoutReplicaLabels: []string{"r"},
		Limit: 3, StoreHints: &store.Any{TypeURL: "x"}, Tenant: "me", Metadata: map[string][]string{"x": {"y"}},
	}
	values := store.LabelValuesRequest{
		Label: "l", MinTime: 1, MaxTime: 2, Matchers: names.Matchers, Strategy: store.Abort, WithoutReplicaLabels: []string{"r"},
		Limit: 3, StoreHints: names.StoreHints, Tenant: "me", Metadata: names.Metadata,
	}
	f := newFanout(t, nil, named(listening{sends(), func(got any) {
		switch got := got.(type) {
		case store.LabelNamesRequest:
			testutil.Equals(t, names.Limit+1, got.Limit, "room for the replica label")
			got.Limit = names.Limit
			testutil.Equals(t, names, got)
		case store.LabelValuesRequest:
			testutil.Equals(t, values, got)
		}
	}})...)
	n, v := names, values
	n.StoreMatch, v.StoreMatch = [][]*labels.Matcher{{eq("__address__", "a")}}, [][]*labels.Matcher{{eq("__address__", "a")}}
	_, err := f.LabelNames(t.Context(), &n)
	testutil.Ok(t, err)
	_, err = f.LabelValues(t.Context(), &v)
	testutil.Ok(t, err)
}

// listening tells of what it was asked, but for the Outcome.
type listening struct {
	store.Store
	asked func(req any)
}

func (l listening) Describe(context.Context) (store.Info, error) {
	return store.Info{SupportsWithoutReplicaLabels: true}, nil
}

func (l listening) LabelNames(_ context.Context, req *store.LabelNamesRequest) ([]string, error) {
	r := *req
	r.Outcome = nil
	l.asked(r)
	return nil, nil
}

func (l listening) LabelValues(_ context.Context, req *store.LabelValuesRequest) ([]string, error) {
	r := *req
	r.Outcome = nil
	l.asked(r)
	return nil, nil
}

// However fast they all are, a failure is not missed.
func TestLabelsAbortAlways(t *testing.T) {
	t.Parallel()
	f := newFanout(t, nil, named(answers{Store: sends(), err: errDown}, answers{Store: sends(), values: []string{"x"}})...)
	for range 5000 {
		_, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{Strategy: store.Abort})
		testutil.Assert(t, errors.Is(err, errDown), "%v", err)
	}
}

// namesOnly has label names, replica labels too although it says that it removes
// them, and obeys limits.
type namesOnly []string

func (n namesOnly) Series(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
	return nil
}

func (n namesOnly) Describe(context.Context) (store.Info, error) {
	return store.Info{SupportsWithoutReplicaLabels: true}, nil
}

func (n namesOnly) LabelNames(_ context.Context, req *store.LabelNamesRequest) ([]string, error) {
	if req.Limit > 0 {
		return n[:min(len(n), req.Limit)], nil
	}
	return n, nil
}

func (n namesOnly) LabelValues(context.Context, *store.LabelValuesRequest) ([]string, error) {
	return nil, nil
}

// A replica label that is removed does not take the place of another name.
func TestLimitOfLabelNamesWithoutReplicaLabels(t *testing.T) {
	t.Parallel()
	f := newFanout(t, nil, named(namesOnly{"a", "r", "s", "x"}, namesOnly{"a", "r", "y"})...)
	for limit, want := range map[int][]string{0: {"a", "x", "y"}, 1: {"a"}, 2: {"a", "x"}, 3: {"a", "x", "y"}, 4: {"a", "x", "y"}} {
		got, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{Limit: limit, WithoutReplicaLabels: []string{"r", "s"}})
		testutil.Ok(t, err)
		testutil.Equals(t, want, got, "limit %d", limit)
	}
}
