package fanout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/via"
	"github.com/thanoskit/thanoskit/store"
)

// member is a Member with what is known of it. It is safe for concurrent use.
type member struct {
	name string
	// path is its name in outcomes and errors: "group/name" in a group.
	path  string
	group string
	// whole is the Store itself; reduced is the Store with replica labels
	// removed and other shards left out by middleware, for a member that cannot.
	// Both recover from panics.
	whole, reduced store.Store
	describes      bool
	invalid        error // why it can never be asked
	strict         bool
	deadline       time.Duration
	fanout         *Store

	*knowledge
}

// knowledge is what is known of a member. It is kept when the Source yields the
// member anew.
type knowledge struct {
	mu         sync.Mutex
	health     Health
	refreshing chan struct{} // closed when the Describe that runs has ended
	told       changes
	running    int       // calls
	abandoned  int       // of those, that go on although nobody waits for them
	failed     time.Time // when it last failed in place of its group
}

func (f *Store) newMember(m Member, invalid error, known *knowledge) *member {
	out := &member{
		name: m.Name, path: m.Name, group: m.Group, invalid: invalid, strict: m.Strict, deadline: m.Deadline,
		fanout: f, knowledge: known,
	}
	if m.Group != "" {
		out.path = m.Group + "/" + m.Name
	}
	if invalid != nil { // what was known is of another
		out.knowledge = &knowledge{health: Health{Err: &store.Error{Store: m.Name, Op: opInfo, Err: invalid}}}
		return out
	}
	out.whole = store.Wrap(m.Store, store.WithRecovery())
	out.reduced = store.Wrap(m.Store, store.WithRecovery(), store.WithExternalLabels(labels.EmptyLabels()))
	_, out.describes = m.Store.(store.Describer)
	if known == nil {
		out.knowledge = &knowledge{}
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if m.Strict {
		out.health.Removed = false
	}
	switch {
	case !out.describes:
		out.health = Health{}
	case out.health.Checked.IsZero():
		out.health.Err = &store.Error{Store: out.path, Op: opInfo, Err: errUndescribed}
	}
	return out
}

// known returns what is known of the member.
func (m *member) known() Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view()
}

// knownSince returns what is known of the member, and whether it was asked at
// notBefore or later, or need not be.
func (m *member) knownSince(notBefore time.Time) (Health, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.view(), m.fresh(notBefore)
}

// view is called with the lock held.
func (m *member) view() Health {
	h := m.health
	h.Member, h.Group, h.Strict = m.name, m.group, m.strict
	return h
}

// fresh is called with the lock held.
func (m *member) fresh(notBefore time.Time) bool {
	if m.invalid != nil || !m.describes {
		return true
	}
	return !m.health.Checked.IsZero() && !m.health.Checked.Before(notBefore)
}

// refresh asks the member for its Info, unless it was asked at notBefore or
// later, and returns what is known then. Calls at the same time share one
// question.
//
// One that comes by way of another fan-out does not wait for the question of
// another call, which may itself be waiting for the answer to this one, where
// fan-outs ask each other in a circle. It makes do with what is known, however
// old; and if that is nothing, asks for itself.
//
// The error is that of the context, which says nothing about the member.
func (m *member) refresh(ctx context.Context, notBefore time.Time) (Health, error) {
	passing := len(via.From(ctx)) > 0
	for {
		m.mu.Lock()
		if m.fresh(notBefore) {
			defer m.mu.Unlock()
			return m.view(), nil
		}
		other := m.refreshing
		switch {
		case other == nil:
			done := make(chan struct{})
			m.refreshing = done
			m.mu.Unlock()
			return m.describeFor(ctx, done)
		case passing && !m.health.Checked.IsZero():
			defer m.mu.Unlock()
			return m.view(), nil
		case passing:
			m.mu.Unlock()
			return m.describe(ctx)
		}
		m.mu.Unlock()
		select {
		case <-other: // look again: it may have ended with its own context
		case <-ctx.Done():
			return Health{}, ctx.Err()
		}
	}
}

// describeFor is describe for all who wait for done as well.
func (m *member) describeFor(ctx context.Context, done chan struct{}) (Health, error) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(done)
		m.refreshing = nil
	}()
	return m.describe(ctx)
}

// describe asks the member for its Info and keeps what comes of it.
func (m *member) describe(ctx context.Context) (Health, error) {
	info, err := m.info(ctx)
	if ctx.Err() != nil {
		return Health{}, ctx.Err()
	}
	loop := errors.Is(err, store.ErrLoop)
	if err != nil {
		if !errors.Is(err, store.ErrUnavailable) && !loop {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		err = named(m.path, opInfo, err)
	}
	if loop && len(via.From(ctx)) > 0 { // the circle is one of whoever asked us
		h := m.known()
		h.Err = err
		return h, nil
	}
	removeAfter := m.fanout.opts.RemoveAfter
	if m.strict {
		removeAfter = 0
	}
	m.mu.Lock()
	before := m.view()
	after := before.answered(info, err, time.Now(), removeAfter)
	m.health = after
	lines := m.told.lines(&before, &after)
	m.mu.Unlock()
	for _, l := range lines {
		m.fanout.opts.Logger.Log(ctx, l.level, l.message, l.args...) //nolint:sloglint // Constants all, where lines are made.
	}
	if !sameKind(&before, &after) {
		m.fanout.metrics.recount(m)
	}
	return after, nil
}

// info asks the member for its Info and does not wait for one that does not
// heed the end of its time.
func (m *member) info(ctx context.Context) (store.Info, error) {
	stint := m.start()
	if stint == nil {
		return store.Info{}, errAbandoned
	}
	ctx, cancel := context.WithTimeout(m.fanout.via(ctx), m.fanout.opts.InfoTimeout)
	defer cancel()
	type answer struct {
		info store.Info
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		a := answer{err: errExited}
		defer func() {
			stint.end()
			answered <- a
		}()
		a.info, a.err = store.Describe(ctx, m.whole)
	}()
	select {
	case a := <-answered:
		return a.info, a.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(cancelGrace)
	defer grace.Stop()
	select {
	case a := <-answered:
		return a.info, a.err
	case <-grace.C:
		stint.leave()
		return store.Info{}, ctx.Err()
	}
}
