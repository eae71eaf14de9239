package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser/posrange"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// statuses shows what became of each member.
func statuses(o *store.Outcome) string {
	var out []string
	for _, m := range o.Members() {
		s := m.Member + " " + m.Status.String()
		if m.Reason != "" {
			s += ": " + m.Reason
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func texts(errs []error) []string {
	out := []string{}
	for _, err := range errs {
		out = append(out, err.Error())
	}
	return out
}

func eq(name, value string) *labels.Matcher {
	return labels.MustNewMatcher(labels.MatchEqual, name, value)
}

func TestPruning(t *testing.T) {
	t.Parallel()
	cluster := func(v string, mint, maxt int64) store.Info {
		return store.Info{LabelSets: []labels.Labels{labels.FromStrings("cluster", v)}, MinTime: mint, MaxTime: maxt}
	}
	f := newFanout(t, nil, named(
		withInfo(sends(series("eu")), cluster("eu", 100, 200)),
		withInfo(sends(series("us")), cluster("us", 201, math.MaxInt64)),
		withInfo(sends(series("mute")), store.Info{}),
		sends(series("plain")),
	)...)
	const byTime, byLabels = ": " + store.PrunedByTime, ": " + store.PrunedByLabels
	for name, tc := range map[string]struct {
		mint, maxt int64
		ms         []*labels.Matcher
		want       string
	}{
		"all":               {0, 500, nil, "a answered, b answered, c answered, d answered"},
		"bounds inclusive":  {200, 201, nil, "a answered, b answered, c answered, d answered"},
		"before":            {0, 99, nil, "a pruned" + byTime + ", b pruned" + byTime + ", c answered, d answered"},
		"after one":         {201, 300, nil, "a pruned" + byTime + ", b answered, c answered, d answered"},
		"label":             {0, 500, []*labels.Matcher{eq("cluster", "us")}, "a pruned" + byLabels + ", b answered, c answered, d answered"},
		"label of none":     {0, 500, []*labels.Matcher{eq("cluster", "")}, "a pruned" + byLabels + ", b pruned" + byLabels + ", c answered, d answered"},
		"label and time":    {0, 150, []*labels.Matcher{eq("cluster", "us")}, "a pruned" + byLabels + ", b pruned" + byTime + ", c answered, d answered"},
		"no external label": {0, 500, []*labels.Matcher{eq("job", "x")}, "a answered, b answered, c answered, d answered"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, strategy := range []store.PartialResponseStrategy{store.Warn, store.Abort} {
				out := &store.Outcome{}
				r := &frameReader{}
				testutil.Ok(t, f.Series(context.Background(), &store.SeriesRequest{
					MinTime: tc.mint, MaxTime: tc.maxt, Matchers: tc.ms, Strategy: strategy, Outcome: out,
				}, r))
				testutil.Equals(t, tc.want, statuses(out))
				testutil.Equals(t, strings.Count(tc.want, "answered"), len(r.series))
				testutil.Assert(t, out.Complete())
			}
		})
	}
}

var errDown = errors.New("connection refused")

// TestMemberFailure has one bad member beside two good ones.
func TestMemberFailure(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	s1, s2, s3 := series("1", chunk(1, 2, "x")), series("2", chunk(1, 2, "y")), series("3", chunk(1, 2, "z"))
	for name, tc := range map[string]struct {
		bad   store.Store
		cause string
		is    error
		lost  int // of the 3 series that it would have had
		op    string
	}{
		"dead at start": {
			bad: store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return errDown }),
			is:  errDown, cause: "connection refused", lost: 3,
		},
		"dies after frames": {
			bad: store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
				if err := tr.sendFrame(w, s1, s2); err != nil {
					return err
				}
				return errDown
			}),
			is: errDown, cause: "connection refused", lost: 1,
		},
		"dies after plain series": {
			bad: store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
				if err := w.Send(copyOf(s1)); err != nil {
					return err
				}
				return errDown
			}),
			is: errDown, cause: "connection refused", lost: 2,
		},
		"panics": {
			bad: store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { panic(errDown) }),
			is:  errDown, cause: "panic: connection refused", lost: 3,
		},
		"sends nothing": {
			bad: store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
				if err := w.Send(copyOf(s1)); err != nil {
					return err
				}
				return w.Send(nil)
			}),
			cause: "panic: runtime error: invalid memory address or nil pointer dereference", lost: 2,
		},
		"sends nothing at first": {
			bad:   store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error { return w.Send(nil) }),
			cause: "panic: runtime error: invalid memory address or nil pointer dereference", lost: 3,
		},
		"exits": {
			bad: store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
				if err := tr.sendFrame(w, s1); err != nil {
					return err
				}
				runtime.Goexit()
				return nil
			}),
			cause: "goroutine exited", lost: 2,
		},
		"unsorted within a frame": {
			bad: sendsFrames(tr, 3, s1, s3, s2), is: store.ErrUnsorted,
			cause: `series out of order: {__name__="2"} after {__name__="3"}`, lost: 1,
		},
		"unsorted across frames": {
			bad: sendsFrames(tr, 1, s2, s1, s3), is: store.ErrUnsorted,
			cause: `series out of order: {__name__="1"} after {__name__="2"}`, lost: 2,
		},
		"unsorted plain series": {
			bad: sends(s3, s2, s1), is: store.ErrUnsorted,
			cause: `series out of order: {__name__="2"} after {__name__="3"}`, lost: 2,
		},
		"cannot be described": {
			bad: describing{sends(s1, s2, s3), func(context.Context) (store.Info, error) { return store.Info{}, errDown }},
			is:  errDown, cause: "store unavailable: connection refused", lost: 3, op: "info",
		},
		"unavailable": {
			bad: describing{sends(s1, s2, s3), func(context.Context) (store.Info, error) { return store.Info{}, store.ErrUnavailable }},
			is:  store.ErrUnavailable, cause: "store unavailable", lost: 3, op: "info",
		},
		"panics when described": {
			bad: describing{sends(s1, s2, s3), func(context.Context) (store.Info, error) { panic("no") }},
			is:  store.ErrUnavailable, cause: "store unavailable: panic: no", lost: 3, op: "info",
		},
	} {
		t.Run(name, func(t *testing.T) {
			op := tc.op
			if op == "" {
				op = "series"
			}
			text := "store b: " + op + ": " + tc.cause
			check := func(err error) {
				t.Helper()
				testutil.NotOk(t, err)
				testutil.Equals(t, text, err.Error())
				var serr *store.Error
				testutil.Assert(t, errors.As(err, &serr) && serr.Store == "b" && serr.Op == op)
				testutil.Assert(t, tc.is == nil || errors.Is(err, tc.is))
			}
			good := sendsFrames(tr, 1, series("0", chunk(1, 2, "v")), series("4", chunk(1, 2, "w")))
			f := newFanout(t, nil, named(good, tc.bad, sends(series("5")))...)
			for range 2 { // the second time with what the first found out
				req, r := all(), &frameReader{}
				testutil.Ok(t, f.Series(context.Background(), req, r))
				testutil.Equals(t, 3+3-tc.lost, len(r.series))
				testutil.Equals(t, 1, len(r.warnings))
				check(r.warnings[0])
				testutil.Equals(t, "a answered, b failed, c answered", statuses(req.Outcome))
				check(req.Outcome.Members()[1].Err)
				testutil.Assert(t, !req.Outcome.Complete())
				tr.noneAlive(t)

				req, r = all(), &frameReader{}
				req.Strategy = store.Abort
				check(f.Series(context.Background(), req, r))
				testutil.Equals(t, 0, len(r.warnings))
				testutil.Equals(t, store.Failed, req.Outcome.Members()[1].Status)
				check(req.Outcome.Members()[1].Err)
				tr.noneAlive(t)
			}
		})
	}
}

