package fanout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

func TestHedge(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	const (
		aServes  = "g answered, g/a answered"
		bServes  = "g answered, g/a pruned: " + store.PrunedByReplica + ", g/b answered"
		aOfBoth  = "g answered, g/a answered, g/b pruned: " + store.PrunedByReplica
		timedOut = "g timed out, g/a timed out, g/b timed out"
	)
	s1, s2 := series("1"), series("2")
	slow, late := paced(300*time.Millisecond, s1, s2), paced(150*time.Millisecond, s1, s2)
	for name, tc := range map[string]struct {
		opts     fanout.Options
		deadline time.Duration
		a, b     store.Store
		want     string
		took     time.Duration
	}{
		"off":                 {a: slow, b: sends(s1, s2), want: aServes, took: 600 * time.Millisecond},
		"second wins":         {opts: fanout.Options{HedgeDelay: 100 * time.Millisecond}, a: slow, b: sends(s1, s2), want: bServes, took: 100 * time.Millisecond},
		"first hangs":         {opts: fanout.Options{HedgeDelay: 100 * time.Millisecond}, a: hangs(tr), b: late, want: bServes, took: 400 * time.Millisecond},
		"first wins":          {opts: fanout.Options{HedgeDelay: 100 * time.Millisecond}, a: late, b: hangs(tr), want: aOfBoth, took: 300 * time.Millisecond},
		"in time":             {opts: fanout.Options{HedgeDelay: 200 * time.Millisecond}, a: late, b: hangs(tr), want: aServes, took: 300 * time.Millisecond},
		"hedge fails":         {opts: fanout.Options{HedgeDelay: 100 * time.Millisecond}, a: slow, b: failing(errDown), want: aOfBoth, took: 600 * time.Millisecond},
		"half the budget":     {opts: fanout.Options{WaitBudget: time.Second}, a: hangs(tr), b: sends(s1, s2), want: bServes, took: 500 * time.Millisecond},
		"half the deadline":   {opts: fanout.Options{WaitBudget: time.Second}, deadline: 800 * time.Millisecond, a: hangs(tr), b: sends(s1, s2), want: bServes, took: 400 * time.Millisecond},
		"both hang":           {opts: fanout.Options{WaitBudget: time.Second}, a: hangs(tr), b: hangs(tr), want: timedOut, took: time.Second},
		"deadline, then next": {opts: fanout.Options{HedgeDelay: time.Minute}, deadline: time.Second, a: hangs(tr), b: slow, want: bServes, took: 1600 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				members := grouped(tc.a, tc.b)
				for i := range members {
					members[i].Deadline = tc.deadline
				}
				f := newFanout(t, &tc.opts, members...)
				start := time.Now()
				out, r, err := outcomeOf(t, f, store.Warn)
				testutil.Ok(t, err)
				testutil.Equals(t, tc.want, statuses(out))
				testutil.Equals(t, tc.took, time.Since(start))
				if tc.want == timedOut {
					testutil.Equals(t, "store g: series: wait budget used up: context deadline exceeded", r.warnings[0].Error())
					return
				}
				testutil.Equals(t, 2, len(r.series))
				testutil.Equals(t, 0, len(r.warnings))
				testutil.Assert(t, out.Complete())
			})
		})
	}
}

