package fanout

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// round is one call of a fan-out, of whatever kind.
type round struct {
	fanout   *Store
	op       string
	strategy store.PartialResponseStrategy
	require  [][]*labels.Matcher
	reach    reach

	parent context.Context
	ctx    context.Context // ends with the parent, or when the call does
	cancel context.CancelCauseFunc
	crew   crew

	notBefore    time.Time // what is known of members from before is out of date
	suspectSince time.Time // replicas that failed after this are tried last
}

// begin begins a round, whose fields up to reach are set.
func (r *round) begin(ctx context.Context) {
	r.parent = ctx
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	now := time.Now()
	r.notBefore, r.suspectSince = now.Add(-r.fanout.maxAge()), now.Add(-r.fanout.opts.InfoInterval)
}

// consider ends the call if the result of a member calls for that.
func (r *round) consider(a *asked) {
	a.mu.Lock()
	res := a.result
	a.mu.Unlock()
	if err := r.fatal(a, res); err != nil {
		r.cancel(err)
	}
}

// fatal is the error that ends the call because of what became of a member; nil
// if the call goes on.
func (r *round) fatal(a *asked, res result) error {
	if !res.failed() {
		return nil
	}
	if len(r.require) > 0 {
		own, _ := a.outcome(res, nil)
		var one store.Outcome
		one.AddMember(own)
		for _, ms := range r.require {
			err := one.Require([][]*labels.Matcher{ms})
			if e, ok := errors.AsType[*store.IncompleteError](err); ok && len(e.Members) > 0 {
				return err
			}
		}
	}
	if r.strategy == store.Abort {
		return res.err
	}
	return nil
}

// absent reports whether there are no members, or all were removed. All have
// been joined.
func (r *round) absent(members []*asked) bool {
	for _, a := range members {
		if !a.removed {
			return false
		}
	}
	return true
}

// noStores is what becomes of a call that has nobody to ask.
func (r *round) noStores(warn func(error) error) error {
	if r.strategy == store.Abort {
		return store.ErrNoStores
	}
	return warn(store.ErrNoStores)
}

// err is what ends the call once its context has ended.
func (r *round) err() error {
	if err := r.parent.Err(); err != nil {
		return err
	}
	return context.Cause(r.ctx)
}

// leave stops and joins what still runs of a call that is over.
func (r *round) leave(cause error, members []*asked) {
	if cause == nil {
		cause = errReturned
	}
	r.cancel(cause)
	r.crew.join()
	for _, a := range members {
		a.leave()
	}
}

// leave gives up whoever has not ended.
func (a *asked) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.attempts {
		if t.stint != nil {
			t.stint.leave()
		}
	}
	a.settleLocked(a.round.stopped(a.round.ctx, a.wrap))
}

// close records what became of the members in the caller's Outcome, and returns
// what becomes of a call that ended with err. All have been joined.
func (r *round) close(out *store.Outcome, err error, record func(*store.Outcome)) error {
	if len(r.require) == 0 {
		record(out)
		return err
	}
	var own store.Outcome // out may have members of other calls
	record(&own)
	forward(&own, out)
	if err != nil {
		return err
	}
	var final store.Outcome
	members := own.Members()
	for _, m := range members {
		if unwanted(members, &m) {
			m.Status, m.Err = store.Answered, nil
		}
		final.AddMember(m)
	}
	return final.Require(r.require)
}

// unwanted reports whether what is missing of a member's answer lies beyond a
// limit: the one that this call reached, or the one that a member reached that is
// a fan-out too, and has answered although it stopped this one.
func unwanted(all []store.MemberOutcome, m *store.MemberOutcome) bool {
	if m.Status != store.Canceled {
		return false
	}
	return errors.Is(m.Err, errEnough) || slices.ContainsFunc(all, func(above store.MemberOutcome) bool {
		return above.Status == store.Answered && strings.HasPrefix(m.Member, above.Member+"/")
	})
}

// forward records in one Outcome what was recorded in another.
func forward(from, to *store.Outcome) {
	for _, m := range from.Members() {
		to.AddMember(m)
	}
	for _, err := range from.Warnings() {
		to.AddWarning(err)
	}
	for _, h := range from.Hints() {
		to.AddHints(h)
	}
	to.AddOmitted(from.Omitted())
}
