package fanout

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/thanoskit/thanoskit/store"
)

// attempt is one question to one member, which for a replica of a group is one
// of several.
type attempt struct {
	asked  *asked
	member *member
	store  store.Store
	ctx    context.Context
	cancel context.CancelCauseFunc // nil if the context is the asked's own
	began  time.Time
	// nested collects what the member itself records: of its own members, if it
	// is a fan-out.
	nested *store.Outcome
	span   trace.Span
	stint  *stint          // nil if the member may not be asked
	ends   chan<- *attempt // told of the end; nil if nobody is
	values []string        // the answer to a label query

	// Guarded by the asked's lock.
	ended   bool
	result  result
	outcome store.MemberOutcome
	pending []error // what it warned of before its answer was the member's
}

// attempt begins one at a candidate. It is to be run.
func (a *asked) attempt(ctx context.Context, c candidate) *attempt {
	t := &attempt{asked: a, member: c.member, store: c.store, ctx: ctx, began: time.Now(), nested: &store.Outcome{}}
	t.outcome.Member, t.stint = t.member.path, t.member.start()
	if a.of.declared {
		t.ctx, t.cancel = context.WithCancelCause(t.ctx)
	}
	t.ctx, t.span = a.round.fanout.tracer.Start(a.round.fanout.via(t.ctx), "fanout "+a.round.op,
		trace.WithAttributes(attribute.String("store", t.member.path)))
	a.mu.Lock()
	a.attempts = append(a.attempts, t)
	a.mu.Unlock()
	return t
}

// run asks the member.
func (t *attempt) run(try func(*attempt) error) {
	if t.stint == nil {
		t.end(t.failure(errAbandoned))
		return
	}
	defer t.stint.end()
	res := t.failure(errExited) // unless what follows comes to its end
	defer func() { t.end(res) }()
	if t.cancel != nil {
		defer t.cancel(errReturned)
	}
	if d := t.member.deadline; d > 0 {
		var cancel context.CancelFunc
		t.ctx, cancel = context.WithTimeoutCause(t.ctx, d, errDeadline)
		defer cancel()
	}
	if _, limited := t.ctx.Deadline(); limited {
		// The time of one that does not heed its context ends even so.
		defer context.AfterFunc(t.ctx, t.expire)()
	}
	err := try(t)
	if err == nil {
		err = t.losses()
	}
	switch {
	case t.ctx.Err() != nil: // who knows what it left out
		res = t.asked.round.stopped(t.ctx, t.wrap)
	case err != nil:
		res = t.failure(err)
	default:
		res = result{status: store.Answered}
	}
}

// expire ends an attempt whose own time has run out.
func (t *attempt) expire() {
	if outOfTime(context.Cause(t.ctx)) {
		t.end(t.asked.round.stopped(t.ctx, t.wrap))
	}
}

// losses is the first that the member recorded as missing, if nothing may be.
func (t *attempt) losses() error {
	if t.asked.round.strategy != store.Abort {
		return nil
	}
	for _, err := range t.nested.Warnings() {
		if !store.IsAnnotation(err) {
			return err
		}
	}
	return nil
}

func (t *attempt) failure(err error) result { return failure(t.wrap(err)) }

// wrap names the replica in an error or warning.
func (t *attempt) wrap(err error) error { return named(t.member.path, t.asked.round.op, err) }

// end gives the attempt its result, unless it has one. One that is the answer of
// the member, or its only attempt, gives the member the same.
func (t *attempt) end(r result) {
	a := t.asked
	a.mu.Lock()
	if t.ended {
		a.mu.Unlock()
		return
	}
	t.ended, t.result = true, r
	o := &t.outcome
	o.Status, o.Err, o.Reason, o.Duration = r.status, r.err, r.reason, time.Since(t.began)
	if r.status == store.Answered {
		t.claim()
	}
	first := false
	if a.winner == t || !a.of.declared {
		first = a.settleLocked(r)
	}
	t.endSpan()
	a.mu.Unlock()
	if a.of.declared && (r.status == store.Answered || (r.failed() && retriable(r.err))) {
		t.member.judged(r.failed())
	}
	if first {
		a.round.consider(a)
	}
	if t.ends != nil {
		t.ends <- t
	}
}

// claim makes the attempt's answer that of the member and stops all other
// attempts, unless another was first. It is called with the asked's lock held.
func (t *attempt) claim() {
	a := t.asked
	if a.winner != nil || a.ended {
		return
	}
	a.winner = t
	if a.claimed != nil {
		a.claimed(t)
	}
	for _, other := range a.attempts {
		if other != t && other.cancel != nil {
			other.cancel(errSuperseded)
		}
	}
}

// endSpan is called with the asked's lock held.
func (t *attempt) endSpan() {
	t.span.SetAttributes(
		attribute.String("status", t.outcome.Status.String()),
		attribute.Int64("series", t.outcome.Series),
		attribute.Int64("chunks", t.outcome.Chunks),
		attribute.Int64("bytes", t.outcome.Bytes),
	)
	if t.result.failed() {
		t.span.SetStatus(codes.Error, t.result.err.Error())
	}
	t.span.End()
}
