package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// sleep waits, or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// paced sends its series one by one, waiting before each.
func paced(d time.Duration, ss ...*store.Series) store.Store {
	return store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, s := range ss {
			if err := sleep(ctx, d); err != nil {
				return err
			}
			if err := w.Send(copyOf(s)); err != nil {
				return err
			}
		}
		return nil
	})
}

// hangs sends its series and then nothing more, until the context ends.
func hangs(tr *tracker, ss ...*store.Series) store.Store {
	return store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		if len(ss) > 0 {
			if err := tr.sendFrame(w, ss...); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return ctx.Err()
	})
}

func TestWaitBudget(t *testing.T) {
	t.Parallel()
	const budget = 100 * time.Millisecond
	tr := &tracker{}
	s1, s2, s3 := series("1"), series("2"), series("3")
	for name, tc := range map[string]struct {
		bad  store.Store
		n    int // of those
		want int // series of them
		took time.Duration
		ok   bool
	}{
		"hangs at start":              {bad: hangs(tr), n: 1, took: budget},
		"many hang at start":          {bad: hangs(tr), n: 100, took: budget},
		"hangs in the midst":          {bad: hangs(tr, s1, s2), n: 1, want: 2, took: budget},
		"many hang in the midst":      {bad: hangs(tr, s1, s2), n: 50, want: 2, took: budget},
		"trickles":                    {bad: paced(40*time.Millisecond, s1, s2, s3), n: 1, want: 2, took: budget},
		"slow, but within the budget": {bad: paced(30*time.Millisecond, s1, s2, s3), n: 1, want: 3, took: 90 * time.Millisecond, ok: true},
		"describes itself slowly": {
			bad: describing{sends(s1), func(ctx context.Context) (store.Info, error) { return store.Info{}, sleep(ctx, time.Second) }},
			n:   1, took: budget,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stores []store.Store
				good := []*store.Series{series("0"), series("4"), series("5")}
				for range 19 {
					stores = append(stores, sends(good...))
				}
				for range tc.n {
					stores = append(stores, tc.bad)
				}
				f := newFanout(t, &fanout.Options{WaitBudget: budget, InfoInterval: time.Hour}, named(stores...)...)
				start := time.Now()
				req, r := all(), &frameReader{}
				testutil.Ok(t, f.Series(t.Context(), req, r))
				testutil.Equals(t, tc.took, time.Since(start))
				testutil.Equals(t, len(good)+tc.want, len(r.series))
				if !tc.ok {
					testutil.Equals(t, tc.n, len(r.warnings))
				}
				for i, m := range req.Outcome.Members() {
					want := store.Answered
					if i >= 19 && !tc.ok {
						want = store.TimedOut
						text := "store " + m.Member + ": series: wait budget used up: context deadline exceeded"
						testutil.Equals(t, text, m.Err.Error())
						testutil.Assert(t, errors.Is(m.Err, context.DeadlineExceeded))
						testutil.Assert(t, slices.ContainsFunc(r.warnings, func(w error) bool { return w.Error() == text }), "no warning: %s", text)
					}
					testutil.Equals(t, want, m.Status, m.Member)
				}
				if tc.ok {
					return
				}
				start = time.Now()
				req.Strategy = store.Abort
				err := f.Series(t.Context(), req, &frameReader{})
				testutil.Assert(t, strings.HasSuffix(err.Error(), ": series: wait budget used up: context deadline exceeded"), "%v", err)
				testutil.Equals(t, tc.took, time.Since(start))
				tr.noneAlive(t)
			})
		})
	}
}

// TestOthersAreNotOutOfTime: where a member that takes too long ends a call under
// Abort, those that were stopped with it are not to blame.
func TestOthersAreNotOutOfTime(t *testing.T) {
	t.Parallel()
	for why, limit := range map[string]func(*fanout.Member){
		"deadline exceeded":   func(m *fanout.Member) { m.Deadline = time.Second },
		"wait budget used up": func(m *fanout.Member) { m.WaitBudget = time.Second },
	} {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				members := named(hangs(&tracker{}), hangs(&tracker{}), hangs(&tracker{}))
				limit(&members[1])
				f := newFanout(t, nil, members...)
				const want = "a canceled, b timed out, c canceled"

				req := all()
				req.Strategy = store.Abort
				err := f.Series(t.Context(), req, &frameReader{})
				testutil.Equals(t, want, statuses(req.Outcome))
				testutil.Equals(t, "store b: series: "+why+": context deadline exceeded", err.Error())

				values := &store.LabelValuesRequest{Label: "l", Strategy: store.Abort, Outcome: &store.Outcome{}}
				_, err = f.LabelValues(t.Context(), values)
				testutil.Equals(t, want, statuses(values.Outcome))
				testutil.Equals(t, "store b: label values: "+why+": context deadline exceeded", err.Error())
			})
		})
	}
}

// Time in which the reader, and not the merge, is slow is not held against
// members.
func TestWaitBudgetIgnoresTheReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{}
		ss := bigAnswer(1000, 100)
		f := newFanout(t, &fanout.Options{WaitBudget: 10 * time.Millisecond, BufferBytes: 1}, named(sendsFrames(tr, 10, ss...), sends(ss...))...)
		req := all()
		testutil.Ok(t, f.Series(t.Context(), req, &frameReader{onFrame: func(*encoded.Frame) error {
			<-time.After(time.Second) // of fake time: this is the slow reader
			return nil
		}}))
		testutil.Equals(t, "a answered, b answered", statuses(req.Outcome))
	})
}