// The call ends when the failure happens, not when the merge comes to it.
func TestAbortCancelsTheOthers(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	fails := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		if err := tr.sendFrame(w, series("5")); err != nil {
			return err
		}
		return errDown
	})
	f := newFanout(t, nil, named(hangs(tr, series("0")), fails)...)
	req := all()
	req.Strategy = store.Abort
	err := f.Series(context.Background(), req, &frameReader{})
	testutil.Assert(t, errors.Is(err, errDown), "%v", err)
	testutil.Equals(t, "a canceled, b failed", statuses(req.Outcome))
	testutil.Equals(t, err, req.Outcome.Members()[0].Err)
	tr.noneAlive(t)
}

func TestUnhealthyMemberAbortsBeforeAnyIsAsked(t *testing.T) {
	t.Parallel()
	bad := describing{sends(), func(context.Context) (store.Info, error) { return store.Info{}, errDown }}
	asked := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
		t.Error("asked")
		return nil
	})
	f := newFanout(t, nil, named(bad, asked)...)
	testutil.NotOk(t, f.Sync(context.Background()))
	req := all()
	req.Strategy = store.Abort
	err := f.Series(context.Background(), req, &frameReader{})
	testutil.Equals(t, "store a: info: store unavailable: connection refused", err.Error())
	testutil.Equals(t, "a failed, b canceled", statuses(req.Outcome))
}

