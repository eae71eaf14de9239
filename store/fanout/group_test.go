package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// counted is a Store that counts how often it is asked.
type counted struct {
	store.Store
	asked atomic.Int64
}

func (c *counted) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	c.asked.Add(1)
	return c.Store.Series(ctx, req, w)
}

// grouped makes members called a, b, c, ... of one declared group, g.
func grouped(stores ...store.Store) []fanout.Member {
	out := named(stores...)
	for i := range out {
		out[i].Group = "g"
	}
	return out
}

func failing(err error) store.Store {
	return store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return err })
}

// outcomeOf asks for everything and returns what became of members.
func outcomeOf(t *testing.T, f *fanout.Store, strategy store.PartialResponseStrategy) (*store.Outcome, *frameReader, error) {
	t.Helper()
	req, r := all(), &frameReader{}
	req.Strategy = strategy
	err := f.Series(t.Context(), req, r)
	return req.Outcome, r, err
}

// Replicas of a group are asked once in sum, and take turns.
func TestGroupIsAskedOnce(t *testing.T) {
	t.Parallel()
	a, b := &counted{Store: sends(series("1", chunk(1, 2, "x")))}, &counted{Store: sends(series("1", chunk(1, 2, "x")))}
	f := newFanout(t, nil, append(grouped(a, b), fanout.Member{Name: "other", Store: sends(series("2"))})...)
	for range 10 {
		out, r, err := outcomeOf(t, f, store.Abort)
		testutil.Ok(t, err)
		testutil.Equals(t, 2, len(r.series))
		s := statuses(out)
		testutil.Assert(t, s == "g answered, g/a answered, other answered" || s == "g answered, g/b answered, other answered", s)
		testutil.Assert(t, out.Complete())
		g, replica := out.Members()[0], out.Members()[1]
		testutil.Equals(t, []int64{1, 1}, []int64{g.Series, g.Chunks})
		testutil.Equals(t, []int64{g.Series, g.Chunks, g.Bytes}, []int64{replica.Series, replica.Chunks, replica.Bytes})
	}
	testutil.Equals(t, []int64{5, 5}, []int64{a.asked.Load(), b.asked.Load()})
}

// Equal Info does not make replicas: gateways sharded by block announce the same.
func TestEqualInfoIsNoGroup(t *testing.T) {
	t.Parallel()
	f := newFanout(t, nil, named(newPatient(infoOf("eu"), series("1")), newPatient(infoOf("eu"), series("2")))...)
	out, r, err := outcomeOf(t, f, store.Abort)
	testutil.Ok(t, err)
	testutil.Equals(t, "a answered, b answered", statuses(out))
	testutil.Equals(t, 2, len(r.series))
}

// A call goes to the replica that runs the fewest.
func TestGroupPrefersTheIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		busy := &counted{Store: store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
			<-release
			return nil
		})}
		idle := &counted{Store: sends(series("1"))}
		f := newFanout(t, nil, grouped(busy, idle)...)
		var calls sync.WaitGroup
		for busy.asked.Load() == 0 {
			calls.Go(func() { _, _, _ = outcomeOf(t, f, store.Warn) })
			synctest.Wait()
		}
		before := idle.asked.Load()
		for range 10 {
			_, _, err := outcomeOf(t, f, store.Abort)
			testutil.Ok(t, err)
		}
		testutil.Equals(t, []int64{1, 10}, []int64{busy.asked.Load(), idle.asked.Load() - before})
		close(release)
		calls.Wait()
	})
}

