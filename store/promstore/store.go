package promstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/store"
)

// Store is a running Prometheus as a store.Store, store.LabelQuerier and
// store.Describer. It is safe for concurrent use.
//
// Nothing is known of Prometheus before the first Sync, which Run does: until one
// has succeeded every call fails, with ErrNotSynced or with what made it fail.
//
// Errors of all calls are *store.Error with one of these inside:
//
//   - store.ErrUnavailable: Prometheus is down, restarting or too slow, or not
//     synced yet;
//   - *StatusError: it refused; some codes are a store.ErrUnavailable;
//   - store.ErrMalformed: it answered what cannot be understood, among that
//     *ContentTypeError;
//   - *store.EncodingError: it sent a chunk that the StoreAPI cannot carry;
//   - *store.LimitError: it sent more than Options.MaxResponseBytes;
//   - the context's error, if that ended first.
type Store struct {
	opts    Options
	http    *promapi.Client
	remote  *remoteReader
	metrics *metrics
	tracer  trace.Tracer
	close   func()

	syncing sync.Mutex
	state   atomic.Pointer[state] // never nil
}

var (
	_ store.Store        = (*Store)(nil)
	_ store.LabelQuerier = (*Store)(nil)
	_ store.Describer    = (*Store)(nil)
)

// New returns a Store that reads from the Prometheus at rawURL, such as
// "http://prometheus:9090" or "https://host/prefix?tenant=x"; the path is a
// prefix (Prometheus' --web.external-url), and parameters are sent with every
// request. It does no I/O. Options may be nil.
//
// Errors: what is wrong with the URL and the options, joined.
func New(rawURL string, opts *Options) (*Store, error) {
	u, err := promapi.ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	o, err := opts.complete(u)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	client, closeIdle := o.Client, func() {}
	if client == nil {
		client, closeIdle = promapi.NewClient()
	}
	s := &Store{
		opts: o, metrics: m, close: closeIdle,
		http:   &promapi.Client{Base: u, HTTP: client},
		tracer: o.TracerProvider.Tracer(tracerName),
	}
	s.remote = newRemoteReader(s.http, readEndpoint, o.MaxResponseBytes, &m.readMetrics)
	s.state.Store(&state{err: s.fail("info", errNotSynced())})
	return s, nil
}

func errNotSynced() error { return fmt.Errorf("%w: %w", store.ErrUnavailable, ErrNotSynced) }

// Close lets go of the idle connections of a client that New made; a client of
// the caller's is left alone. Calls that run are not disturbed.
func (s *Store) Close() error {
	s.close()
	return nil
}

// ExternalLabels returns the external labels found by the last Sync that
// succeeded; empty before.
func (s *Store) ExternalLabels() labels.Labels { return s.state.Load().external }

// Version returns the version of Prometheus, such as "3.9.1", found by the last
// Sync that succeeded; empty before.
func (s *Store) Version() string { return s.state.Load().version.text }

// Series sends the series of Prometheus; see store.Store for the contract.
//
// Data before Options.MinTime, Options.MaxAge or the lowest timestamp of
// Prometheus is not asked for. MaxResolution, Aggregates and hints have no
// effect: there is raw data only.
//
// Cost: a streamed answer holds back the series of one metric name for sorting,
// see store.WithExternalLabels; a sampled one, and one without chunks, is held
// in memory as a whole.
func (s *Store) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) (err error) {
	ctx, end := s.start(ctx, "promstore.Series")
	defer func() { end(err) }()
	st, err := s.ready("series")
	if err != nil {
		return err
	}
	r := *req
	r.MinTime = max(req.MinTime, s.minTime(st))
	if r.MinTime > r.MaxTime {
		return nil
	}
	return st.store.Series(ctx, &r, w)
}

// LabelNames returns label names; see store.LabelQuerier. What Prometheus warns
// of goes to the request's Outcome, or is an error if its Strategy is Abort.
func (s *Store) LabelNames(ctx context.Context, req *store.LabelNamesRequest) (_ []string, err error) {
	ctx, end := s.start(ctx, "promstore.LabelNames")
	defer func() { end(err) }()
	st, err := s.ready("label names")
	if err != nil {
		return nil, err
	}
	r := *req
	r.MinTime = max(req.MinTime, s.minTime(st))
	if r.MinTime > r.MaxTime {
		return nil, nil
	}
	return store.LabelNames(ctx, st.store, &r)
}

