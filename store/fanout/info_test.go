package fanout_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// patient is a member whose Info the test sets.
type patient struct {
	store.Store
	asked atomic.Int64
	info  atomic.Pointer[store.Info]
	err   atomic.Pointer[error]
	takes time.Duration
}

func newPatient(info store.Info, ss ...*store.Series) *patient {
	p := &patient{Store: sends(ss...)}
	p.info.Store(&info)
	return p
}

func (p *patient) fail(err error) { p.err.Store(&err) }
func (p *patient) heal()          { p.err.Store(nil) }

func (p *patient) Describe(ctx context.Context) (store.Info, error) {
	p.asked.Add(1)
	if p.takes > 0 {
		if err := sleep(ctx, p.takes); err != nil {
			return store.Info{}, err
		}
	}
	if err := p.err.Load(); err != nil {
		return store.Info{}, *err
	}
	return *p.info.Load(), nil
}

func infoOf(cluster string) store.Info {
	return store.Info{Component: "sidecar", LabelSets: []labels.Labels{labels.FromStrings("cluster", cluster)}, MinTime: 1, MaxTime: math.MaxInt64}
}

// ask asks for everything that matches and returns what became of members.
func ask(t *testing.T, f *fanout.Store, ms ...*labels.Matcher) string {
	t.Helper()
	req := all()
	req.Matchers = ms
	testutil.Ok(t, f.Series(t.Context(), req, &frameReader{}))
	return statuses(req.Outcome)
}

func TestRunFollowsHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a, b := newPatient(infoOf("eu")), newPatient(infoOf("us"))
		f := newFanout(t, &fanout.Options{InfoInterval: time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))}, named(a, b)...)
		testutil.Equals(t, "not yet described", errors.Unwrap(f.Health()[0].Err).Error())
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- f.Run(ctx) }()
		synctest.Wait()
		h := f.Health()
		testutil.Equals(t, "a", h[0].Member)
		testutil.Ok(t, h[0].Err)
		testutil.Equals(t, infoOf("eu"), h[0].Info)
		testutil.Equals(t, time.Now(), h[0].Checked)
		testutil.Equals(t, time.Now(), h[0].InfoTime)

		a.fail(errDown)
		described := time.Now()
		<-time.After(time.Second)
		synctest.Wait()
		h = f.Health()
		testutil.Equals(t, "store a: info: store unavailable: connection refused", h[0].Err.Error())
		testutil.Assert(t, errors.Is(h[0].Err, store.ErrUnavailable) && errors.Is(h[0].Err, errDown))
		testutil.Equals(t, infoOf("eu"), h[0].Info)
		testutil.Equals(t, described, h[0].InfoTime)
		testutil.Equals(t, time.Now(), h[0].Checked)
		testutil.Equals(t, "a failed, b answered", ask(t, f))
		// Whoever wants what it has not need not care.
		testutil.Equals(t, "a pruned: "+store.PrunedByLabels+", b answered", ask(t, f, eq("cluster", "us")))

		<-time.After(10 * time.Second)
		a.heal()
		eu := infoOf("asia")
		a.info.Store(&eu)
		<-time.After(time.Second)
		synctest.Wait()
		testutil.Equals(t, "a answered, b pruned: "+store.PrunedByLabels, ask(t, f, eq("cluster", "asia")))
		testutil.Equals(t, int64(13), b.asked.Load())

		cancel()
		testutil.Ok(t, <-ran)
		testutil.Equals(t, 1, strings.Count(log.String(), `msg="member became unhealthy" store=a err="store a: info: store unavailable: connection refused"`))
		testutil.Equals(t, 1, strings.Count(log.String(), `msg="member became healthy" store=a`))
		testutil.Equals(t, 2, strings.Count(log.String(), "\n"))
	})
}

func TestRunIsNotHeldUpByOneMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow, good := newPatient(infoOf("eu")), newPatient(infoOf("us"))
		slow.takes = time.Hour
		f := newFanout(t, &fanout.Options{InfoInterval: time.Second, InfoTimeout: 3 * time.Second}, named(slow, good)...)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- f.Run(ctx) }()
		<-time.After(time.Minute)
		synctest.Wait()
		testutil.Assert(t, errors.Is(f.Health()[0].Err, context.DeadlineExceeded), "%v", f.Health()[0].Err)
		testutil.Assert(t, time.Since(f.Health()[1].Checked) <= 3*time.Second)
		// No request waits for it.
		start := time.Now()
		testutil.Equals(t, "a failed, b answered", ask(t, f))
		testutil.Equals(t, start, time.Now())
		cancel()
		testutil.Ok(t, <-ran)
	})
}

