package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// Source is the members that were discovered, with a connection each. It is a
// fanout.Source, and safe for concurrent use.
type Source struct {
	opts    Options
	metrics *metrics
	members atomic.Pointer[[]fanout.Member]
	status  atomic.Pointer[[]Status]

	turn chan struct{} // has room for the one that refreshes
	// What follows is the turn's.
	closed  bool
	config  *file[*Config] // nil: none
	files   map[string]*file[[]Endpoint]
	lookups map[string]*lookup // by address
	conns   map[connKey]*conn  // of members
	retired map[connKey]*conn  // of members that are gone
	tls     map[profile]*tlsutil.Client
}

var _ fanout.Source = (*Source)(nil)

// lookup is what an address was resolved to.
type lookup struct {
	address address
	answer  []target
	known   bool // there was an answer
	err     error
	checked time.Time
}

// New makes a Source. It reads no file, looks nothing up and has no members until
// Refresh or Run.
//
// Errors: all that is wrong with the options, joined.
func New(opts *Options) (*Source, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("make discovery: %w", err)
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("make discovery: register metrics: %w", err)
	}
	s := &Source{
		opts: o, metrics: m, turn: make(chan struct{}, 1),
		files: map[string]*file[[]Endpoint]{}, lookups: map[string]*lookup{}, conns: map[connKey]*conn{}, retired: map[connKey]*conn{}, tls: map[profile]*tlsutil.Client{},
	}
	if o.ConfigFile != "" {
		s.config = &file[*Config]{path: o.ConfigFile, parse: parseConfigFile, value: &Config{}}
	}
	s.members.Store(new([]fanout.Member))
	s.status.Store(new([]Status))
	return s, nil
}

// Members returns those of the last refresh: none before the first.
func (s *Source) Members() []fanout.Member { return *s.members.Load() }

// Status returns what is known of every file, every address that is looked up,
// and every endpoint that cannot be dialed.
func (s *Source) Status() []Status { return slices.Clone(*s.status.Load()) }

// ErrClosed is the error of a Source that was closed.
var ErrClosed = errors.New("discovery is closed")

// Refresh reads all files and looks up all names, now. Calls take turns.
//
// Errors: an *Error for each file and address that something is wrong with,
// joined, which Status has too; what is known of the others is up to date even
// so. Else that of the context, or ErrClosed.
func (s *Source) Refresh(ctx context.Context) error {
	if _, err := s.refresh(ctx, true); err != nil {
		return err
	}
	var errs []error
	for _, st := range *s.status.Load() {
		errs = append(errs, st.Err)
	}
	return errors.Join(errs...)
}

