package fanout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// What is asked of members, as store.Error names it.
const (
	opInfo        = "info"
	opSeries      = "series"
	opLabelNames  = "label names"
	opLabelValues = "label values"
)

// Why members are stopped before they are done.
var (
	errEnough     = errors.New("limit of series reached")
	errWaitBudget = fmt.Errorf("wait budget used up: %w", context.DeadlineExceeded)
	errDeadline   = fmt.Errorf("deadline exceeded: %w", context.DeadlineExceeded)
	errReturned   = errors.New("call has returned")
	errSuperseded = errors.New(store.PrunedByReplica)
)

// expulsion is why a member was stopped that is at fault itself.
type expulsion struct {
	status store.MemberStatus
	err    error // a *store.Error
}

func (e *expulsion) Error() string { return e.err.Error() }
func (e *expulsion) Unwrap() error { return e.err }

// result is what became of a member, or of one attempt at it.
type result struct {
	status store.MemberStatus
	err    error
	reason string // of Pruned
}

// failed reports whether an answer is missing, whole or in part.
func (r *result) failed() bool { return r.status == store.Failed || r.status == store.TimedOut }

// failure is the result of an error.
func failure(err error) result {
	if errors.Is(err, context.DeadlineExceeded) {
		return result{status: store.TimedOut, err: err}
	}
	return result{status: store.Failed, err: err}
}

// stopped is the result of what was stopped because its context has ended. wrap
// names who was. If it was the caller's that ended, why is the caller's business.
func (r *round) stopped(ctx context.Context, wrap func(error) error) result {
	cause := context.Cause(ctx)
	expelled, ok := errors.AsType[*expulsion](cause)
	switch {
	case r.parent.Err() != nil:
	case ok:
		return result{status: expelled.status, err: expelled.err}
	case outOfTime(cause):
		return result{status: store.TimedOut, err: wrap(cause)}
	case errors.Is(cause, errSuperseded):
		return result{status: store.Pruned, reason: store.PrunedByReplica}
	}
	return result{status: store.Canceled, err: cause}
}

// outOfTime reports whether what was stopped took too long itself. A cause that
// only wraps one of these is what another member's failure ended the call with.
func outOfTime(cause error) bool {
	return cause == errWaitBudget || cause == errDeadline //nolint:errorlint // See above.
}

// asked is what one call asks of one logical member, and what comes of it.
type asked struct {
	round *round
	of    *logical
	began time.Time
	// admitted, if not nil, is what the call found when it began.
	admitted *admission
	// settled, if not nil, is told when the result is there, and claimed of the
	// attempt whose answer is the member's; both with the lock held.
	settled func()
	claimed func(*attempt)

	mu        sync.Mutex
	ended     bool
	removed   bool // the call goes on as if the member were not there
	result    result
	labelSets []labels.Labels
	attempts  []*attempt
	winner    *attempt      // the one whose answer is the member's
	first     time.Duration // until it sent its first series
	took      time.Duration
}

func (a *asked) init(r *round, l *logical) { a.round, a.of, a.began = r, l, time.Now() }

// wrap names the member in an error.
func (a *asked) wrap(err error) error { return named(a.of.name, a.round.op, err) }

// named says which member failed at what, unless the error does so already.
func named(member, op string, err error) error {
	if e, ok := err.(*store.Error); ok && e.Store == member && e.Op == op { //nolint:errorlint // Only the outermost is about this member.
		return err
	}
	return &store.Error{Store: member, Op: op, Err: err}
}

// settle makes the result that of the member, unless it has one, and ends the
// call if that is called for.
func (a *asked) settle(r result) {
	a.mu.Lock()
	first := a.settleLocked(r)
	a.mu.Unlock()
	if first {
		a.round.consider(a)
	}
}

// settleLocked is settle without its consequence for the call. It reports
// whether the member had no result before.
func (a *asked) settleLocked(r result) bool {
	if a.ended {
		return false
	}
	a.ended, a.result = true, r
	a.took = time.Since(a.began)
	if a.settled != nil {
		a.settled()
	}
	return true
}

// known returns what is known of the replicas, which of that is older than
// notBefore, and whether any is.
func (a *asked) known(notBefore time.Time) (known []Health, stale []bool, anyStale bool) {
	known, stale = make([]Health, len(a.of.replicas)), make([]bool, len(a.of.replicas))
	for i, m := range a.of.replicas {
		var fresh bool
		known[i], fresh = m.knownSince(notBefore)
		stale[i] = !fresh
		anyStale = anyStale || !fresh
	}
	return known, stale, anyStale
}

// ruledOut reports whether enough is known of the member to say that it is not
// to be asked. If so it has a result. selected says whether the fan-out's
// selector labels match.
func (a *asked) ruledOut(selected bool) bool {
	known, _, stale := a.known(a.round.notBefore)
	var adm admission
	switch {
	case !selected:
		there := func(h Health) bool { return !h.Removed }
		adm = admission{pruned: store.PrunedBySelector, labelSets: a.of.labelSets(known), removed: !slices.ContainsFunc(known, there)}
	case stale:
		return false
	default:
		adm = a.of.admit(known, nil, &a.round.reach, a.round.suspectSince)
	}
	if !a.refused(adm) {
		a.admitted = &adm
		return false
	}
	a.took = 0 // it was asked nothing
	return true
}

