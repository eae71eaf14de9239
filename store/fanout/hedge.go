package fanout

import (
	"context"
	"errors"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// A hedge doubles what a query costs, and replicas are slow above all when they
// have too much to do. So hedges of one group are at most one in so many of its
// calls, but for a few that were saved up.
const (
	callsPerHedge  = 10
	maxHedgeTokens = 10
)

// called counts a call to the group.
func (b *balance) called() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.tokens+1.0/callsPerHedge, maxHedgeTokens)
}

// mayHedge reports whether another replica may be asked as well, and counts it.
func (b *balance) mayHedge() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// hedgeDelay is how long the group waits for a replica before it asks another
// one as well; 0 if it does not.
func (a *asked) hedgeDelay(t *attempt) time.Duration {
	if d := a.round.fanout.opts.HedgeDelay; d > 0 {
		return d
	}
	var least time.Duration
	for _, d := range []time.Duration{a.of.budget, t.member.deadline} {
		if d > 0 && (least == 0 || d < least) {
			least = d
		}
	}
	return least / 2
}

// race asks the candidates of a group until one answers: the next one when one
// has failed, and one more beside it when it is slow. The first that sends
// anything, or ends well, is whose answer the group's is, for better or worse.
func (a *asked) race(ctx context.Context, rest []candidate, try func(*attempt) error) {
	a.of.balance.called()
	ends := make(chan *attempt, len(rest))
	running := 0
	var slow <-chan time.Time // when the only one that runs is slow
	next := func() {
		t := a.attempt(ctx, rest[0])
		t.ends = ends
		rest = rest[1:]
		running++
		slow = nil
		if d := a.hedgeDelay(t); d > 0 && running == 1 && len(rest) > 0 {
			slow = time.After(d)
		}
		a.round.crew.run(func() { t.run(try) })
	}
	next()
	for {
		select {
		case t := <-ends:
			running--
			switch {
			case a.over():
				return
			case a.answered():
			case ctx.Err() != nil:
				a.settle(a.round.stopped(ctx, a.wrap))
				return
			case len(rest) > 0 && retriable(t.result.err):
				a.round.fanout.metrics.retries.Inc()
				next()
			case running == 0:
				a.settle(a.defeat())
				return
			}
		case <-slow:
			if len(rest) > 0 && !rest[0].spare && !a.answered() && a.of.balance.mayHedge() {
				a.round.fanout.metrics.hedges.Inc()
				next()
			}
		case <-ctx.Done():
			a.settle(a.round.stopped(ctx, a.wrap))
			return
		}
	}
}

// over reports whether the member has a result.
func (a *asked) over() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ended
}

// answered reports whether an attempt's answer is the member's.
func (a *asked) answered() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.winner != nil
}

// retriable reports whether another replica may do better than one that failed
// with err.
func retriable(err error) bool {
	for _, is := range []error{store.ErrInvalidRequest, store.ErrLimit, store.ErrLoop} {
		if errors.Is(err, is) {
			return false
		}
	}
	return true
}

// defeat is the result of a group all of whose replicas failed that were asked.
func (a *asked) defeat() result {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := result{status: store.TimedOut}
	errs := make([]error, len(a.attempts))
	for i, t := range a.attempts {
		if errs[i] = t.result.err; t.result.status != store.TimedOut {
			out.status = store.Failed
		}
	}
	out.err = a.of.defeat(a.round.op, errs)
	return out
}