// TestGroupFailover has one bad replica, which is asked first, and one good one.
func TestGroupFailover(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	s1, s2 := series("1", chunk(1, 2, "x")), series("2", chunk(1, 2, "y"))
	dies := func(err error, ss ...*store.Series) store.Store {
		return store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			if err := tr.sendFrame(w, ss...); err != nil {
				return err
			}
			return err
		})
	}
	warns := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		if err := w.Warn(errors.New("slow disk")); err != nil {
			return err
		}
		return errDown
	})
	answered := "g answered, g/a pruned: " + store.PrunedByReplica + ", g/b answered"
	for name, tc := range map[string]struct {
		bad      store.Store
		want     string
		warnings []string
		lost     int // of 2 series
		cause    error
	}{
		"refuses":         {bad: failing(errDown), want: answered, cause: errDown},
		"panics":          {bad: store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { panic(errDown) }), want: answered, cause: errDown},
		"warns and fails": {bad: warns, want: answered, cause: errDown},
		"dies after a frame": {
			bad: dies(errDown, s1), want: "g failed, g/a failed", lost: 1,
			warnings: []string{"store g/a: series: connection refused"},
		},
		"sends out of order": {
			bad: dies(nil, s2, s1), want: "g failed, g/a failed", lost: 1,
			warnings: []string{`store g/a: series: series out of order: {__name__="1"} after {__name__="2"}`},
		},
		"cannot answer": { // nor could the other
			bad: failing(fmt.Errorf("no: %w", store.ErrInvalidRequest)), want: "g failed, g/a failed", lost: 2,
			warnings: []string{"store g/a: series: no: invalid request"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFanout(t, nil, append(grouped(tc.bad, sendsFrames(tr, 1, s1, s2)), fanout.Member{Name: "z", Store: sends(series("3"))})...)
			out, r, err := outcomeOf(t, f, store.Warn)
			testutil.Ok(t, err)
			testutil.Equals(t, tc.want+", z answered", statuses(out))
			testutil.Equals(t, 3-tc.lost, len(r.series))
			testutil.Equals(t, fmt.Sprint(tc.warnings), fmt.Sprint(texts(r.warnings)))
			testutil.Equals(t, len(tc.warnings) == 0, out.Complete())
			if tc.cause != nil {
				testutil.Assert(t, errors.Is(out.Members()[1].Err, tc.cause), "%v", out.Members()[1].Err)
				return
			}
			// It is asked first once more, since the two take turns; and again.
			f = newFanout(t, nil, grouped(tc.bad, sendsFrames(tr, 1, s1, s2))...)
			_, r, err = outcomeOf(t, f, store.Abort)
			testutil.Equals(t, tc.warnings[0], err.Error())
			testutil.Equals(t, 0, len(r.warnings))
			tr.noneAlive(t)
		})
	}
}

func TestGroupAllFail(t *testing.T) {
	t.Parallel()
	f := newFanout(t, nil, grouped(failing(errDown), failing(errors.New("no route to host")))...)
	out, r, err := outcomeOf(t, f, store.Warn)
	testutil.Ok(t, err)
	testutil.Equals(t, "g failed, g/a failed, g/b failed", statuses(out))
	const text = "store g: series: no replica answers: store g/a: series: connection refused; store g/b: series: no route to host"
	testutil.Equals(t, []string{text}, texts(r.warnings))
	testutil.Assert(t, errors.Is(r.warnings[0], errDown))
}

// With Abort a loss that a replica tells of before it sends anything is one more
// reason to ask the other.
func TestGroupRetriesLossesIfNothingMayBeMissing(t *testing.T) {
	t.Parallel()
	loses := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		if err := w.Warn(errDown); err != nil {
			return err
		}
		return w.Send(series("1"))
	})
	f := newFanout(t, nil, grouped(loses, sends(series("1"), series("2")))...)
	out, r, err := outcomeOf(t, f, store.Abort)
	testutil.Ok(t, err)
	testutil.Equals(t, "g answered, g/a pruned: "+store.PrunedByReplica+", g/b answered", statuses(out))
	testutil.Equals(t, 2, len(r.series))

	f = newFanout(t, nil, grouped(loses, sends(series("1"), series("2")))...)
	out, r, err = outcomeOf(t, f, store.Warn)
	testutil.Ok(t, err)
	testutil.Equals(t, "g answered, g/a answered", statuses(out))
	testutil.Equals(t, []string{"store g/a: series: connection refused"}, texts(r.warnings))
	testutil.Assert(t, !out.Complete())
}