// The merge does not sit on what it has while it waits.
func TestSeriesAreSentPromptly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFanout(t, nil, named(paced(time.Second, series("1"), series("2"), series("3")), sends(series("0")))...)
		start := time.Now()
		at := map[string]time.Duration{}
		pr := &plainReader{}
		pr.onSend = func() error {
			at[pr.series[len(pr.series)-1].Labels.Get("__name__")] = time.Since(start)
			return nil
		}
		testutil.Ok(t, f.Series(t.Context(), all(), pr))
		// A series can only be sent when it is known that no part of it follows.
		testutil.Equals(t, map[string]time.Duration{"0": time.Second, "1": 2 * time.Second, "2": 3 * time.Second, "3": 3 * time.Second}, at)
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"canceled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
	} {
		for _, strategy := range []store.PartialResponseStrategy{store.Warn, store.Abort} {
			t.Run(name+"/"+strategy.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					tr := &tracker{}
					ignores := store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
						<-ctx.Done()
						return nil // as if that were all
					})
					ss := bigAnswer(1000, 100)
					f := newFanout(t, &fanout.Options{BufferBytes: 500}, named(
						hangs(tr, ss[:10]...), sendsFrames(tr, 3, ss...), sends(ss...), ignores, sends(),
						describing{sends(), func(ctx context.Context) (store.Info, error) { return store.Info{}, sleep(ctx, 2*time.Second) }},
					)...)
					ctx, cancel := end(t.Context())
					defer cancel()
					req, r := all(), &frameReader{}
					req.Strategy = strategy
					start := time.Now()
					err := f.Series(ctx, req, r)
					testutil.Equals(t, ctx.Err(), err)
					testutil.Equals(t, time.Second, time.Since(start))
					testutil.Equals(t, 0, len(r.warnings))
					testutil.Equals(t, "a canceled, b canceled, c canceled, d canceled, e answered, f canceled", statuses(req.Outcome))
					tr.noneAlive(t)
					h := f.Health()[5]
					testutil.Assert(t, h.Checked.IsZero(), "a caller who gave up made the member unhealthy: %v", h.Err)
				})
			})
		}
	}
}

func TestCanceledBeforehand(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := newFanout(t, nil, named(sends(series("1")))...)
	testutil.Equals(t, context.Canceled, f.Series(ctx, all(), &frameReader{}))
	_, err := f.LabelNames(ctx, &store.LabelNamesRequest{})
	testutil.Equals(t, context.Canceled, err)
	_, err = f.Describe(ctx)
	testutil.Equals(t, context.Canceled, err)
}

// 1,000 members of which 100 hang and 100 fail.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{}
		var stores []store.Store
		for i := range 1000 {
			switch {
			case i%10 == 3:
				stores = append(stores, hangs(tr))
			case i%10 == 7:
				stores = append(stores, store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { return errDown }))
			default:
				stores = append(stores, sends(series(fmt.Sprint(i)), series("common")))
			}
		}
		f := newFanout(t, &fanout.Options{WaitBudget: time.Second}, named(stores...)...)
		req, r := all(), &frameReader{}
		start := time.Now()
		testutil.Ok(t, f.Series(t.Context(), req, r))
		testutil.Equals(t, time.Second, time.Since(start))
		testutil.Equals(t, 801, len(r.series))
		testutil.Equals(t, 200, len(r.warnings))
		s := statuses(req.Outcome)
		testutil.Equals(t, []int{800, 100, 100}, []int{strings.Count(s, "answered"), strings.Count(s, "timed out"), strings.Count(s, "failed")})
	})
}

// What a member takes while the reader is slow, or the merge waits for another
// member, is not held against it, be it longer than the budget.
func TestWaitBudgetCountsWaitsOnly(t *testing.T) {
	t.Parallel()
	const budget = time.Second
	after := func(d time.Duration, first, rest []*store.Series) store.Store {
		return store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			if err := (&tracker{}).sendFrame(w, first...); err != nil {
				return err
			}
			if err := sleep(ctx, d); err != nil {
				return err
			}
			return (&tracker{}).sendFrame(w, rest...)
		})
	}
	early, late := []*store.Series{series("1"), series("2")}, []*store.Series{series("5"), series("6")}
	for name, tc := range map[string]struct {
		reader time.Duration // for its first frame
		other  store.Store
		status string
	}{
		"slow reader":            {reader: 10 * budget, other: sends(series("1"), series("3")), status: "a answered, b answered"},
		"as slow as the member":  {reader: 2 * budget, other: sends(series("1"), series("3")), status: "a answered, b answered"},
		"not slow enough":        {reader: budget / 2, other: sends(series("1"), series("3")), status: "a timed out, b answered"},
		"slow member":            {other: after(2*budget, []*store.Series{series("0")}, []*store.Series{series("3")}), status: "a answered, b answered"},
		"member not slow enough": {other: after(budget/2, []*store.Series{series("0")}, []*store.Series{series("3")}), status: "a timed out, b answered"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				members := named(after(2*budget, early, late), tc.other)
				members[0].WaitBudget = budget
				f := newFanout(t, nil, members...)
				req, frames := all(), 0
				testutil.Ok(t, f.Series(t.Context(), req, &frameReader{onFrame: func(*encoded.Frame) error {
					if frames++; frames == 1 {
						<-time.After(tc.reader)
					}
					return nil
				}}))
				testutil.Equals(t, tc.status, statuses(req.Outcome))
			})
		})
	}
}
