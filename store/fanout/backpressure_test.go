package fanout_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// bigAnswer is n series of about size bytes each.
func bigAnswer(n, size int) []*store.Series {
	out := make([]*store.Series, n)
	for i := range out {
		out[i] = series(fmt.Sprintf("%06d", i), chunk(1, 2, strings.Repeat("x", size)))
	}
	return out
}

// Members may be blocked for want of budget in any order: the merge must get the
// frame that it needs next nevertheless.
func TestBudgetSmallerThanAFrameDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		budget   int64
		perFrame int
	}{
		"smaller than a frame":         {1, 5},
		"a frame and a bit":            {600, 5},
		"frames of one series":         {1, 1},
		"frames that end in the midst": {700, 7},
	} {
		t.Run(name, func(t *testing.T) {
			tr := &tracker{}
			ss := bigAnswer(40, 100)
			var stores []store.Store
			var answers [][]*store.Series
			for i := range 100 {
				part := ss[i%7 : 40-i%5]
				answers = append(answers, part)
				stores = append(stores, sendsFrames(tr, tc.perFrame+i%3, part...))
			}
			f := newFanout(t, &fanout.Options{BufferBytes: tc.budget}, named(stores...)...)
			r := &frameReader{}
			testutil.Ok(t, f.Series(context.Background(), all(), r))
			checkMerged(t, r.series, answers...)
			tr.noneAlive(t)
		})
	}
}

// One series that is larger than all of the budget, in many frames of each of
// its members, is merged whole.
func TestSeriesLargerThanTheBudget(t *testing.T) {
	t.Parallel()
	tr := &tracker{}
	var parts []*store.Series
	for i := range 200 {
		parts = append(parts, series("big", chunk(int64(i), int64(i), strings.Repeat("x", 100))))
	}
	parts = append(parts, series("next", chunk(1, 2, "y")))
	f := newFanout(t, &fanout.Options{BufferBytes: 1000}, named(
		sendsFrames(tr, 3, parts...), sendsFrames(tr, 2, parts...), sends(parts...),
	)...)
	r := &frameReader{}
	testutil.Ok(t, f.Series(context.Background(), all(), r))
	checkMerged(t, r.series, parts)
	testutil.Equals(t, 2, len(r.series))
	tr.noneAlive(t)
}

// While the reader stalls, members fill the budget and one frame each, and no
// more; in several calls at once, the budget is still one.
func TestStalledReaderBoundsMemory(t *testing.T) {
	t.Parallel()
	const budget = 50_000
	for name, tc := range map[string]struct {
		members, calls int
		perFrame       int
		disjoint       bool
	}{
		"many replicas":         {members: 20, calls: 3, perFrame: 4},
		"many disjoint members": {members: 20, calls: 3, perFrame: 4, disjoint: true},
		"two replicas":          {members: 2, calls: 1, perFrame: 1},
		"two disjoint members":  {members: 2, calls: 1, perFrame: 3, disjoint: true},
		"one":                   {members: 1, calls: 1, perFrame: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &tracker{}
				ss := bigAnswer(400, 1000)
				stores := make([]store.Store, tc.members)
				for i := range stores {
					part := ss
					if tc.disjoint {
						part = nil
						for j := i; j < len(ss); j += tc.members {
							part = append(part, ss[j])
						}
					}
					stores[i] = sendsFrames(tr, tc.perFrame, part...)
				}
				f := tr.frame(ss[:tc.perFrame]...)
				frame := f.Size
				f.Release()

				fo := newFanout(t, &fanout.Options{BufferBytes: budget}, named(stores...)...)
				resume, done := make(chan struct{}), make(chan error, tc.calls)
				for range tc.calls {
					go func() { done <- fo.Series(t.Context(), all(), stalls{resume}) }()
				}
				synctest.Wait() // everybody who can get on has
				_, bytes, _ := tr.alive()
				testutil.Assert(t, bytes > budget*4/5-frame, "only %d bytes alive: the budget is not used", bytes)
				for running := tc.calls; running > 0; {
					synctest.Wait()
					select {
					case resume <- struct{}{}:
					case err := <-done:
						testutil.Ok(t, err)
						running--
					}
				}
				tr.noneAlive(t)
				_, _, peak := tr.alive()
				bound := budget + tc.calls*tc.members*frame
				testutil.Assert(t, peak <= bound, "peak of %d bytes, want at most %d", peak, bound)
			})
		})
	}
}

// A branch that has made as many series as the limit is done. Its members hold one
// frame each even so, until what it made of them has been read.
func TestLimitBoundsMemoryOfBranches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{}
		ss := bigAnswer(10, 100)
		f := fanout.Branch(newFanout(t, &fanout.Options{BufferBytes: 1}, named(sendsFrames(tr, 2, ss...), sendsFrames(tr, 2, ss...))...))
		req, resume, done := all(), make(chan struct{}), make(chan error)
		req.Limit = 1
		go func() { done <- f.Series(t.Context(), req, stalls{resume}) }()
		synctest.Wait()
		frames, _, _ := tr.alive()
		close(resume)
		testutil.Ok(t, <-done)
		testutil.Equals(t, 2, frames)
		testutil.Equals(t, "a canceled, b canceled", statuses(req.Outcome))
		tr.noneAlive(t)
	})
}