// Hedges are for the few: where all replicas are slow they would double the load
// that makes them so.
func TestHedgesAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		slow := &counted{Store: paced(time.Second, series("1"))}
		f := newFanout(t, &fanout.Options{HedgeDelay: 10 * time.Millisecond, Registerer: reg}, grouped(slow, slow)...)
		for range 100 {
			_, _, err := outcomeOf(t, f, store.Abort)
			testutil.Ok(t, err)
		}
		// Ten were saved up, and each ten calls pay for one more.
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanoskit_fanout_hedges_total Replicas of declared groups that were asked because another one was slow.
# TYPE thanoskit_fanout_hedges_total counter
thanoskit_fanout_hedges_total 19
`), "thanoskit_fanout_hedges_total"))
		testutil.Equals(t, int64(119), slow.asked.Load())
	})
}

// A loser stops at once, whatever it does.
func TestHedgeStopsTheLoser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var refused error
		stopped := make(chan time.Time, 1)
		loser := store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			<-ctx.Done()
			refused = w.Send(series("0"))
			stopped <- time.Now()
			return nil
		})
		f := newFanout(t, &fanout.Options{HedgeDelay: time.Second}, grouped(loser, paced(time.Second, series("1"), series("2")))...)
		out, r, err := outcomeOf(t, f, store.Abort)
		testutil.Ok(t, err)
		testutil.Equals(t, time.Second, time.Since(<-stopped)) // of three
		testutil.NotOk(t, refused)
		testutil.Equals(t, 2, len(r.series))
		testutil.Equals(t, "g answered, g/a pruned: "+store.PrunedByReplica+", g/b answered", statuses(out))
	})
}

func TestHedgeLabels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := answers{Store: sends(), values: []string{"slow"}, takes: time.Minute}
		fast := answers{Store: sends(), values: []string{"fast"}, takes: time.Second}
		f := newFanout(t, &fanout.Options{WaitBudget: 10 * time.Second}, grouped(slow, fast)...)
		start := time.Now()
		got, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{Strategy: store.Abort})
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"fast"}, got)
		testutil.Equals(t, 6*time.Second, time.Since(start))
	})
}

// A member's own time, and its own wait budget, bind it alone.
func TestTimesOfMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{}
		members := named(hangs(tr), hangs(tr), paced(400*time.Millisecond, series("1"), series("2"), series("3")), paced(2*time.Second, series("4")))
		members[0].Deadline = 300 * time.Millisecond
		members[1].WaitBudget = 200 * time.Millisecond
		members[2].Deadline = time.Second
		members[3].WaitBudget = time.Minute
		f := newFanout(t, &fanout.Options{WaitBudget: 1500 * time.Millisecond}, members...)
		start := time.Now()
		out, r, err := outcomeOf(t, f, store.Warn)
		testutil.Ok(t, err)
		testutil.Equals(t, 2*time.Second, time.Since(start))
		testutil.Equals(t, "a timed out, b timed out, c timed out, d answered", statuses(out))
		testutil.Equals(t, 3, len(r.series)) // two of c
		m := out.Members()
		testutil.Equals(t, []string{
			"store a: series: deadline exceeded: context deadline exceeded",
			"store b: series: wait budget used up: context deadline exceeded",
			"store c: series: deadline exceeded: context deadline exceeded",
		}, texts([]error{m[0].Err, m[1].Err, m[2].Err}))
		testutil.Equals(t, []time.Duration{300 * time.Millisecond, time.Second}, []time.Duration{m[0].Duration, m[2].Duration})

		labelers := named(answers{Store: sends(), takes: time.Minute}, answers{Store: sends(), takes: time.Minute}, answers{Store: sends(), values: []string{"x"}})
		labelers[0].Deadline, labelers[1].WaitBudget = time.Second, 2*time.Second
		f = newFanout(t, nil, labelers...)
		start = time.Now()
		lout := &store.Outcome{}
		_, err = f.LabelNames(t.Context(), &store.LabelNamesRequest{Outcome: lout})
		testutil.Ok(t, err)
		testutil.Equals(t, "a timed out, b timed out, c answered", statuses(lout))
		testutil.Equals(t, 2*time.Second, time.Since(start))
	})
}

// deaf is a Store that does not heed its context.
type deaf struct {
	release chan struct{}
	first   []*store.Series
}

func (d deaf) Series(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	for _, s := range d.first {
		if err := w.Send(copyOf(s)); err != nil {
			return err
		}
	}
	<-d.release
	return errors.Join(w.Send(series("9")), w.Warn(errDown))
}

func (d deaf) LabelNames(context.Context, *store.LabelNamesRequest) ([]string, error) {
	<-d.release
	return []string{"deaf"}, nil
}

func (d deaf) LabelValues(context.Context, *store.LabelValuesRequest) ([]string, error) {
	<-d.release
	return []string{"deaf"}, nil
}

// A member that ignores that it was canceled holds up a call for a second, and is
// not asked any more once too many of its calls go on.
func TestDeafMember(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		deadline, budget, cancel time.Duration
		want                     string
		cause                    string
	}{
		"deadline":    {deadline: time.Second, want: "a timed out, b answered", cause: "store a: series: deadline exceeded: context deadline exceeded"},
		"wait budget": {budget: time.Second, want: "a timed out, b answered", cause: "store a: series: wait budget used up: context deadline exceeded"},
		"caller":      {cancel: time.Second, want: "a canceled, b answered", cause: "context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				abandoned := func(n string) {
					t.Helper()
					testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanoskit_fanout_abandoned_calls Calls to members that go on although they were canceled and nobody waits for them.
# TYPE thanoskit_fanout_abandoned_calls gauge
thanoskit_fanout_abandoned_calls `+n+"\n"), "thanoskit_fanout_abandoned_calls"))
				}
				d := deaf{make(chan struct{}), []*store.Series{series("1")}}
				members := named(d, sends(series("2")))
				members[0].Deadline, members[0].WaitBudget = tc.deadline, tc.budget
				f := newFanout(t, &fanout.Options{Registerer: reg}, members...)
				ctx := t.Context()
				if tc.cancel > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.cancel)
					defer cancel()
				}
				start := time.Now()
				req, r := all(), &frameReader{}
				err := f.Series(ctx, req, r)
				testutil.Equals(t, 2*time.Second, time.Since(start))
				testutil.Equals(t, tc.cancel > 0, err != nil)
				testutil.Equals(t, tc.want, statuses(req.Outcome))
				testutil.Equals(t, tc.cause, req.Outcome.Members()[0].Err.Error())
				if tc.cancel == 0 {
					testutil.Equals(t, 2, len(r.series))
					start = time.Now()
					names, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{})
					testutil.Ok(t, err)
					testutil.Equals(t, []string{"__name__"}, names)
					testutil.Equals(t, 2*time.Second, time.Since(start))
					abandoned("2")
					for range 15 {
						_, _, err := outcomeOf(t, f, store.Warn)
						testutil.Ok(t, err)
					}
					abandoned("16")
					start = time.Now()
					out, _, err := outcomeOf(t, f, store.Warn)
					testutil.Ok(t, err)
					testutil.Equals(t, "a failed, b answered", statuses(out))
					testutil.Equals(t, "store a: series: store unavailable: 16 calls do not end although they were canceled", out.Members()[0].Err.Error())
					testutil.Equals(t, time.Duration(0), time.Since(start))
				}
				close(d.release)
				synctest.Wait()
				abandoned("0")
				out, _, err := outcomeOf(t, f, store.Abort)
				testutil.NotOk(t, err) // it warns
				testutil.Equals(t, store.Failed, out.Members()[0].Status)
			})
		})
	}
}

// A group goes on with another replica; and one that describes itself to nobody
// becomes unhealthy.
func TestDeafReplica(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		members := grouped(deaf{release: release}, sends(series("1")))
		members[0].Deadline = time.Second
		mute := describing{sends(series("2")), func(context.Context) (store.Info, error) {
			<-release
			return store.Info{}, nil
		}}
		f := newFanout(t, &fanout.Options{HedgeDelay: time.Hour, InfoTimeout: 500 * time.Millisecond}, append(members, fanout.Member{Name: "mute", Store: mute})...)
		start := time.Now()
		out, r, err := outcomeOf(t, f, store.Warn)
		testutil.Ok(t, err)
		testutil.Equals(t, "g answered, g/a pruned: "+store.PrunedByReplica+", g/b answered, mute failed", statuses(out))
		testutil.Equals(t, 1, len(r.series))
		testutil.Equals(t, 2500*time.Millisecond, time.Since(start)) // mute had its grace, and the deaf has
		close(release)
		synctest.Wait()
		testutil.Ok(t, f.Sync(t.Context()))
		out, _, err = outcomeOf(t, f, store.Abort)
		testutil.Ok(t, err)
		testutil.Equals(t, "g answered, g/b answered, mute answered", statuses(out))
	})
}
