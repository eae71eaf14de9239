package fanout_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

func requires(cluster string) [][]*labels.Matcher {
	return [][]*labels.Matcher{{eq("cluster", cluster)}}
}

// in is a member in a cluster.
func in(cluster string, s store.Store) store.Store { return withInfo(s, infoOf(cluster)) }

func TestRequire(t *testing.T) {
	t.Parallel()
	warns := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error { return w.Warn(errDown) })
	passedOn := store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		testutil.Equals(t, 0, len(req.Require), "what is required was passed on")
		return w.Send(series("1"))
	})
	mute := describing{sends(), func(context.Context) (store.Info, error) { return store.Info{}, errDown }}
	inner := newFanout(t, nil, named(in("eu", failing(errDown)), in("us", sends(series("2"))))...)
	group := grouped(in("eu", failing(errDown)), in("eu", passedOn))
	for name, tc := range map[string]struct {
		members []fanout.Member
		cluster string
		limit   int
		want    string // error
	}{
		"answers":        {members: named(in("eu", passedOn), in("us", failing(errDown))), cluster: "eu"},
		"fails":          {members: named(in("eu", passedOn), in("us", failing(errDown))), cluster: "us", want: `incomplete answer: {cluster="us"} is required, but member b failed: store b: series: connection refused`},
		"loses":          {members: named(in("eu", warns), in("us", passedOn)), cluster: "eu", want: `incomplete answer: {cluster="eu"} is required, but member a answered: connection refused`},
		"unheard of":     {members: named(in("eu", passedOn)), cluster: "asia", want: `incomplete answer: {cluster="asia"} is required, but no member has such labels`},
		"never heard":    {members: named(in("eu", passedOn), mute), cluster: "us", want: `incomplete answer: {cluster="us"} is required, but no member has such labels`},
		"nobody":         {cluster: "us", want: `incomplete answer: {cluster="us"} is required, but no member has such labels`},
		"below, fails":   {members: named(inner, in("asia", passedOn)), cluster: "eu", want: `incomplete answer: {cluster="eu"} is required, but member a/a failed: store a: series: connection refused`},
		"below, answers": {members: named(inner, in("asia", passedOn)), cluster: "us"},
		"group":          {members: group, cluster: "eu"},
		"enough":         {members: named(in("eu", sends(series("1"), series("2"), series("3"))), in("us", hangs(&tracker{}, series("9")))), cluster: "us", limit: 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFanout(t, nil, tc.members...)
			for _, out := range []*store.Outcome{nil, {}} {
				req, r := all(), &frameReader{}
				req.Outcome, req.Require, req.Limit = out, requires(tc.cluster), tc.limit
				err := f.Series(t.Context(), req, r)
				if tc.want == "" {
					testutil.Ok(t, err)
				} else {
					testutil.NotOk(t, err)
					testutil.Equals(t, tc.want, err.Error())
					var incomplete *store.IncompleteError
					testutil.Assert(t, errors.Is(err, store.ErrIncomplete) && errors.As(err, &incomplete))
				}
				testutil.Assert(t, out == nil || len(out.Members()) >= len(tc.members)/2)
			}
			if tc.limit > 0 {
				return
			}
			_, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: 10, Require: requires(tc.cluster)})
			testutil.Equals(t, tc.want == "", err == nil, "%v", err)
			_, err = f.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "x", MaxTime: 10, Require: requires(tc.cluster)})
			testutil.Equals(t, tc.want == "", err == nil, "%v", err)
		})
	}
}

// Nobody waits for others when who is required has failed, and says which.
func TestRequiredFailureEndsTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{}
		fails := store.Func(func(ctx context.Context, _ *store.SeriesRequest, _ store.SeriesWriter) error {
			return errors.Join(sleep(ctx, time.Second), errDown)
		})
		f := newFanout(t, nil, named(in("eu", hangs(tr, series("1"))), in("us", fails))...)
		start := time.Now()
		for _, strategy := range []store.PartialResponseStrategy{store.Warn, store.Abort} {
			req := all()
			req.Require, req.Strategy = requires("us"), strategy
			err := f.Series(t.Context(), req, &frameReader{})
			testutil.Assert(t, errors.Is(err, store.ErrIncomplete) && errors.Is(err, errDown), "%v", err)
			testutil.Equals(t, "a canceled, b failed", statuses(req.Outcome))
		}
		testutil.Equals(t, 2*time.Second, time.Since(start))
		tr.noneAlive(t)

		// Also if it is the merge that has enough of it, or that is known before.
		f = newFanout(t, &fanout.Options{WaitBudget: time.Second}, named(in("eu", hangs(tr)), in("us", paced(10*time.Second, series("1"))))...)
		req := all()
		req.Require = requires("eu")
		start = time.Now()
		err := f.Series(t.Context(), req, &frameReader{})
		testutil.Equals(t, `incomplete answer: {cluster="eu"} is required, but member a timed out: store a: series: wait budget used up: context deadline exceeded`, err.Error())
		testutil.Equals(t, time.Second, time.Since(start))
		sick := newPatient(infoOf("eu"))
		f = newFanout(t, nil, named(sick, in("us", hangs(tr)))...)
		testutil.Ok(t, f.Sync(t.Context()))
		sick.fail(errDown)
		<-time.After(time.Millisecond)
		testutil.NotOk(t, f.Sync(t.Context()))
		err = f.Series(t.Context(), req, &frameReader{})
		testutil.Assert(t, errors.Is(err, store.ErrIncomplete) && errors.Is(err, errDown), "%v", err)
	})
}

// A selector label of a fan-out below, which its members do not have, selects
// them.
func TestRequireSelectorLabels(t *testing.T) {
	t.Parallel()
	inner := newFanout(t, &fanout.Options{SelectorLabels: labels.FromStrings("region", "west")}, named(sends(series("1")), failing(errDown))...)
	f := newFanout(t, nil, named(inner)...)
	req := all()
	req.Require = [][]*labels.Matcher{{eq("region", "west")}}
	err := f.Series(t.Context(), req, &frameReader{})
	testutil.Equals(t, `incomplete answer: {region="west"} is required, but member a/b failed: store b: series: connection refused`, err.Error())
}
