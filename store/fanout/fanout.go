package fanout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/thanoskit/thanoskit/store"
)

// Options are what a fan-out may be given. The zero value is ready for use.
type Options struct {
	// Name is what the fan-out is called in the path of a request, by which
	// fan-outs that ask each other in a circle are found out. No two fan-outs
	// that may come to ask each other have the same; random if empty.
	Name string
	// SelectorLabels describe the fan-out as a whole to those that stack another
	// one over it: its Info announces them, and matchers on them select or reject
	// the fan-out and are then dropped. Series do not get them. None if empty.
	SelectorLabels labels.Labels
	// BufferBytes is how many bytes of frames all calls together hold that
	// members send ahead of the merge; 64 MiB if 0. One call alone gets four fifths
	// of it. Beside that, each member of each call may always hold one frame.
	BufferBytes int64
	// InfoInterval is the time between two questions of Run for the members'
	// Info; 5 s if 0.
	InfoInterval time.Duration
	// InfoTimeout is how long a member may take to answer one; 5 s if 0.
	InfoTimeout time.Duration
	// RemoveAfter is how long a member that is not Strict may go on not
	// describing itself before it is dropped, until it does; 5 min if 0.
	RemoveAfter time.Duration
	// HedgeDelay is how long a declared group waits for the first series of the
	// replica that it asked before it asks another one as well, and takes the
	// answer that comes first. If 0, half of the group's WaitBudget, or of the
	// replica's Deadline if that is less, so that another is asked only where the
	// answer would else be lost; never if there is neither.
	HedgeDelay time.Duration
	// WaitBudget is for how long in all, in one call, the merge waits for one
	// member. One that used it up is TimedOut, and the merge goes on without it.
	// Time in which the merge waits for its own reader does not count. For label
	// names and values it is the member's time to answer. A group has one for all
	// of its replicas. Without limit if 0.
	WaitBudget time.Duration
	// Logger is told of members whose health changes, and of those that are removed;
	// silent if nil. A member that flaps is worth four lines a minute.
	Logger *slog.Logger
	// Registerer gets the metrics; none if nil. Fan-outs with the same one share
	// collectors, which are then sums over them.
	Registerer prometheus.Registerer
	// TracerProvider gets a span for each member, and each replica, that is asked;
	// none if nil.
	TracerProvider trace.TracerProvider
}

func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"BufferBytes", out.BufferBytes},
		{"InfoInterval", int64(out.InfoInterval)},
		{"InfoTimeout", int64(out.InfoTimeout)},
		{"RemoveAfter", int64(out.RemoveAfter)},
		{"HedgeDelay", int64(out.HedgeDelay)},
		{"WaitBudget", int64(out.WaitBudget)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("options: %s is negative", f.name))
		}
	}
	if out.BufferBytes == 0 {
		out.BufferBytes = 64 << 20
	}
	if out.InfoInterval == 0 {
		out.InfoInterval = 5 * time.Second
	}
	if out.InfoTimeout == 0 {
		out.InfoTimeout = 5 * time.Second
	}
	if out.RemoveAfter == 0 {
		out.RemoveAfter = 5 * time.Minute
	}
	out.SelectorLabels = out.SelectorLabels.WithoutEmpty()
	if out.Name == "" {
		out.Name = "fanout-" + rand.Text()
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.TracerProvider == nil {
		out.TracerProvider = noop.NewTracerProvider()
	}
	return out, errors.Join(errs...)
}

// Store is many Stores as one. It is a store.Store, a store.LabelQuerier and a
// store.Describer, and safe for concurrent use.
type Store struct {
	source Source
	opts   Options
	budget budget
	frames framePool
	// branches returns how many branches a call to so many members has.
	branches func(members int) int
	metrics  *metrics
	tracer   trace.Tracer

	set      atomic.Pointer[memberSet]
	updating sync.Mutex
}

// memberSet is the members that a Source yielded.
type memberSet struct {
	source  []Member
	members []*member
	logical []*logical // what they are asked as
}

var (
	_ store.Store        = (*Store)(nil)
	_ store.LabelQuerier = (*Store)(nil)
	_ store.Describer    = (*Store)(nil)
)