// LabelValues returns the values of a label; see store.LabelQuerier. What
// Prometheus warns of goes to the request's Outcome, or is an error if its
// Strategy is Abort.
func (s *Store) LabelValues(ctx context.Context, req *store.LabelValuesRequest) (_ []string, err error) {
	ctx, end := s.start(ctx, "promstore.LabelValues")
	defer func() { end(err) }()
	st, err := s.ready("label values")
	if err != nil {
		return nil, err
	}
	r := *req
	r.MinTime = max(req.MinTime, s.minTime(st))
	if r.MinTime > r.MaxTime {
		return nil, nil
	}
	if v := st.external.Get(r.Label); v != "" && onlyExternal(st.external, r.Matchers) {
		return s.externalValue(ctx, st, &r, v)
	}
	return store.LabelValues(ctx, st.store, &r)
}

// externalValue answers for an external label that no other label is to be
// matched with: if Prometheus has any label in the range it has a series, which
// is cheaper to find out than to list series.
func (s *Store) externalValue(ctx context.Context, st *state, req *store.LabelValuesRequest, v string) ([]string, error) {
	if slices.Contains(req.WithoutReplicaLabels, req.Label) {
		return nil, nil
	}
	names, err := store.LabelNames(ctx, st.store, &store.LabelNamesRequest{
		MinTime: req.MinTime, MaxTime: req.MaxTime, Matchers: req.Matchers, Strategy: req.Strategy, Outcome: req.Outcome,
	})
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return []string{v}, nil
}

func onlyExternal(external labels.Labels, ms []*labels.Matcher) bool {
	return !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return external.Get(m.Name) == "" })
}

// Describe says what Prometheus holds: from the latest of Options.MinTime,
// Options.MaxAge and its lowest timestamp on, with its external labels. The
// component is "sidecar".
//
// Errors: what made the last Sync fail. It is a store.ErrUnavailable,
// ErrNoExternalLabels, or one of the others of the package.
func (s *Store) Describe(ctx context.Context) (store.Info, error) {
	st := s.state.Load()
	if st.err != nil {
		return store.Info{}, st.err
	}
	info, err := store.Describe(ctx, st.store)
	if err != nil {
		return store.Info{}, err
	}
	info.MinTime = s.minTime(st)
	for i := range info.TSDBs {
		info.TSDBs[i].MinTime = info.MinTime
	}
	return info, nil
}

// ready returns the state that a call is answered with.
func (s *Store) ready(op string) (*state, error) {
	st := s.state.Load()
	if !st.synced {
		return nil, s.fail(op, errors.Unwrap(st.err))
	}
	return st, nil
}

// minTime is the time before which there is no data, in milliseconds.
func (s *Store) minTime(st *state) int64 {
	mint := st.lowest
	if s.opts.MinTime != 0 {
		mint = max(mint, s.opts.MinTime)
	}
	if s.opts.MaxAge != 0 {
		mint = max(mint, time.Now().Add(-s.opts.MaxAge).UnixMilli())
	}
	return mint
}

// fail says which Store failed at what.
func (s *Store) fail(op string, err error) error {
	return &store.Error{Store: s.opts.Name, Op: op, Err: err}
}

// start begins a span; the result ends it.
func (s *Store) start(ctx context.Context, name string) (context.Context, func(error)) {
	return startSpan(ctx, s.tracer, name, s.opts.Name)
}

const tracerName = "github.com/thanoskit/thanoskit/store/promstore"

func startSpan(ctx context.Context, tracer trace.Tracer, name, store string) (context.Context, func(error)) {
	ctx, span := tracer.Start(ctx, name, trace.WithAttributes(attribute.String("store", store)))
	return ctx, func(err error) {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// maxTime is the end of time: Prometheus gets data as long as it runs.
const maxTime = math.MaxInt64