func TestAllMembersFail(t *testing.T) {
	t.Parallel()
	fails := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return errDown })
	f := newFanout(t, nil, named(fails, fails)...)
	req, r := all(), &frameReader{}
	testutil.Ok(t, f.Series(context.Background(), req, r))
	testutil.Equals(t, 2, len(r.warnings))
	testutil.Equals(t, "a failed, b failed", statuses(req.Outcome))
}

func TestNoMembers(t *testing.T) {
	t.Parallel()
	f := newFanout(t, nil)
	r := &frameReader{}
	testutil.Ok(t, f.Series(context.Background(), all(), r))
	testutil.Equals(t, []error{store.ErrNoStores}, r.warnings)
	req := all()
	req.Strategy = store.Abort
	testutil.Assert(t, errors.Is(f.Series(context.Background(), req, r), store.ErrNoStores))
}

// A warning is passed on, named. If nothing may be missing, one that tells of a
// loss fails the call, and one about an expression does not.
func TestMembersWarnings(t *testing.T) {
	t.Parallel()
	info := annotations.NewPossibleNonCounterInfo("x", posrange.PositionRange{})
	warns := func(last error) store.Store {
		return store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			req.Outcome.AddHints(store.Any{TypeURL: "hint"})
			if err := w.Warn(info); err != nil {
				return err
			}
			if err := w.Send(series("1")); err != nil {
				return err
			}
			return w.Warn(last)
		})
	}
	for _, tc := range []struct {
		strategy store.PartialResponseStrategy
		last     error
	}{{store.Warn, info}, {store.Warn, errDown}, {store.Abort, info}} {
		f := newFanout(t, nil, named(warns(tc.last), sends(series("2")))...)
		req, r := all(), &frameReader{}
		req.Strategy = tc.strategy
		testutil.Ok(t, f.Series(context.Background(), req, r))
		testutil.Equals(t, 2, len(r.series))
		testutil.Equals(t, []string{"store a: series: " + info.Error(), "store a: series: " + tc.last.Error()}, texts(r.warnings))
		testutil.Assert(t, errors.Is(r.warnings[0], annotations.PromQLInfo))
		m := req.Outcome.Members()
		testutil.Equals(t, "a answered, b answered", statuses(req.Outcome))
		testutil.Equals(t, []error{info, tc.last}, m[0].Warnings)
		testutil.Equals(t, 0, len(m[1].Warnings))
		testutil.Equals(t, errors.Is(tc.last, info), req.Outcome.Complete())
		testutil.Equals(t, []store.Any{{TypeURL: "hint"}}, req.Outcome.Hints())
	}
	f := newFanout(t, nil, named(warns(errDown), hangs(&tracker{}))...)
	req, r := all(), &frameReader{}
	req.Strategy = store.Abort
	err := f.Series(context.Background(), req, r)
	testutil.Equals(t, "store a: series: connection refused", err.Error())
	testutil.Equals(t, "a failed, b canceled", statuses(req.Outcome))
}

