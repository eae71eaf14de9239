package fanout_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// warns is a Store that warns, and then does what the other does.
func warns(err error, then store.Store) store.Store {
	return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		if err := w.Warn(err); err != nil {
			return err
		}
		return then.Series(ctx, req, w)
	})
}

// What the replica warned of whose answer is the group's is passed on, also if it
// sent no series.
func TestGroupWarns(t *testing.T) {
	t.Parallel()
	const text = "store g/a: series: connection refused"
	for name, then := range map[string]store.Store{"with series": sends(series("1")), "without": sends()} {
		t.Run(name, func(t *testing.T) {
			f := newFanout(t, nil, grouped(warns(errDown, then), sends(series("2")))...)
			out, r, err := outcomeOf(t, f, store.Warn)
			testutil.Ok(t, err)
			testutil.Equals(t, "g answered, g/a answered", statuses(out))
			testutil.Equals(t, []string{text}, texts(r.warnings))
			testutil.Assert(t, !out.Complete())
			for _, m := range out.Members() {
				testutil.Equals(t, 1, len(m.Warnings), m.Member)
			}
			req := all()
			req.Require = requires("g")
			f = newFanout(t, nil, grouped(withInfo(warns(errDown, then), infoOf("g")))...)
			testutil.Assert(t, errors.Is(f.Series(t.Context(), req, &frameReader{}), store.ErrIncomplete))
		})
	}
	f := newFanout(t, nil, grouped(warns(annotations.PromQLInfo, sends()))...)
	out, r, err := outcomeOf(t, f, store.Abort)
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(r.warnings))
	testutil.Assert(t, out.Complete())
}

// A loser that goes on sending does not let the winner send ahead.
func TestLoserDoesNotUnblockTheWinner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{}
		deaf := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			<-time.After(3 * time.Second)
			return tr.sendFrame(w, series("0"))
		})
		winner := sendsFrames(tr, 1, series("1"), series("2"), series("3"), series("4"))
		f := newFanout(t, &fanout.Options{BufferBytes: 1, HedgeDelay: time.Second}, grouped(deaf, winner)...)
		r := &stalledReader{until: time.After(10 * time.Second)}
		done := make(chan error)
		go func() { done <- f.Series(t.Context(), all(), r) }()
		for range 2 {
			<-time.After(2 * time.Second)
			synctest.Wait()
			frames, _, _ := tr.alive()
			testutil.Equals(t, 1, frames)
		}
		testutil.Ok(t, <-done)
		testutil.Equals(t, 4, r.series)
		tr.noneAlive(t)
	})
}

// stalledReader takes nothing for a while.
type stalledReader struct {
	until  <-chan time.Time
	series int
}

func (r *stalledReader) Send(*store.Series) error {
	if r.series == 0 {
		<-r.until
	}
	r.series++
	return nil
}

func (r *stalledReader) Warn(error) error { return nil }

// A loser's complaints that it was stopped are not held against it.
func TestLoserIsNotSuspect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		complains := &counted{Store: store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			<-ctx.Done()
			return w.Warn(ctx.Err())
		})}
		f := newFanout(t, &fanout.Options{HedgeDelay: time.Millisecond}, grouped(complains, sends(series("1")))...)
		for range 3 {
			_, _, err := outcomeOf(t, f, store.Abort)
			testutil.Ok(t, err)
		}
		testutil.Equals(t, int64(2), complains.asked.Load(), "of three turns")
	})
}

// A group has the longest wait budget of its members, or none if one has none, in
// whichever order they come.
func TestWaitBudgetOfGroups(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		budgets []time.Duration
		want    string
	}{
		"none, short":  {[]time.Duration{0, time.Second}, "g answered, g/a answered"},
		"short, none":  {[]time.Duration{time.Second, 0}, "g answered, g/a answered"},
		"short, long":  {[]time.Duration{time.Second, time.Minute}, "g answered, g/a answered"},
		"short, short": {[]time.Duration{time.Second, time.Second}, "g timed out, g/a timed out"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := paced(5*time.Second, series("1"))
				members := grouped(s, s)
				for i := range members {
					members[i].WaitBudget = tc.budgets[i]
				}
				out, _, err := outcomeOf(t, newFanout(t, &fanout.Options{HedgeDelay: time.Hour}, members...), store.Warn)
				testutil.Ok(t, err)
				testutil.Equals(t, tc.want, statuses(out))
			})
		})
	}
}

// A member that heeds neither its context nor errors is not collected from, also
// while the merge is stuck in its reader.
func TestDeafMembersAreRefused(t *testing.T) {
	t.Parallel()
	for name, group := range map[string]string{"alone": "", "in a group": "g"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &tracker{}
				taken := 0
				deaf := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
					testutil.Ok(t, tr.sendFrame(w, series("1"), series("2")))
					<-time.After(2 * time.Second)
					for range 100 {
						for _, err := range []error{tr.sendFrame(w, series("3")), w.Send(series("3")), w.Warn(errDown)} {
							if err == nil {
								taken++
							}
						}
					}
					return nil
				})
				members := named(deaf, store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
					if err := tr.sendFrame(w, series("3")); err != nil {
						return err
					}
					<-time.After(time.Second)
					return errDown
				}))
				members[0].Group = group
				f := newFanout(t, nil, members...)
				req := all()
				req.Strategy = store.Abort
				testutil.NotOk(t, f.Series(t.Context(), req, &stalledReader{until: time.After(10 * time.Second)}))
				testutil.Equals(t, 0, taken)
				tr.noneAlive(t)
			})
		})
	}
}
