package clusters

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// Whatever is killed or gone for a while: answers are right, or say that they are
// partial, and all are whole again afterwards.
func TestSurvives(t *testing.T) {
	t.Parallel() // Most of the time somebody is waited for.
	w := start(t, allOf(ours), "follow")
	w.awaitScrapes()
	w.compactorKilled()
	w.awaitSynced()
	want := w.first()
	bucket, observee := absences()
	for _, p := range w.parts {
		if *long || oneOfEach[p.name] {
			w.during("killed: "+p.name, want, p == w.part("top"), func(noticed func()) {
				p.Kill()
				switch {
				case p.name == "versitygw":
					w.pass(bucket)
				case *long:
					w.pass(killed)
				}
				noticed()
				w.run(p)
				w.awaitReady(p)
			})
		}
	}
	for i, x := range []trouble{refuses, stalls, resets} {
		if !*long && x != stalls {
			continue // The links have been cut in all positions.
		}
		l := w.links[observees[i%len(observees)]]
		w.during(fmt.Sprintf("link to %s %s", observees[i%len(observees)], x), want, false, func(noticed func()) {
			testutil.Ok(w, l.set(x))
			w.pass(observee)
			noticed()
			testutil.Ok(w, l.set(well))
		})
	}
}

// oneOfEach are the parts that are killed without -long.
var oneOfEach = map[string]bool{
	"versitygw": true, "prometheus-eu-a": true, "sidecar-us-b": true, "sidecar-hub-a": true, "gateway-us": true,
	"querier-eu": true, "nginx-us": true, "top": true,
}

// killed is how long a process is gone with -long; otherwise, until somebody notices.
const killed = 5 * time.Second

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.Context().Done():
	}
}

// during asks all the time while something is done, and until all answers are whole
// and right again. What is done gets a function that waits until somebody has noticed.
// Only while the top querier is down may nobody answer.
func (w *world) during(what string, want map[string]*answer, silence bool, do func(noticed func())) {
	w.Helper()
	began := time.Now()
	a := w.asker(want)
	defer a.stop()
	do(func() { a.await(w.Context(), func() bool { return a.partial+a.none > 0 }) })
	done := time.Since(began)
	w.same(what+", and back", want)
	a.stop()
	w.Logf("%s: %d answers right, %d partial, %d none; gone for %s, whole %s later", what, a.right, a.partial, a.none,
		done.Round(time.Millisecond), (time.Since(began) - done).Round(time.Millisecond))
	for name, why := range a.wrong {
		w.Errorf("%s: %s: %s", what, name, why)
	}
	switch {
	case a.none > 0 && !silence:
		w.Errorf("%s: %d questions had no answer, the last: %v", what, a.none, a.last)
	case a.partial == 0 && !silence:
		w.Errorf("%s: nobody noticed", what)
	}
}

// asker asks all the time.
type asker struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu sync.Mutex
	// Of what it was answered.
	right, partial, none int
	wrong                map[string]string // by question
	last                 error             // why there was no answer
	rounds               int               // how often it has asked everything
}

// asker starts asking the top querier what answers are wanted for, over and over.
func (w *world) asker(want map[string]*answer) *asker {
	ctx, cancel := context.WithCancel(w.Context())
	a := &asker{cancel: cancel, wrong: map[string]string{}}
	addr, questions := w.part("top").http, w.questions()
	a.done.Go(func() {
		for ctx.Err() == nil {
			for _, q := range questions {
				if right := want[q.String()]; right != nil && ctx.Err() == nil {
					got, err := ask(ctx, addr, &q)
					a.judge(ctx, &q, got, err, right)
				}
			}
			a.mu.Lock()
			a.rounds++
			a.mu.Unlock()
		}
	})
	return a
}

// judge counts an answer.
func (a *asker) judge(ctx context.Context, q *question, got *answer, err error, want *answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		a.none++
		a.last = fmt.Errorf("%s: %w", q, err)
	case !got.whole():
		a.partial++
	case got.text == want.text:
		a.right++
	default:
		a.wrong[q.String()] = "the answer is wrong and does not say that it is partial:\n" + diff(want, got)
	}
}

// await returns when cond is true, which may look at what was answered, or after a
// while.
func (a *asker) await(ctx context.Context, cond func() bool) {
	ctx, cancel := context.WithTimeout(ctx, settles)
	defer cancel()
	_ = await(ctx, func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !cond() {
			return errors.New("not yet")
		}
		return nil
	})
}

// stop ends it, and may be called again.
func (a *asker) stop() {
	a.cancel()
	a.done.Wait()
}

// compactorKilled has compactors work at the buckets. That of the hub, with -long all
// of them, is killed when it has uploaded something, and starts again. Meanwhile, what
// compaction does not change is answered as before.
func (w *world) compactorKilled() {
	w.Helper()
	want := map[string]*answer{}
	for _, q := range w.questions() {
		if q.steady {
			testutil.Ok(w, w.awaitAnswer(&q, func(a *answer) error {
				want[q.String()] = a
				if len(a.lines()) != q.lines {
					return fmt.Errorf("want %d lines, got\n%.2000s", q.lines, a.text)
				}
				return nil
			}))
		}
	}
	a := w.asker(want)
	defer a.stop()
	for i, c := range names {
		if *long || i == 0 {
			before := len(w.blocksIn(w.bucketDir(c)))
			path, args := w.compactorCommand(c, ours)
			p := proc.Run(w, "compactor-"+c, w.logOf("compactor-"+c), path, args...)
			proc.Await(w, "a block of compactor-"+c, p, proc.Patience, func(context.Context) error {
				if len(w.blocksIn(w.bucketDir(c))) == before {
					return errors.New("there is none yet")
				}
				return nil
			})
			p.Kill()
		}
	}
	w.compactAll(allOf(ours))
	w.awaitSynced()
	w.same("compacted", want)
	a.stop()
	w.Logf("compactors: %d answers right, %d partial", a.right, a.partial)
	for name, why := range a.wrong {
		w.Errorf("while compactors work: %s: %s", name, why)
	}
	if a.none > 0 {
		w.Errorf("while compactors work: %d questions had no answer, the last: %v", a.none, a.last)
	}
}

// Who asks tells answers apart.
func TestAsker(t *testing.T) {
	t.Parallel()
	a := &asker{wrong: map[string]string{}}
	q, want := &question{name: "q"}, &answer{text: "1\n2"}
	for _, tc := range []struct {
		got *answer
		err error
	}{
		{&answer{text: "1\n2"}, nil},
		{&answer{text: "1", warnings: []string{"2 is gone"}}, nil},
		{&answer{text: "1\n2", warnings: []string{"2 is gone"}}, nil},
		{nil, errors.New("nobody there")},
	} {
		a.judge(t.Context(), q, tc.got, tc.err, want)
	}
	testutil.Equals(t, []int{1, 2, 1, 0}, []int{a.right, a.partial, a.none, len(a.wrong)})
	a.judge(t.Context(), q, &answer{text: "1"}, nil, want)
	testutil.Equals(t, 1, len(a.wrong))
}