// Members that send plain series are held back too, by the frames that are made
// of them.
func TestStalledReaderHoldsBackPlainSends(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const budget = 500_000
		ss := bigAnswer(2000, 1000)
		sent := 0
		f := newFanout(t, &fanout.Options{BufferBytes: budget}, named(store.Func(
			func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
				for _, s := range ss {
					sent++
					if err := w.Send(copyOf(s)); err != nil {
						return err
					}
				}
				return nil
			}))...)
		resume, done := make(chan struct{}), make(chan error)
		go func() { done <- f.Series(t.Context(), all(), stalls{resume}) }()
		synctest.Wait()
		testutil.Assert(t, sent > budget*4/5/1100 && sent < (budget+128<<10)/1000+2, "%d series were sent", sent)
		close(resume)
		testutil.Ok(t, <-done)
		testutil.Equals(t, len(ss), sent)
	})
}

type stalls struct{ resume <-chan struct{} }

func (s stalls) Send(*store.Series) error { panic("plain series") }
func (s stalls) Warn(err error) error     { return err }
func (s stalls) SendFrame(*encoded.Frame) error {
	<-s.resume
	return nil
}

// A call whose reader stalls must not hold up another, whatever it has of the
// budget.
func TestStalledCallDoesNotStallOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{}
		ss := bigAnswer(500, 100)
		f := newFanout(t, &fanout.Options{BufferBytes: 2000}, named(sendsFrames(tr, 3, ss...), sendsFrames(tr, 4, ss...))...)
		resume, done := make(chan struct{}), make(chan error)
		go func() { done <- f.Series(t.Context(), all(), stalls{resume}) }()
		synctest.Wait()
		r := &frameReader{}
		testutil.Ok(t, f.Series(t.Context(), all(), r))
		testutil.Equals(t, 500, len(r.series))
		close(resume)
		testutil.Ok(t, <-done)
		tr.noneAlive(t)
	})
}

// Nor slow it down: what it leaves free is enough to send ahead.
func TestStalledCallsDoNotSlowOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{}
		const members, frames = 20, 50
		stores := make([]store.Store, members)
		for m := range stores {
			stores[m] = store.Func(func(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
				for i := range frames {
					if err := sleep(ctx, time.Millisecond); err != nil {
						return err
					}
					if err := tr.sendFrame(w, series(fmt.Sprintf("%03d-%03d", i, m), chunk(1, 2, strings.Repeat("x", 100)))); err != nil {
						return err
					}
				}
				return nil
			})
		}
		f := newFanout(t, &fanout.Options{BufferBytes: members * frames * 120 / 2}, named(stores...)...)
		resume, done := make(chan struct{}), make(chan error, 2)
		for range cap(done) {
			go func() { done <- f.Series(t.Context(), all(), stalls{resume}) }()
		}
		<-time.After(time.Second)
		start := time.Now()
		testutil.Ok(t, f.Series(t.Context(), all(), &frameReader{}))
		testutil.Equals(t, frames*time.Millisecond, time.Since(start))
		close(resume)
		for range cap(done) {
			testutil.Ok(t, <-done)
		}
		tr.noneAlive(t)
	})
}

// Frames that do not say how large they are count with what is in them.
func TestFramesWithoutSize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		made := 0
		s := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
			tr := &tracker{}
			for i := range 100 {
				f := tr.frame(series(fmt.Sprintf("%03d", i), chunk(1, 2, strings.Repeat("x", 1000))))
				f.Size = 0
				made++
				err := w.(encoded.Writer).SendFrame(f)
				f.Release()
				if err != nil {
					return err
				}
			}
			return nil
		})
		f := newFanout(t, &fanout.Options{BufferBytes: 10_000}, named(s)...)
		resume, done := make(chan struct{}), make(chan error)
		go func() { done <- f.Series(t.Context(), all(), stalls{resume}) }()
		synctest.Wait()
		testutil.Assert(t, made > 5 && made < 20, "%d frames were made", made)
		close(resume)
		testutil.Ok(t, <-done)
	})
}

// The number of goroutines is that of the members that are asked, and of branches.
func TestGoroutines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		waits := store.Func(func(ctx context.Context, _ *store.SeriesRequest, _ store.SeriesWriter) error {
			<-ctx.Done()
			return ctx.Err()
		})
		stores := make([]store.Store, 50)
		for i := range stores {
			stores[i] = waits
			if i%2 == 0 {
				stores[i] = withInfo(waits, store.Info{MinTime: 1, MaxTime: 2})
			}
		}
		f := newFanout(t, nil, named(stores...)...)
		testutil.Ok(t, f.Sync(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		req := all()
		req.MinTime = 3
		before := goroutinesOf(t)
		go func() { done <- f.Series(ctx, req, &frameReader{}) }()
		synctest.Wait()
		merging := fanout.BranchesOf(25)
		if merging < 2 {
			merging = 0
		}
		got := goroutinesOf(t) - before
		cancel()
		testutil.Equals(t, context.Canceled, <-done)
		if !*branches {
			testutil.Equals(t, 1+25+merging, got)
		}
	})
}

// goroutinesOf counts the goroutines of the test's bubble.
func goroutinesOf(t *testing.T) int {
	buf := make([]byte, 1<<20)
	n := runtime.Stack(buf, true)
	for n == len(buf) { // other tests may have many
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	all := string(buf[:n])
	own, _, _ := strings.Cut(all, "\n")
	_, bubble, ok := strings.Cut(own, "synctest bubble ")
	testutil.Assert(t, ok, "no bubble in %q", own)
	bubble, _, _ = strings.Cut(bubble, "]")
	return strings.Count(all, "synctest bubble "+bubble+"]")
}