func TestSync(t *testing.T) {
	t.Parallel()
	a, b := newPatient(infoOf("eu")), newPatient(infoOf("us"))
	f := newFanout(t, nil, named(a, b, sends(), a)...)
	testutil.Ok(t, f.Sync(t.Context()))
	testutil.Ok(t, f.Sync(t.Context()))
	testutil.Equals(t, int64(4), a.asked.Load())
	testutil.Equals(t, int64(2), b.asked.Load())
	a.fail(errDown)
	testutil.Equals(t, "store a: info: store unavailable: connection refused\nstore d: info: store unavailable: connection refused",
		f.Sync(t.Context()).Error())
	testutil.Ok(t, f.Health()[1].Err)
	testutil.Ok(t, f.Health()[2].Err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	testutil.Equals(t, context.Canceled, f.Sync(ctx))
}

// Without Run, requests keep what is known recent enough, and ask once.
func TestInfoOnUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPatient(infoOf("eu"))
		a.takes = 10 * time.Millisecond
		f := newFanout(t, &fanout.Options{InfoInterval: time.Second, InfoTimeout: time.Second}, named(a)...)
		done := make(chan struct{})
		for range 10 {
			go func() {
				defer func() { done <- struct{}{} }()
				req := all()
				testutil.Ok(t, f.Series(t.Context(), req, &frameReader{}))
				testutil.Equals(t, "a answered", statuses(req.Outcome))
			}()
		}
		for range 10 {
			<-done
		}
		testutil.Equals(t, int64(1), a.asked.Load())
		<-time.After(2990 * time.Millisecond) // twice the interval, and the timeout
		ask(t, f)
		testutil.Equals(t, int64(1), a.asked.Load())
		us := infoOf("us")
		a.info.Store(&us)
		<-time.After(20 * time.Millisecond)
		testutil.Equals(t, "a pruned: "+store.PrunedByLabels, ask(t, f, eq("cluster", "eu")))
		testutil.Equals(t, int64(2), a.asked.Load())
	})
}

// One that asks and gives up leaves the question to the next.
func TestSharedQuestionOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newPatient(infoOf("eu"))
		a.takes = 100 * time.Millisecond
		f := newFanout(t, nil, named(a)...)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		first := make(chan error)
		go func() { first <- f.Sync(ctx) }()
		synctest.Wait()
		second := make(chan error)
		go func() { second <- f.Sync(t.Context()) }()
		testutil.Equals(t, context.DeadlineExceeded, <-first)
		testutil.Ok(t, <-second)
		testutil.Equals(t, int64(2), a.asked.Load())
		testutil.Ok(t, f.Health()[0].Err)
	})
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	eu, us := labels.FromStrings("cluster", "eu"), labels.FromStrings("cluster", "us")
	tsdb := func(lset labels.Labels) store.TSDBInfo { return store.TSDBInfo{Labels: lset, MinTime: 1, MaxTime: 2} }
	can := store.Info{Component: "query", SupportsSharding: true, SupportsWithoutReplicaLabels: true}
	is := func(mint, maxt int64, sets ...labels.Labels) store.Info {
		i := can
		i.MinTime, i.MaxTime, i.LabelSets = mint, maxt, sets
		return i
	}
	withTSDBs := func(i store.Info, tsdbs ...store.TSDBInfo) store.Info {
		i.TSDBs = tsdbs
		return i
	}
	down := describing{sends(), func(context.Context) (store.Info, error) { return store.Info{}, errDown }}
	for name, tc := range map[string]struct {
		members []store.Store
		want    store.Info
	}{
		"none": {nil, can},
		"union": {
			[]store.Store{
				withInfo(sends(), withTSDBs(store.Info{LabelSets: []labels.Labels{eu}, MinTime: 5, MaxTime: 10}, tsdb(eu))),
				withInfo(sends(), withTSDBs(store.Info{LabelSets: []labels.Labels{us, eu}, MinTime: 3, MaxTime: 4}, tsdb(us))),
			},
			withTSDBs(is(3, 10, eu, us), tsdb(eu), tsdb(us)),
		},
		"one says nothing": {
			[]store.Store{withInfo(sends(), store.Info{LabelSets: []labels.Labels{eu}, MinTime: 5, MaxTime: 10}), sends()}, can,
		},
		"one without labels": {
			[]store.Store{
				withInfo(sends(), store.Info{LabelSets: []labels.Labels{eu}, MinTime: 5, MaxTime: 10}),
				withInfo(sends(), store.Info{LabelSets: []labels.Labels{labels.EmptyLabels()}, MinTime: 7, MaxTime: 11}),
			},
			is(5, 11),
		},
		"one unhealthy, never seen": {
			[]store.Store{withInfo(sends(), store.Info{LabelSets: []labels.Labels{eu}, MinTime: 5, MaxTime: 10}), down}, can,
		},
		"one empty so far": {
			[]store.Store{
				withInfo(sends(), store.Info{LabelSets: []labels.Labels{eu}, MinTime: 5, MaxTime: 10}),
				withInfo(sends(), store.Info{LabelSets: []labels.Labels{us}, MinTime: math.MaxInt64, MaxTime: math.MinInt64}),
			},
			is(5, 10, eu, us),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newFanout(t, nil, named(tc.members...)...).Describe(t.Context())
			testutil.Ok(t, err)
			testutil.Equals(t, tc.want, got)
		})
	}
}

