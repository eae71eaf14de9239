package fanout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// Health is what a fan-out knows of one of its members.
type Health struct {
	// Member is the member's name.
	Member string
	// Group is its declared group, empty if it is by itself.
	Group string
	// Strict says that it is asked, and stays, while it does not describe itself.
	Strict bool
	// Info is what the member said of itself last. It is the zero Info, which
	// says nothing, if the member is no store.Describer or never answered.
	Info store.Info
	// InfoTime is when it said so; zero if it never did.
	InfoTime time.Time
	// Err is why the member cannot be asked: a *store.Error. It is nil for a
	// member that can be.
	Err error
	// Since is since when the member has been as it is now, with an Err or
	// without; zero if it was never asked for its Info.
	Since time.Time
	// Removed says that the member has had an Err for so long that the fan-out
	// goes on as if it were not there.
	Removed bool
	// Checked is when the member was last asked for its Info, whether it
	// answered or not; zero if it never was.
	Checked time.Time
}

// errUndescribed is the Err of a member that is to be asked for its Info first.
var errUndescribed = errors.New("not yet described")

// member is a Member with what is known of it. It is safe for concurrent use.
type member struct {
	name string
	// whole is the Store itself; reduced is the Store with replica labels
	// removed and other shards left out by middleware, for a member that cannot.
	// Both recover from panics.
	whole, reduced store.Store
	describes      bool
	invalid        error                      // why it can never be asked
	changed        func(before, after Health) // told of every answer

	mu         sync.Mutex
	health     Health
	refreshing chan struct{} // closed when the Describe that runs has ended
}

func newMember(m Member, invalid error, changed func(before, after Health)) *member {
	out := &member{name: m.Name, invalid: invalid, changed: changed, health: Health{Member: m.Name}}
	if invalid != nil {
		out.health.Err = &store.Error{Store: m.Name, Op: opInfo, Err: invalid}
		return out
	}
	out.whole = store.Wrap(m.Store, store.WithRecovery())
	out.reduced = store.Wrap(m.Store, store.WithRecovery(), store.WithExternalLabels(labels.EmptyLabels()))
	if _, out.describes = m.Store.(store.Describer); out.describes {
		out.health.Err = &store.Error{Store: m.Name, Op: opInfo, Err: errUndescribed}
	}
	return out
}

// known returns what is known of the member.
func (m *member) known() Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.health
}

// knownSince returns what is known of the member, and whether it was asked at
// notBefore or later, or need not be.
func (m *member) knownSince(notBefore time.Time) (Health, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.health, m.fresh(notBefore)
}

// fresh is called with the lock held.
func (m *member) fresh(notBefore time.Time) bool {
	if m.invalid != nil || !m.describes {
		return true
	}
	return !m.health.Checked.IsZero() && !m.health.Checked.Before(notBefore)
}

// refresh asks the member for its Info, unless it was asked at notBefore or
// later, for at most timeout, and returns what is known then. Calls at the same
// time share one question.
//
// The error is that of the context, which says nothing about the member.
func (m *member) refresh(ctx context.Context, notBefore time.Time, timeout time.Duration) (Health, error) {
	for {
		m.mu.Lock()
		if m.fresh(notBefore) {
			defer m.mu.Unlock()
			return m.health, nil
		}
		other := m.refreshing
		if other == nil {
			m.refreshing = make(chan struct{})
			m.mu.Unlock()
			return m.describe(ctx, timeout)
		}
		m.mu.Unlock()
		select {
		case <-other: // look again: it may have ended with its own context
		case <-ctx.Done():
			return Health{}, ctx.Err()
		}
	}
}

// describe is called by the one that set refreshing.
func (m *member) describe(ctx context.Context, timeout time.Duration) (Health, error) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		close(m.refreshing)
		m.refreshing = nil
	}()
	dctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	info, err := store.Describe(dctx, m.whole)
	if ctx.Err() != nil {
		return Health{}, ctx.Err()
	}
	before := m.known()
	after := before
	after.Checked = time.Now()
	if err == nil {
		after.Info, after.InfoTime, after.Err = info, after.Checked, nil
	} else {
		if !errors.Is(err, store.ErrUnavailable) {
			err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
		}
		after.Err = named(m.name, opInfo, err)
	}
	m.mu.Lock()
	m.health = after
	m.mu.Unlock()
	m.changed(before, after)
	return after, nil
}

// inherit takes over what was known of a member of the same name.
func (m *member) inherit(old *member) {
	h := old.known()
	if m.invalid == nil && m.describes && !h.Checked.IsZero() {
		m.health = h
	}
}

// admits reports whether the member is to be asked: pruned says why it need
// not be, err why it cannot be.
//
// A member that cannot be asked is not missed if the external labels that it
// announced last do not match. Its time range may have moved on.
func (h *Health) admits(r *reach) (pruned string, err error) {
	if h.Err != nil {
		if h.InfoTime.IsZero() {
			return "", h.Err
		}
		if _, pruned = h.Info.MayHold(math.MinInt64, math.MaxInt64, r.matchers); pruned != "" {
			return pruned, nil
		}
		return "", h.Err
	}
	_, pruned = h.Info.MayHold(r.mint, r.maxt, r.matchers)
	return pruned, nil
}

// reach is what of a request decides which members are asked, and how.
type reach struct {
	mint, maxt           int64
	matchers             []*labels.Matcher
	withoutReplicaLabels []string
	shard                *store.Shard
}

// store returns the Store to ask, given what the member said of itself.
func (m *member) store(info *store.Info, r *reach) store.Store {
	switch {
	case len(r.withoutReplicaLabels) > 0 && !info.SupportsWithoutReplicaLabels,
		r.shard != nil && r.shard.Total > 0 && !info.SupportsSharding:
		return m.reduced
	}
	return m.whole
}