func TestLimit(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	endless := func(from, step int) store.Store {
		return store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			testutil.Equals(t, 7, req.Limit)
			for i := from; ; i += step {
				if err := tr.sendFrame(w, series(fmt.Sprintf("%09d", i), chunk(1, 2, "x")), series(fmt.Sprintf("%09d", i), chunk(3, 4, "y"))); err != nil {
					return err
				}
			}
		})
	}
	f := newFanout(t, nil, named(endless(0, 1), endless(0, 2), sends(series("000000003")))...)
	req, r := all(), &frameReader{}
	req.Limit = 7
	testutil.Ok(t, f.Series(context.Background(), req, r))
	testutil.Equals(t, 7, len(r.series))
	for i, s := range r.series {
		testutil.Equals(t, fmt.Sprintf("%09d", i), s.Labels.Get("__name__"))
		testutil.Equals(t, min(2, len(s.Chunks)), len(s.Chunks))
	}
	testutil.Equals(t, "a canceled, b canceled, c answered", statuses(req.Outcome))
	testutil.Equals(t, 0, len(r.warnings))
	tr.noneAlive(t)
}

// What a member warned of that the merge did not get to is not lost.
func TestLimitReportsLateWarnings(t *testing.T) {
	t.Parallel()
	warned := make(chan struct{})
	warns := store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		if err := w.Send(series("5")); err != nil {
			return err
		}
		defer close(warned)
		return w.Warn(errDown)
	})
	waits := store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		<-warned
		if err := w.Send(series("1")); err != nil {
			return err
		}
		return w.Send(series("2"))
	})
	f := newFanout(t, nil, named(warns, waits)...)
	req, r := all(), &frameReader{}
	req.Limit = 1
	testutil.Ok(t, f.Series(context.Background(), req, r))
	testutil.Equals(t, 1, len(r.series))
	testutil.Equals(t, []string{"store a: series: connection refused"}, texts(r.warnings))
}

// A member that fails after enough was sent has taken nothing from that.
func TestLimitIgnoresLaterFailures(t *testing.T) {
	t.Parallel()
	for _, strategy := range []store.PartialResponseStrategy{store.Warn, store.Abort} {
		fails := store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			if err := w.Send(series("5")); err != nil {
				return err
			}
			<-ctx.Done()
			return errDown
		})
		f := newFanout(t, nil, named(fails, sends(series("1"), series("2")))...)
		req, r := all(), &frameReader{}
		req.Limit, req.Strategy = 1, strategy
		testutil.Ok(t, f.Series(context.Background(), req, r))
		testutil.Equals(t, 1, len(r.series))
		testutil.Equals(t, 0, len(r.warnings))
		testutil.Equals(t, store.Canceled, req.Outcome.Members()[0].Status)
	}
}

// A failure that comes before the limit is reached, but behind it in the order of
// series, is none of the answer either.
func TestLimitIgnoresFailuresBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fails := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			return errors.Join(w.Send(series("5")), errDown)
		})
		f := newFanout(t, nil, named(fails, paced(time.Second, series("1"), series("2")))...)
		req, r := all(), &frameReader{}
		req.Limit = 1
		testutil.Ok(t, f.Series(t.Context(), req, r))
		testutil.Equals(t, 1, len(r.series))
		testutil.Equals(t, 0, len(r.warnings), "%v", r.warnings)
		testutil.Equals(t, store.Failed, req.Outcome.Members()[0].Status)
	})
}

// One that does not heed errors of its writer must not hold up anybody.
func TestMemberThatGoesOnSending(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	deaf := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for i := range 200 {
			_ = tr.sendFrame(w, series(fmt.Sprintf("%03d", 2*i), chunk(1, 2, "x")))
			_ = w.Send(series(fmt.Sprintf("%03d", 2*i+1), chunk(1, 2, "x")))
			_ = w.Warn(errDown)
		}
		return nil
	})
	f := newFanout(t, &fanout.Options{BufferBytes: 1}, named(deaf, deaf)...)
	stop := errors.New("enough")
	err := f.Series(context.Background(), all(), &frameReader{onFrame: func(*encoded.Frame) error { return stop }})
	testutil.Equals(t, stop, err)
	tr.noneAlive(t)
	r := &frameReader{}
	testutil.Ok(t, f.Series(context.Background(), all(), r))
	testutil.Equals(t, 400, len(r.series))
	tr.noneAlive(t)
}