// What an unhealthy member has is still announced: it is missing, and not
// non-existent.
func TestDescribeKeepsUnhealthyMembers(t *testing.T) {
	t.Parallel()
	a, b := newPatient(infoOf("eu")), newPatient(infoOf("us"))
	inner := newFanout(t, nil, named(a, b)...)
	outer := newFanout(t, nil, fanout.Member{Name: "in", Store: inner})
	testutil.Ok(t, outer.Sync(t.Context()))
	b.fail(errDown)
	testutil.NotOk(t, inner.Sync(t.Context()))
	testutil.Ok(t, outer.Sync(t.Context()))
	testutil.Equals(t, "in answered, in/a pruned: "+store.PrunedByLabels+", in/b failed", ask(t, outer, eq("cluster", "us")))
	testutil.Equals(t, "in pruned: "+store.PrunedByLabels, ask(t, outer, eq("cluster", "asia")))
}

// What an unhealthy member had may have grown since, but hardly its labels.
func TestUnhealthyMemberIsPrunedByLabelsOnly(t *testing.T) {
	t.Parallel()
	info := infoOf("eu")
	info.MinTime, info.MaxTime = 100, 200
	a := newPatient(info)
	f := newFanout(t, nil, named(a)...)
	outcome := func(mint, maxt int64, ms ...*labels.Matcher) string {
		out := &store.Outcome{}
		testutil.Ok(t, f.Series(t.Context(), &store.SeriesRequest{MinTime: mint, MaxTime: maxt, Matchers: ms, Outcome: out}, &frameReader{}))
		return statuses(out)
	}
	testutil.Equals(t, "a pruned: "+store.PrunedByTime, outcome(201, 300))
	a.fail(errDown)
	testutil.NotOk(t, f.Sync(t.Context()))
	testutil.Equals(t, "a failed", outcome(201, 300))
	testutil.Equals(t, "a failed", outcome(201, 300, eq("cluster", "eu")))
	testutil.Equals(t, "a pruned: "+store.PrunedByLabels, outcome(201, 300, eq("cluster", "us")))
}

// shifting is a Source that changes.
type shifting struct {
	members atomic.Pointer[[]fanout.Member]
}

func (s *shifting) set(members ...fanout.Member) { s.members.Store(&members) }
func (s *shifting) Members() []fanout.Member     { return *s.members.Load() }

func TestMembersChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a, b := newPatient(infoOf("eu")), newPatient(infoOf("us"))
		src := &shifting{}
		src.set(fanout.Member{Name: "a", Store: a})
		f, err := fanout.New(src, &fanout.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		testutil.Ok(t, err)
		testutil.Equals(t, "a answered", ask(t, f))

		// The same name is the same member: what it said still holds.
		src.set(fanout.Member{Name: "b", Store: b}, fanout.Member{Name: "a", Store: a})
		testutil.Equals(t, "b answered, a answered", ask(t, f))
		testutil.Equals(t, int64(1), a.asked.Load())

		src.set(fanout.Member{Name: "a", Store: a}, fanout.Member{Name: "a", Store: b}, fanout.Member{Name: "c"}, fanout.Member{Store: b})
		testutil.Equals(t, "a answered, a failed, c failed,  failed", ask(t, f))
		h := f.Health()
		testutil.Equals(t, []string{
			"store a: info: more than one member has this name", "store c: info: member without a Store", "store : info: member without a name",
		}, texts([]error{h[1].Err, h[2].Err, h[3].Err}))
		testutil.Equals(t, 3, strings.Count(log.String(), "member cannot be asked"))

		src.set()
		req, r := all(), &frameReader{}
		testutil.Ok(t, f.Series(t.Context(), req, r))
		testutil.Equals(t, []error{store.ErrNoStores}, r.warnings)
	})
}

func TestNewRejects(t *testing.T) {
	t.Parallel()
	_, err := fanout.New(nil, nil)
	testutil.Equals(t, "make fan-out: no source of members", err.Error())
	_, err = fanout.New(
		fanout.Static(fanout.Member{Name: "a", Store: sends()}, fanout.Member{Name: "a", Store: sends()}, fanout.Member{}, fanout.Member{Name: "x"}),
		&fanout.Options{BufferBytes: -1, InfoInterval: -1, InfoTimeout: -1, RemoveAfter: -1, HedgeDelay: -1, WaitBudget: -1},
	)
	testutil.Equals(t, strings.Join([]string{
		"make fan-out: options: BufferBytes is negative", "options: InfoInterval is negative", "options: InfoTimeout is negative",
		"options: RemoveAfter is negative", "options: HedgeDelay is negative", "options: WaitBudget is negative", `member 1 ("a"): more than one member has this name`, `member 2 (""): member without a name`,
		`member 3 ("x"): member without a Store`,
	}, "\n"), err.Error())
}