// One that failed draws no calls for a while, though it is the least busy.
func TestGroupAvoidsTheFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad, good := &counted{Store: failing(errDown)}, &counted{Store: sends(series("1"))}
		reg := prometheus.NewRegistry()
		f := newFanout(t, &fanout.Options{InfoInterval: time.Second, Registerer: reg}, grouped(bad, good)...)
		for range 10 {
			_, _, err := outcomeOf(t, f, store.Abort)
			testutil.Ok(t, err)
		}
		testutil.Equals(t, []int64{1, 10}, []int64{bad.asked.Load(), good.asked.Load()})
		<-time.After(time.Second)
		for range 10 {
			_, _, err := outcomeOf(t, f, store.Abort)
			testutil.Ok(t, err)
		}
		testutil.Equals(t, []int64{2, 20}, []int64{bad.asked.Load(), good.asked.Load()})
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanoskit_fanout_retries_total Replicas of declared groups that were asked because another one failed.
# TYPE thanoskit_fanout_retries_total counter
thanoskit_fanout_retries_total 2
`), "thanoskit_fanout_retries_total"))
	})
}

// Unhealthy replicas are not asked, but for want of another that answers.
func TestGroupHealth(t *testing.T) {
	t.Parallel()
	a, b := newPatient(infoOf("eu"), series("1")), newPatient(infoOf("eu"), series("1"))
	down := atomic.Bool{}
	second := struct {
		store.Store
		store.Describer
	}{store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		if down.Load() {
			return errDown
		}
		return b.Series(ctx, req, w)
	}), b}
	f := newFanout(t, nil, grouped(a, second)...)
	a.fail(errDown)
	for range 4 { // also while b is not yet known
		out, _, err := outcomeOf(t, f, store.Abort)
		testutil.Ok(t, err)
		testutil.Equals(t, "g answered, g/b answered", statuses(out))
	}
	// What seemed healthy fails: the other may be back already.
	down.Store(true)
	out, _, err := outcomeOf(t, f, store.Abort)
	testutil.Ok(t, err)
	testutil.Equals(t, "g answered, g/b pruned: "+store.PrunedByReplica+", g/a answered", statuses(out))

	b.fail(errors.New("no route to host"))
	testutil.NotOk(t, f.Sync(t.Context()))
	out, r, err := outcomeOf(t, f, store.Warn)
	testutil.Ok(t, err)
	testutil.Equals(t, "g failed", statuses(out))
	testutil.Equals(t, []string{"store g: info: no replica answers: store g/a: info: store unavailable: connection refused; " +
		"store g/b: info: store unavailable: no route to host"}, texts(r.warnings))
	testutil.Equals(t, "g pruned: "+store.PrunedByLabels, ask(t, f, eq("cluster", "us")))
}

// A group is pruned if all healthy replicas are; what one may hold, it is asked
// for.
func TestGroupPruning(t *testing.T) {
	t.Parallel()
	early, late := infoOf("eu"), infoOf("eu")
	early.MinTime, early.MaxTime = 100, 200
	late.MinTime, late.MaxTime = 150, 300
	a, b, c := newPatient(early, series("1")), newPatient(late, series("1")), newPatient(infoOf("eu"), series("1"))
	c.fail(errDown)
	f := newFanout(t, nil, grouped(a, b, c)...)
	testutil.NotOk(t, f.Sync(t.Context()))
	outcome := func(mint, maxt int64, ms ...*labels.Matcher) string {
		out := &store.Outcome{}
		testutil.Ok(t, f.Series(t.Context(), &store.SeriesRequest{MinTime: mint, MaxTime: maxt, Matchers: ms, Outcome: out}, &frameReader{}))
		return statuses(out)
	}
	for range 3 {
		testutil.Equals(t, "g answered, g/a answered", outcome(0, 120))
		testutil.Equals(t, "g answered, g/b answered", outcome(250, 400))
		testutil.Equals(t, "g pruned: "+store.PrunedByTime, outcome(301, 400))
		testutil.Equals(t, "g pruned: "+store.PrunedByLabels, outcome(0, 400, eq("cluster", "us")))
	}
	info, err := f.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []int64{100, 300}, []int64{info.MinTime, info.MaxTime})
	testutil.Equals(t, fmt.Sprint([]labels.Labels{labels.FromStrings("cluster", "eu")}), fmt.Sprint(info.LabelSets))
}

// TSDBs behind replicas are there once.
func TestGroupTSDBs(t *testing.T) {
	t.Parallel()
	tsdb := func(cluster string, mint int64) store.TSDBInfo {
		return store.TSDBInfo{Labels: labels.FromStrings("cluster", cluster), MinTime: mint, MaxTime: 10}
	}
	info := func(tsdbs ...store.TSDBInfo) store.Store { return withInfo(sends(), store.Info{TSDBs: tsdbs}) }
	f := newFanout(t, nil, append(grouped(info(tsdb("eu", 1), tsdb("us", 1)), info(tsdb("us", 1), tsdb("us", 5))),
		fanout.Member{Name: "z", Store: info(tsdb("eu", 1))})...)
	got, err := f.Describe(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, fmt.Sprint([]store.TSDBInfo{tsdb("eu", 1), tsdb("us", 1), tsdb("us", 5), tsdb("eu", 1)}), fmt.Sprint(got.TSDBs))
}

func TestGroupLabels(t *testing.T) {
	t.Parallel()
	bad, good := answers{Store: sends(), err: errDown}, answers{Store: sends(), values: []string{"x", "y"}}
	loses := answers{Store: sends(), values: []string{"x"}, warn: errDown}
	for name, tc := range map[string]struct {
		first    store.Store
		strategy store.PartialResponseStrategy
		want     string
		values   []string
		warnings int
	}{
		"fails":                         {bad, store.Abort, "g answered, g/a pruned: " + store.PrunedByReplica + ", g/b answered", good.values, 0},
		"good":                          {good, store.Abort, "g answered, g/a answered", good.values, 0},
		"loses":                         {loses, store.Warn, "g answered, g/a answered", loses.values, 1},
		"loses what may not be missing": {loses, store.Abort, "g answered, g/a pruned: " + store.PrunedByReplica + ", g/b answered", good.values, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFanout(t, nil, grouped(tc.first, good)...)
			out := &store.Outcome{}
			got, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{Strategy: tc.strategy, Outcome: out})
			testutil.Ok(t, err)
			testutil.Equals(t, tc.values, got)
			testutil.Equals(t, tc.want, statuses(out))
			testutil.Equals(t, tc.warnings, len(out.Warnings()))
		})
	}
	f := newFanout(t, nil, grouped(bad, bad)...)
	_, err := f.LabelNames(t.Context(), &store.LabelNamesRequest{Strategy: store.Abort})
	testutil.Equals(t, "store g: label names: no replica answers: store g/a: label names: connection refused; store g/b: label names: connection refused", err.Error())
}

// A replica that is a fan-out has members of its own, also below the group.
func TestGroupOfFanouts(t *testing.T) {
	t.Parallel()
	inner := func() store.Store { return newFanout(t, nil, named(sends(series("1")), failing(errDown))...) }
	f := newFanout(t, nil, grouped(inner(), inner())...)
	testutil.Ok(t, f.Sync(t.Context()))
	out, r, err := outcomeOf(t, f, store.Warn)
	testutil.Ok(t, err)
	testutil.Equals(t, "g answered, g/a answered, g/a/a answered, g/a/b failed", statuses(out))
	testutil.Equals(t, []string{"store g/a: series: store b: series: connection refused"}, texts(r.warnings))
}

// What is known of a group is kept when the Source yields it anew.
func TestGroupSurvivesChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad, good := &counted{Store: failing(errDown)}, &counted{Store: sends(series("1"))}
		src := &shifting{}
		src.set(grouped(bad, good)...)
		f, err := fanout.New(src, nil)
		testutil.Ok(t, err)
		for range 10 {
			src.set(grouped(bad, good)...)
			_, _, err := outcomeOf(t, f, store.Abort)
			testutil.Ok(t, err)
		}
		testutil.Equals(t, []int64{1, 10}, []int64{bad.asked.Load(), good.asked.Load()})
	})
}

func TestGroupNames(t *testing.T) {
	t.Parallel()
	_, err := fanout.New(fanout.Static(
		fanout.Member{Name: "g", Store: sends()}, fanout.Member{Name: "a", Group: "g", Store: sends()},
		fanout.Member{Name: "h", Group: "h", Store: sends()},
		fanout.Member{Name: "x", Store: sends(), Deadline: -1}, fanout.Member{Name: "y", Store: sends(), WaitBudget: -1},
		fanout.Member{Name: "g/b", Store: sends()}, fanout.Member{Name: "x/y/z", Store: sends()},
		fanout.Member{Name: "g/c", Group: "g", Store: sends()}, fanout.Member{Name: "unix:///x", Store: sends()},
	), nil)
	const nested = "name begins with that of another member and a slash, as those of its own members would"
	testutil.Equals(t, strings.Join([]string{
		`make fan-out: member 0 ("g"): a group has this name`, `member 3 ("x"): option Deadline is negative`, `member 4 ("y"): option WaitBudget is negative`,
		`member 5 ("g/b"): ` + nested, `member 6 ("x/y/z"): ` + nested,
	}, "\n"), err.Error())
}

// Under a load that never stops, replicas of which one is down at a time cost no
// query, and each query is one question.
func TestGroupUnderLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var down [3]atomic.Bool
		var asked, refused atomic.Int64
		replica := func(i int) store.Store {
			return store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
				if down[i].Load() {
					refused.Add(1)
					return errDown
				}
				asked.Add(1)
				if err := sleep(ctx, 50*time.Millisecond); err != nil {
					return err
				}
				return w.Send(series("1"))
			})
		}
		f := newFanout(t, nil, grouped(replica(0), replica(1), replica(2))...)
		ctx, stop := context.WithCancel(t.Context())
		var load sync.WaitGroup
		var queries atomic.Int64
		for range 10 {
			load.Go(func() {
				for ctx.Err() == nil {
					_, r, err := outcomeOf(t, f, store.Abort)
					testutil.Ok(t, err)
					testutil.Equals(t, 1, len(r.series))
					queries.Add(1)
				}
			})
		}
		const rounds = 6
		for i := range rounds {
			down[i%3].Store(true)
			<-time.After(time.Second)
			down[i%3].Store(false)
			<-time.After(time.Second)
		}
		stop()
		load.Wait()
		testutil.Equals(t, queries.Load(), asked.Load())
		testutil.Assert(t, refused.Load() >= 1 && refused.Load() <= rounds*10, "%d refused", refused.Load())
	})
}