func TestWriterErrorEndsTheCall(t *testing.T) {
	t.Parallel()
	stop := errors.New("enough")
	tr := &tracker{}
	var ss []*store.Series
	for i := range 1000 {
		ss = append(ss, series(fmt.Sprintf("%04d", i), chunk(1, 2, "x")))
	}
	f := newFanout(t, nil, named(sendsFrames(tr, 10, ss...), sends(ss...))...)
	req := all()
	err := f.Series(context.Background(), req, &frameReader{onFrame: func(*encoded.Frame) error { return stop }})
	testutil.Equals(t, stop, err)
	tr.noneAlive(t)
	n := 0
	err = f.Series(context.Background(), all(), &plainReader{onSend: func() error {
		if n++; n == 300 {
			return stop
		}
		return nil
	}})
	testutil.Equals(t, stop, err)
	tr.noneAlive(t)

	warns := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error { return w.Warn(errDown) })
	f = newFanout(t, nil, named(warns, sends(ss...))...)
	testutil.Equals(t, stop, f.Series(context.Background(), all(), refusesWarnings{stop}))
	fails := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return errDown })
	f = newFanout(t, nil, named(fails, sends(ss...))...)
	testutil.Equals(t, stop, f.Series(context.Background(), all(), refusesWarnings{stop}))
}

type refusesWarnings struct{ err error }

func (r refusesWarnings) Send(*store.Series) error { return nil }
func (r refusesWarnings) Warn(error) error         { return r.err }

func TestWriterPanicLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	f := newFanout(t, nil, named(sendsFrames(tr, 1, series("1"), series("2")), sends(series("3")))...)
	func() {
		defer func() { testutil.Equals(t, "reader", recover()) }()
		_ = f.Series(context.Background(), all(), &frameReader{onFrame: func(*encoded.Frame) error { panic("reader") }})
	}()
	tr.noneAlive(t)
}

// Series of one member pass through as the views that they are; of replicas with
// equal chunks, one's.
func TestViewsPassThrough(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	in := tr.frame(series("1", chunk(1, 2, "x"), chunk(3, 4, "y")), series("3", chunk(1, 2, "z")))
	replica := tr.frame(series("1", chunk(1, 2, "x"), chunk(3, 4, "y")))
	replays := func(f *encoded.Frame) store.Store {
		return store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			return w.(encoded.Writer).SendFrame(f)
		})
	}
	f := newFanout(t, nil, named(replays(in), replays(replica), sends(series("2")))...)
	got := 0
	testutil.Ok(t, f.Series(context.Background(), all(), &frameReader{onFrame: func(out *encoded.Frame) error {
		for i := range out.Series {
			for j := range in.Series {
				a, b := &out.Series[i], &in.Series[j]
				if string(a.Labels) == string(b.Labels) {
					got++
					testutil.Assert(t, &a.Labels[0] == &b.Labels[0] && &a.Chunks[0] == &b.Chunks[0])
				}
			}
		}
		return nil
	}}))
	testutil.Equals(t, 2, got)
	in.Release()
	replica.Release()
	tr.noneAlive(t)
}

// A reader may keep a frame; what it refers to lives as long.
func TestReaderKeepsFrames(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	var ss []*store.Series
	for i := range 500 {
		ss = append(ss, series(fmt.Sprintf("%04d", i), chunk(1, 2, fmt.Sprint(i))))
	}
	f := newFanout(t, nil, named(sendsFrames(tr, 7, ss...), sendsFrames(tr, 5, ss[:250]...))...)
	var kept []*encoded.Frame
	first := &frameReader{onFrame: func(out *encoded.Frame) error {
		out.Retain()
		kept = append(kept, out)
		return nil
	}}
	testutil.Ok(t, f.Series(context.Background(), all(), first))
	testutil.Ok(t, f.Series(context.Background(), all(), &frameReader{})) // would reuse their memory
	again, size := &frameReader{}, 0
	for _, k := range kept {
		testutil.Ok(t, again.SendFrame(k))
		size += k.Size
	}
	testutil.Equals(t, show(first.series), show(again.series))
	_, bytes, _ := tr.alive()
	testutil.Assert(t, bytes > 0 && size >= bytes, "frames say that they keep %d bytes alive, they keep %d", size, bytes)
	for _, k := range kept {
		k.Release()
	}
	tr.noneAlive(t)
}