// New makes a fan-out over the members that source yields. It asks none of them
// anything.
//
// Errors: all that is wrong with the options and with the members of now, joined.
// A member that is wrong later, without a name, without a Store or with a name
// that is taken, counts as one that fails.
func New(source Source, opts *Options) (*Store, error) {
	if source == nil {
		return nil, errors.New("make fan-out: no source of members")
	}
	members := source.Members()
	o, err := opts.withDefaults()
	if err := errors.Join(err, joinMemberErrors(members, checkMembers(members))); err != nil {
		return nil, fmt.Errorf("make fan-out: %w", err)
	}
	f := &Store{source: source, opts: o, branches: branchesOf, tracer: o.TracerProvider.Tracer("github.com/thanoskit/thanoskit/store/fanout")}
	if f.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, fmt.Errorf("make fan-out: %w", err)
	}
	f.budget = budget{used: f.metrics.buffered, size: o.BufferBytes, free: o.BufferBytes}
	f.members()
	return f, nil
}

// members returns the members of now.
func (f *Store) members() *memberSet {
	now := f.source.Members()
	if set := f.set.Load(); set != nil && set.holds(now) {
		return set
	}
	f.updating.Lock()
	defer f.updating.Unlock()
	old := f.set.Load()
	if old != nil && old.holds(now) {
		return old
	}
	set := f.update(old, now)
	f.set.Store(set)
	f.metrics.count(set.members)
	return set
}

// holds reports whether the set was made of the very slice.
func (s *memberSet) holds(source []Member) bool {
	return len(s.source) == len(source) && (len(source) == 0 || &s.source[0] == &source[0])
}

func (f *Store) update(old *memberSet, source []Member) *memberSet {
	known := map[string]*knowledge{}
	balances := map[string]*balance{}
	if old != nil {
		for _, m := range old.members {
			if m.invalid == nil {
				known[m.name] = m.knowledge
			}
		}
		for _, l := range old.logical {
			if l.declared {
				balances[l.name] = l.balance
			}
		}
	}
	set := &memberSet{source: source, members: make([]*member, len(source))}
	invalid := checkMembers(source)
	for i, s := range source {
		set.members[i] = f.newMember(s, invalid[i], known[s.Name])
		if invalid[i] != nil {
			f.opts.Logger.Warn("member cannot be asked", "store", s.Name, "err", invalid[i])
		}
	}
	set.logical = group(set.members, source, balances, f.opts.WaitBudget)
	return set
}

// maxAge is the age up to which what a member said of itself is acted upon.
// While Run runs, nothing becomes older.
func (f *Store) maxAge() time.Duration { return 2*f.opts.InfoInterval + f.opts.InfoTimeout }

// Run asks the members for their Info, again and again, until the context ends,
// and then returns nil. Without it, a request that comes upon a member that was
// last asked twice the interval and the timeout ago asks it first.
func (f *Store) Run(ctx context.Context) error {
	t := time.NewTicker(f.opts.InfoInterval)
	defer t.Stop()
	for {
		_ = f.Sync(ctx) // a member's error is kept as its Health, and logged
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Sync asks all members for their Info once, all at the same time.
//
// Errors: that of the context, or one *store.Error, joined, for each member that
// cannot be asked. What is known of the others is up to date even so.
func (f *Store) Sync(ctx context.Context) error {
	health, err := f.refresh(ctx, time.Now())
	if err != nil {
		return err
	}
	var errs []error
	for i := range health {
		errs = append(errs, health[i].Err)
	}
	return errors.Join(errs...)
}

// refresh returns what is known of the members, none of it older than notBefore.
// The error is that of the context.
func (f *Store) refresh(ctx context.Context, notBefore time.Time) ([]Health, error) {
	return f.refreshed(ctx, f.members().members, notBefore)
}

func (f *Store) refreshed(ctx context.Context, members []*member, notBefore time.Time) ([]Health, error) {
	out := make([]Health, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		var fresh bool
		if out[i], fresh = m.knownSince(notBefore); fresh {
			continue
		}
		wg.Go(func() {
			if h, err := m.refresh(ctx, notBefore); err == nil {
				out[i] = h
			}
		})
	}
	wg.Wait()
	return out, ctx.Err()
}

// Health returns what is known of each member, replicas of groups and those that
// were removed among them, in the order of the Source. It asks none of them.
func (f *Store) Health() []Health {
	members := f.members().members
	out := make([]Health, len(members))
	for i, m := range members {
		out[i] = m.known()
	}
	return out
}