// refused settles a member that is not to be asked.
func (a *asked) refused(adm admission) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.labelSets = adm.labelSets
	switch {
	case len(adm.candidates) > 0:
		return false
	case adm.removed:
		if a.settleLocked(result{status: store.Pruned}) { // once it has a result others read this
			a.removed = true
		}
	case adm.err != nil:
		a.settleLocked(result{status: store.Failed, err: adm.err})
	default:
		a.settleLocked(result{status: store.Pruned, reason: adm.pruned})
	}
	return true
}

// ask asks the member, in this goroutine or, if it is a group, in others. try
// puts the question to a replica. When ask returns the member has a result.
func (a *asked) ask(ctx context.Context, try func(*attempt) error) {
	defer a.settle(failure(a.wrap(errExited))) // unless what follows comes to its end
	adm, refused := a.admitted, false
	if adm == nil {
		now, err := a.admission(ctx)
		if err != nil {
			a.settle(a.round.stopped(ctx, a.wrap))
			return
		}
		adm, refused = &now, a.refused(now)
	}
	switch {
	case refused:
		a.round.consider(a)
	case a.of.declared:
		a.race(ctx, adm.candidates, try)
	default:
		a.attempt(ctx, adm.candidates[0]).run(try)
	}
}

// admission asks the member for its Info where that is out of date, and judges
// it. The error is that of the context.
//
// Of a group, all replicas are asked for theirs, but none is waited for once
// another is found that can be asked: the rest is then up to calls to come.
func (a *asked) admission(ctx context.Context) (admission, error) {
	known, stale, _ := a.known(a.round.notBefore)
	judge := func(stale []bool) admission { return a.of.admit(known, stale, &a.round.reach, a.round.suspectSince) }
	if !a.of.declared {
		h, err := a.of.replicas[0].refresh(ctx, a.round.notBefore)
		known[0] = h
		if err != nil {
			return admission{}, err
		}
		return judge(nil), nil
	}
	type answer struct {
		i   int
		h   Health
		err error
	}
	answers := make(chan answer, len(known))
	left := 0
	for i, m := range a.of.replicas {
		if stale[i] {
			left++
			a.round.crew.run(func() {
				h, err := m.refresh(ctx, a.round.notBefore)
				answers <- answer{i, h, err}
			})
		}
	}
	for ; left > 0; left-- {
		if adm := judge(stale); len(adm.candidates) > 0 {
			return adm, nil
		}
		in := <-answers
		if in.err != nil {
			return admission{}, in.err
		}
		known[in.i], stale[in.i] = in.h, false
	}
	return judge(nil), nil
}

// outcome is what became of the member, and of each replica of a group that was
// asked. warnings are what was passed on.
func (a *asked) outcome(r result, warnings []error) (own store.MemberOutcome, replicas []store.MemberOutcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.winner != nil {
		own = a.winner.outcome
		own.FirstSeries = a.first
	}
	own.Member, own.Status, own.Err, own.Reason = a.of.name, r.status, r.err, r.reason
	own.LabelSets, own.Duration, own.Warnings = a.round.fanout.announced(a.labelSets), a.took, warnings
	if !a.of.declared {
		return own, nil
	}
	for _, t := range a.attempts {
		o := t.outcome
		o.LabelSets = own.LabelSets
		switch {
		case t == a.winner:
			o.Status, o.Err, o.Reason, o.Warnings = own.Status, own.Err, own.Reason, own.Warnings
		case a.winner != nil:
			o.Status, o.Reason = store.Pruned, store.PrunedByReplica
		case !t.ended:
			o.Status, o.Err = r.status, r.err
		}
		replicas = append(replicas, o)
	}
	return own, replicas
}

// record adds what became of the member to out: its outcome; those of the
// replicas of a group as "group/replica"; and those that a member that is a
// fan-out recorded itself as "member/theirs". passed is what the member warned of
// and was passed on already.
func (a *asked) record(out *store.Outcome, r result, passed []error) store.MemberOutcome {
	for _, t := range a.answering() {
		for _, err := range t.nested.Warnings() {
			passed = append(passed, err)
			out.AddWarning(t.wrap(err))
		}
	}
	own, replicas := a.outcome(r, passed)
	out.AddMember(own)
	for _, o := range replicas {
		out.AddMember(o)
	}
	for _, t := range a.answering() {
		for _, m := range t.nested.Members() {
			m.Member = t.member.path + "/" + m.Member
			out.AddMember(m)
		}
		out.AddOmitted(t.nested.Omitted())
		for _, h := range t.nested.Hints() {
			out.AddHints(h)
		}
	}
	return own
}

// answering returns the attempts that count: the one whose answer is the
// member's or, if there is none, all.
func (a *asked) answering() []*attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.winner != nil {
		return []*attempt{a.winner}
	}
	return a.attempts
}