// Run refreshes what is due until ctx ends, and returns nil, or ErrClosed. It logs
// what goes wrong, once for each new reason.
func (s *Source) Run(ctx context.Context) error {
	tick := time.NewTicker(min(s.opts.FileInterval, s.opts.DNSInterval))
	defer tick.Stop()
	for {
		before, err := s.refresh(ctx, false)
		switch {
		case errors.Is(err, ErrClosed):
			return err
		case err == nil:
			logChanges(s.opts.Logger, before, *s.status.Load())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Close closes all connections; calls that run on them fail. There are no members
// afterwards. It waits for a refresh that runs.
func (s *Source) Close() error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.closed = true
	s.members.Store(new([]fanout.Member))
	s.metrics.update(map[string]int{}, 0)
	var errs []error
	for _, c := range s.conns {
		errs = append(errs, c.Close())
	}
	for _, c := range s.retired {
		errs = append(errs, c.Close())
	}
	clear(s.conns)
	clear(s.retired)
	return errors.Join(errs...)
}

// refresh does what is due, or all, and returns the status before. The error is
// that of the context, or ErrClosed.
func (s *Source) refresh(ctx context.Context, all bool) ([]Status, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.closed {
		return nil, ErrClosed
	}
	before := *s.status.Load()
	status := s.readFiles()
	endpoints, profiles := s.endpoints()
	if err := s.lookUp(ctx, endpoints, all); err != nil {
		return nil, err // the answers may be the context's fault
	}
	status = append(status, s.build(endpoints, profiles)...)
	failing := 0
	for _, st := range status {
		if st.Err != nil {
			failing++
		}
	}
	results := make(map[string]int, len(s.lookups))
	for addr, l := range s.lookups {
		results[addr] = len(l.answer)
	}
	s.metrics.update(results, failing)
	s.status.Store(&status)
	return before, nil
}

// readFiles reads all files again.
func (s *Source) readFiles() []Status {
	now := time.Now()
	var status []Status
	report := func(path string, endpoints int, err error, newErr bool) {
		if newErr {
			s.metrics.fileErrors.Inc()
		}
		st := Status{Origin: path, Endpoints: endpoints, Checked: now}
		if err != nil {
			st.Err = &Error{Op: "read", Origin: path, Err: err}
		}
		status = append(status, st)
	}
	if c := s.config; c != nil {
		newErr := c.read()
		report(c.path, len(c.value.Endpoints), c.err, newErr)
	}
	paths := glob(s.opts.Files)
	for _, path := range paths {
		f := s.files[path]
		if f == nil {
			f = &file[[]Endpoint]{path: path, parse: parseTargets}
			s.files[path] = f
		}
		newErr := f.read()
		report(path, len(f.value), f.err, newErr)
	}
	for path := range s.files {
		if !slices.Contains(paths, path) {
			delete(s.files, path)
		}
	}
	return status
}

// endpoints returns all that are configured, each once, and how they are spoken
// with. Of those with the same address the first wins, and is held to what another
// may serve if it says nothing of that itself.
func (s *Source) endpoints() ([]Endpoint, []profile) {
	cfg := &s.opts.Config
	if s.config != nil {
		cfg = cfg.With(s.config.value)
	}
	all := slices.Clone(cfg.Endpoints)
	for _, path := range glob(s.opts.Files) {
		if f := s.files[path]; f != nil {
			all = append(all, f.value...)
		}
	}
	seen := make(map[string]int, len(all)) // where it is in out
	out := all[:0]
	var profiles []profile
	for i := range all {
		e := all[i]
		if at, ok := seen[e.Address]; ok {
			s.metrics.duplicates.Inc()
			if len(out[at].Serves) == 0 {
				out[at].Serves = e.Serves
			}
			continue
		}
		seen[e.Address] = len(out)
		out = append(out, e)
		profiles = append(profiles, e.Client.profile(cfg.DefaultClient))
	}
	return out, profiles
}

// atOnce bounds the lookups that run at a time.
const atOnce = 32

// lookUp brings the lookups up to date: those that are due, or all. The error is
// that of the context.
func (s *Source) lookUp(ctx context.Context, endpoints []Endpoint, all bool) error {
	now := time.Now()
	wanted := make(map[string]bool, len(endpoints))
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range endpoints {
		addr, err := parseAddress(endpoints[i].Address)
		if err != nil || addr.kind == static { // the error was found before
			continue
		}
		wanted[addr.raw] = true
		l := s.lookups[addr.raw]
		if l == nil {
			l = &lookup{address: addr}
			s.lookups[addr.raw] = l
		}
		if !all && !l.due(now, s.opts.DNSInterval) {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s.lookUpOne(ctx, l)
		})
	}
	wg.Wait()
	for addr := range s.lookups {
		if !wanted[addr] {
			delete(s.lookups, addr)
		}
	}
	return ctx.Err()
}

func (l *lookup) due(now time.Time, interval time.Duration) bool {
	if l.err != nil {
		interval = min(interval, retryInterval)
	}
	return l.checked.IsZero() || now.Sub(l.checked) >= interval
}

// lookUpOne keeps the answer that there was if there is no new one.
func (s *Source) lookUpOne(ctx context.Context, l *lookup) {
	lctx, cancel := context.WithTimeout(ctx, s.opts.LookupTimeout)
	defer cancel()
	answer, err := l.address.resolve(lctx, s.opts.Resolver)
	if ctx.Err() != nil {
		return
	}
	s.metrics.lookups.Inc()
	l.checked, l.err = time.Now(), err
	if err != nil {
		s.metrics.lookupFailures.Inc()
		l.err = &Error{Op: "look up", Origin: l.address.raw, Err: err}
		return
	}
	l.answer, l.known = answer, true
}
