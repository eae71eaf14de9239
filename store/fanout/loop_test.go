package fanout_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// later is a Store that is set when what holds it is there.
type later struct{ *fanout.Store }

// circle makes fan-outs that ask each other in a circle, each with a member of
// its own beside.
func circle(t *testing.T, names ...string) []*fanout.Store {
	out, next := make([]*fanout.Store, len(names)), make([]*later, len(names))
	for i := range names {
		next[i] = &later{}
	}
	for i, n := range names {
		out[i] = newFanout(t, &fanout.Options{Name: n}, fanout.Member{Name: "next", Store: next[(i+1)%len(names)]},
			fanout.Member{Name: "own", Store: newPatient(infoOf(n), series(n))})
		next[i].Store = out[i]
	}
	return out
}

// Fan-outs in a circle end at once, with what each has, and the circle is named.
func TestLoop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		names []string
		want  string
		cause string
	}{
		{
			[]string{"A"}, "next failed, own answered",
			"store next: info: fan-outs ask each other in a circle: A -> A",
		},
		{
			[]string{"A", "B"}, "next answered, next/next failed, next/own answered, own answered",
			"store next: info: fan-outs ask each other in a circle: A -> B -> A",
		},
		{
			[]string{"A", "B", "C"},
			"next answered, next/next answered, next/next/next failed, next/next/own answered, next/own answered, own answered",
			"store next: info: fan-outs ask each other in a circle: A -> B -> C -> A",
		},
	} {
		t.Run(tc.cause, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := circle(t, tc.names...)
				start := time.Now()
				for range 2 {
					out, r, err := outcomeOf(t, fs[0], store.Warn)
					testutil.Ok(t, err)
					testutil.Equals(t, tc.want, statuses(out))
					testutil.Equals(t, len(tc.names), len(r.series))
					var loop *store.LoopError
					for _, m := range out.Members() {
						if m.Status == store.Failed {
							testutil.Equals(t, tc.cause, m.Err.Error())
							testutil.Assert(t, errors.Is(m.Err, store.ErrLoop) && errors.As(m.Err, &loop))
						}
					}
					testutil.Equals(t, append(slices.Clip(tc.names), "A"), loop.Path)

					out, _, err = outcomeOf(t, fs[0], store.Abort)
					testutil.Assert(t, errors.Is(err, store.ErrLoop), "%v", err)
					testutil.Assert(t, !out.Complete())

					lout := &store.Outcome{}
					_, err = fs[0].LabelNames(t.Context(), &store.LabelNamesRequest{MaxTime: 10, Outcome: lout})
					testutil.Ok(t, err)
					testutil.Equals(t, tc.want, statuses(lout))
				}
				testutil.Equals(t, start, time.Now())
				// Others in the circle are not the worse for it.
				if len(fs) > 1 {
					out, _, err := outcomeOf(t, fs[1], store.Warn)
					testutil.Ok(t, err)
					testutil.Equals(t, "next answered", statuses(out)[:len("next answered")])
				}
			})
		})
	}
}

// Questions for Info that meet in a circle do not wait for each other.
func TestLoopOfDescribes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fs := circle(t, "A", "B", "C")
		start := time.Now()
		done := make(chan error, 3*len(fs))
		for _, f := range fs {
			go func() { done <- f.Sync(t.Context()) }()
			go func() { _, err := f.Describe(t.Context()); done <- err }()
			go func() { done <- f.Series(t.Context(), all(), &frameReader{}) }()
		}
		for range cap(done) {
			testutil.Ok(t, <-done)
		}
		for _, f := range fs {
			for _, h := range f.Health() {
				testutil.Ok(t, h.Err)
			}
		}
		testutil.Equals(t, start, time.Now())

		var stops []func()
		for _, f := range fs {
			stops = append(stops, running(t, f))
		}
		<-time.After(time.Hour)
		for _, f := range fs {
			for _, h := range f.Health() {
				testutil.Ok(t, h.Err)
				testutil.Assert(t, time.Since(h.Checked) <= 5*time.Second)
			}
		}
		for _, stop := range stops {
			stop()
		}
	})
}

// Two ways to the same fan-out are no circle.
func TestDiamondIsNoLoop(t *testing.T) {
	t.Parallel()
	bottom := newFanout(t, &fanout.Options{Name: "bottom"}, named(sends(series("1")))...)
	left := newFanout(t, &fanout.Options{Name: "left"}, fanout.Member{Name: "b", Store: bottom})
	right := newFanout(t, nil, fanout.Member{Name: "b", Store: bottom})
	top := newFanout(t, nil, fanout.Member{Name: "l", Store: left}, fanout.Member{Name: "r", Store: right})
	out, r, err := outcomeOf(t, top, store.Abort)
	testutil.Ok(t, err)
	testutil.Equals(t, "l answered, l/b answered, l/b/a answered, r answered, r/b answered, r/b/a answered", statuses(out))
	testutil.Equals(t, 1, len(r.series))
}

// The path does not come back to a caller that asks again.
func TestPathEndsWithTheCall(t *testing.T) {
	t.Parallel()
	f := newFanout(t, &fanout.Options{Name: "A"}, named(sends(series("1")))...)
	again := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error {
		return f.Series(t.Context(), all(), &frameReader{}) // a question of its own
	})
	outer := newFanout(t, &fanout.Options{Name: "A"}, fanout.Member{Name: "again", Store: again})
	_, _, err := outcomeOf(t, outer, store.Abort)
	testutil.Ok(t, err)
}