func TestRequestIsPassedOn(t *testing.T) {
	t.Parallel()
	req := all()
	req.Strategy, req.SkipChunks, req.Limit, req.Hints = store.Abort, true, 5, &store.QueryHints{Func: "rate"}
	req.StoreHints, req.MaxResolution = &store.Any{TypeURL: "x"}, 300
	req.Tenant, req.Metadata = "me", map[string][]string{"x": {"y"}}
	req.Matchers = []*labels.Matcher{eq("a", "b")}
	want := *req
	s := store.Func(func(_ context.Context, got *store.SeriesRequest, _ store.SeriesWriter) error {
		testutil.Assert(t, got.Outcome != req.Outcome, "members record in the caller's Outcome")
		r := *got
		r.Outcome = req.Outcome
		testutil.Equals(t, want, r)
		return nil
	})
	testutil.Ok(t, newFanout(t, nil, named(s)...).Series(context.Background(), req, &frameReader{}))
	testutil.Equals(t, want, *req)
}

// replicaStore announces what it can do, and does not do it.
func replicaStore(t *testing.T, can bool, got *store.SeriesRequest, ss ...*store.Series) store.Store {
	return withInfo(store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		*got = *req
		return sends(ss...).Series(context.Background(), req, w)
	}), store.Info{SupportsSharding: can, SupportsWithoutReplicaLabels: can})
}

func TestMembersThatCannotAreHelped(t *testing.T) {
	t.Parallel()
	var got store.SeriesRequest
	a := func(r, v string) *store.Series {
		return &store.Series{Labels: labels.FromStrings("__name__", "up", "a_replica", r, "job", v), Chunks: []store.Chunk{chunk(1, 2, r+v)}}
	}
	ss := []*store.Series{a("r1", "x"), a("r1", "y"), a("r2", "x"), a("r2", "z")}
	f := newFanout(t, nil, named(replicaStore(t, false, &got, ss...))...)

	req, r := all(), &frameReader{}
	req.WithoutReplicaLabels = []string{"a_replica"}
	testutil.Ok(t, f.Series(context.Background(), req, r))
	testutil.Equals(t, []string{
		`{__name__="up", job="x"} [1 2 1:"r2x"] [1 2 1:"r1x"]`,
		`{__name__="up", job="y"} [1 2 1:"r1y"]`,
		`{__name__="up", job="z"} [1 2 1:"r2z"]`,
	}, show(r.series))

	var union []string
	for i := range int64(3) {
		req, r := all(), &frameReader{}
		req.Shard = &store.Shard{Index: i, Total: 3, By: true, Labels: []string{"a_replica", "job"}}
		testutil.Ok(t, f.Series(context.Background(), req, r))
		testutil.Assert(t, got.Shard == nil)
		for _, s := range r.series {
			testutil.Assert(t, req.Shard.Matches(s.Labels))
		}
		union = append(union, show(r.series)...)
	}
	testutil.Equals(t, len(ss), len(union))

	// One that says that it can is left to it.
	f = newFanout(t, nil, named(replicaStore(t, true, &got, ss...))...)
	req, r = all(), &frameReader{}
	req.WithoutReplicaLabels, req.Shard = []string{"a_replica"}, &store.Shard{Index: 1, Total: 3}
	testutil.Ok(t, f.Series(context.Background(), req, r))
	testutil.Equals(t, req.Shard, got.Shard)
	testutil.Equals(t, req.WithoutReplicaLabels, got.WithoutReplicaLabels)
	testutil.Equals(t, 4, len(r.series))

	// Unless chunks are not asked for: then the sidecar of Thanos says so too.
	req, r = all(), &frameReader{}
	req.WithoutReplicaLabels, req.SkipChunks = []string{"a_replica"}, true
	testutil.Ok(t, f.Series(context.Background(), req, r))
	testutil.Equals(t, 3, len(r.series))
	union = nil
	for i := range int64(3) {
		req, r = all(), &frameReader{}
		req.Shard, req.SkipChunks = &store.Shard{Index: i, Total: 3}, true
		testutil.Ok(t, f.Series(context.Background(), req, r))
		union = append(union, show(r.series)...)
	}
	testutil.Equals(t, len(ss), len(union))
}

func TestOutcomeCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		after := func(d time.Duration, s store.Store) store.Store {
			return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
				if err := sleep(ctx, d); err != nil {
					return err
				}
				return s.Series(ctx, req, w)
			})
		}
		f := newFanout(t, nil, named(
			after(time.Second, sendsFrames(&tracker{}, 2, series("1", chunk(1, 2, "abc")), series("1", chunk(3, 4, "d")), series("2"))),
			after(2*time.Second, paced(time.Second, series("1", chunk(1, 2, "abc")))),
			after(5*time.Second, sends()),
		)...)
		req := all()
		testutil.Ok(t, f.Series(t.Context(), req, &frameReader{}))
		lset := int64(len(encoded.AppendLabels(nil, labels.FromStrings("__name__", "1"))))
		for i, want := range []store.MemberOutcome{
			{Series: 3, Chunks: 2, Bytes: 3*lset + 4, FirstSeries: time.Second, Duration: time.Second},
			{Series: 1, Chunks: 1, Bytes: lset + 3, FirstSeries: 3 * time.Second, Duration: 3 * time.Second},
			{Duration: 5 * time.Second},
		} {
			m := req.Outcome.Members()[i]
			testutil.Equals(t, name(i), m.Member)
			testutil.Equals(t, []int64{want.Series, want.Chunks, want.Bytes}, []int64{m.Series, m.Chunks, m.Bytes})
			testutil.Equals(t, []time.Duration{want.FirstSeries, want.Duration}, []time.Duration{m.FirstSeries, m.Duration})
		}
	})
}

func TestNestedOutcome(t *testing.T) {
	t.Parallel()
	fails := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return errDown })
	inner := newFanout(t, nil, named(sends(series("1")), fails)...)
	outer := newFanout(t, nil, fanout.Member{Name: "in", Store: inner}, fanout.Member{Name: "z", Store: sends(series("2"))})
	req, r := all(), &frameReader{}
	testutil.Ok(t, outer.Series(context.Background(), req, r))
	testutil.Equals(t, "in answered, in/a answered, in/b failed, z answered", statuses(req.Outcome))
	testutil.Equals(t, []string{"store in: series: store b: series: connection refused"}, texts(r.warnings))
	testutil.Assert(t, !req.Outcome.Complete())

	req, r = all(), &frameReader{}
	req.Strategy = store.Abort
	err := outer.Series(context.Background(), req, r)
	testutil.Equals(t, "store in: series: store b: series: connection refused", err.Error())
	testutil.Assert(t, errors.Is(err, errDown))
}

// Members of a member that was stopped were canceled: what they did is nobody's
// fault but its.
func TestNestedOutcomeOfStopped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := newFanout(t, nil, append(named(hangs(&tracker{})), grouped(nil, hangs(&tracker{}))[1])...)
		outer := newFanout(t, &fanout.Options{WaitBudget: time.Second}, fanout.Member{Name: "in", Store: inner})
		out, r, err := outcomeOf(t, outer, store.Warn)
		testutil.Ok(t, err)
		testutil.Equals(t, "in timed out, in/a canceled, in/g canceled, in/g/b canceled", statuses(out))
		testutil.Equals(t, []string{"store in: series: wait budget used up: context deadline exceeded"}, texts(r.warnings))
	})
}

// However fast they all are, neither a failure nor a loss is missed.
func TestAbortAlways(t *testing.T) {
	t.Parallel()
	warns := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		_ = w.Warn(errDown)
		return nil
	})
	records := store.Func(func(_ context.Context, req *store.SeriesRequest, _ store.SeriesWriter) error {
		req.Outcome.AddWarning(errDown)
		return nil
	})
	for _, bad := range []store.Store{failing(errDown), warns, records} {
		for _, members := range [][]fanout.Member{named(bad, sends(series("1"))), grouped(bad)} {
			f := newFanout(t, nil, members...)
			for range 1000 {
				_, _, err := outcomeOf(t, f, store.Abort)
				testutil.Assert(t, errors.Is(err, errDown), "%v", err)
			}
		}
	}
}
