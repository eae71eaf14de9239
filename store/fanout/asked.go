package fanout

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/thanoskit/thanoskit/store"
)

// What is asked of members, as store.Error names it.
const (
	opInfo        = "info"
	opSeries      = "series"
	opLabelNames  = "label names"
	opLabelValues = "label values"
)

// errExited is the failure of a member that ends its goroutine.
var errExited = errors.New("goroutine exited")

// expulsion is why a member was stopped that is at fault itself.
type expulsion struct {
	status store.MemberStatus
	err    error // a *store.Error
}

func (e *expulsion) Error() string { return e.err.Error() }
func (e *expulsion) Unwrap() error { return e.err }

// asked is what one call asks of one member, and what comes of it.
type asked struct {
	member  *member
	op      string
	began   time.Time
	outcome store.MemberOutcome
	// nested collects what the member itself records: of its own members, if it
	// is a fan-out.
	nested *store.Outcome
	span   trace.Span
}

func newAsked(m *member, op string) asked {
	return asked{
		member: m, op: op, began: time.Now(),
		outcome: store.MemberOutcome{Member: m.name}, nested: &store.Outcome{},
	}
}

// trace starts the span of the member's call.
func (a *asked) trace(ctx context.Context, t trace.Tracer) context.Context {
	ctx, a.span = t.Start(ctx, "fanout "+a.op, trace.WithAttributes(attribute.String("store", a.member.name)))
	return ctx
}

// ruledOut reports whether enough is known of the member, from notBefore or
// later, to say that it is not to be asked. The outcome then says why.
func (a *asked) ruledOut(notBefore time.Time, r *reach) bool {
	h, fresh := a.member.knownSince(notBefore)
	if !fresh {
		return false
	}
	_, ask := a.judge(&h, r)
	return !ask
}

// admitted decides whether the member is to be asked, and returns its Store. If
// not, ok is false and the outcome says why. The member is asked for its Info
// first if that is out of date.
func (a *asked) admitted(ctx context.Context, f *Store, r *reach) (s store.Store, ok bool) {
	h, err := a.member.refresh(ctx, time.Now().Add(-f.maxAge()), f.opts.InfoTimeout)
	if err != nil {
		a.conclude(ctx, err)
		return nil, false
	}
	return a.judge(&h, r)
}

// judge is admitted for a member of which h is known.
func (a *asked) judge(h *Health, r *reach) (store.Store, bool) {
	pruned, err := h.admits(r)
	switch {
	case err != nil:
		a.outcome.Status, a.outcome.Err = store.Failed, err
		return nil, false
	case pruned != "":
		a.outcome.Status, a.outcome.Err, a.outcome.Reason = store.Pruned, nil, pruned
		return nil, false
	}
	return a.member.store(&h.Info, r), true
}

// fail makes the outcome that of a member that returned an error.
func (a *asked) fail(err error) {
	a.outcome.Status = store.Failed
	if errors.Is(err, context.DeadlineExceeded) {
		a.outcome.Status = store.TimedOut
	}
	a.outcome.Err = a.wrap(err)
}

// conclude makes the outcome that of a member that returned err. If its context
// has ended it was stopped, and who knows what it left out.
func (a *asked) conclude(ctx context.Context, err error) {
	cause := context.Cause(ctx)
	expelled, ok := errors.AsType[*expulsion](cause)
	switch {
	case ok:
		a.outcome.Status, a.outcome.Err = expelled.status, expelled.err
	case errors.Is(cause, errWaitBudget):
		a.fail(cause)
	case cause != nil:
		a.outcome.Status, a.outcome.Err = store.Canceled, cause
	case err != nil:
		a.fail(err)
	default:
		a.outcome.Status, a.outcome.Err = store.Answered, nil
	}
}

// failed reports whether the member's answer is missing, whole or in part.
func (a *asked) failed() bool {
	return a.outcome.Status == store.Failed || a.outcome.Status == store.TimedOut
}

// wrap names the member in an error or warning.
func (a *asked) wrap(err error) error { return named(a.member.name, a.op, err) }

// named says which member failed at what, unless the error does so already.
func named(member, op string, err error) error {
	if e, ok := err.(*store.Error); ok && e.Store == member && e.Op == op { //nolint:errorlint // Only the outermost is about this member.
		return err
	}
	return &store.Error{Store: member, Op: op, Err: err}
}

// finish ends the clock and the span of a member that was really asked.
func (a *asked) finish() {
	a.outcome.Duration = time.Since(a.began)
	if a.span == nil {
		return
	}
	a.span.SetAttributes(
		attribute.String("status", a.outcome.Status.String()),
		attribute.Int64("series", a.outcome.Series),
		attribute.Int64("chunks", a.outcome.Chunks),
		attribute.Int64("bytes", a.outcome.Bytes),
	)
	if a.failed() {
		a.span.SetStatus(codes.Error, a.outcome.Err.Error())
	}
	a.span.End()
}

// record adds the outcome, and those of the member's own members under its
// name, to out.
func (a *asked) record(out *store.Outcome) {
	for _, err := range a.nested.Warnings() {
		a.outcome.Warnings = append(a.outcome.Warnings, err)
		out.AddWarning(a.wrap(err))
	}
	out.AddMember(a.outcome)
	for _, m := range a.nested.Members() {
		m.Member = a.member.name + "/" + m.Member
		out.AddMember(m)
	}
	for _, h := range a.nested.Hints() {
		out.AddHints(h)
	}
}
