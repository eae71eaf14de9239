package promstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/store"
)

// RemoteReadOptions of NewRemoteRead. The zero value is ready for use.
type RemoteReadOptions struct {
	// Name is the store's name in errors and spans. Empty is its URL without
	// password.
	Name string
	// Client sends all requests; see Options.Client.
	Client *http.Client
	// ExternalLabels are given to every series, under the rules of
	// store.WithExternalLabels. They have to include those that the server adds
	// by itself, as Prometheus does with its own, because it adds them after
	// sorting.
	ExternalLabels labels.Labels
	// Unsorted says that streamed answers are not sorted by labels, such as those
	// of a Prometheus whose external labels are not known. They are held in
	// memory as a whole then and sorted. Sampled answers always are.
	Unsorted bool
	// SamplesOnly asks for sampled answers only. A server that knows no others
	// need not be told.
	SamplesOnly bool
	// TenantHeader is the header that tells the server the Tenant of a request,
	// such as "X-Scope-OrgID". Empty tells nothing.
	TenantHeader string
	// MinTime and MaxTime bound what is asked for and announced, in milliseconds
	// since the epoch, both inclusive. 0 is no bound, and if both are 0 nothing
	// is said of time.
	MinTime, MaxTime int64
	// MaxResponseBytes bounds one answer; see Options.MaxResponseBytes.
	MaxResponseBytes int64

	// Registerer registers the metrics, which Stores that share one share; nil
	// leaves them unregistered.
	Registerer prometheus.Registerer
	// TracerProvider makes a span of each call; nil makes none.
	TracerProvider trace.TracerProvider
}

// RemoteRead is a remote read URL as a store.Store, store.LabelQuerier and
// store.Describer. It is safe for concurrent use.
//
// It needs nothing but that URL, so that it works with whatever answers remote
// read, in samples or streamed. Remote read has no question for labels: series
// without chunks are asked for with a hint that no samples are wanted, which
// Prometheus obeys and others answer with samples that are skipped undecoded.
// Label names and values are derived from such series.
//
// Errors are those of Store.
type RemoteRead struct {
	opts   RemoteReadOptions
	store  store.Store
	remote *remoteReader
	tracer trace.Tracer
	close  func()
}

var (
	_ store.Store        = (*RemoteRead)(nil)
	_ store.LabelQuerier = (*RemoteRead)(nil)
	_ store.Describer    = (*RemoteRead)(nil)
)

// NewRemoteRead returns a Store that reads from rawURL, the address of remote
// read itself, such as "http://prometheus:9090/api/v1/read". It does no I/O.
// Options may be nil.
//
// Errors: what is wrong with the URL and the options, joined.
func NewRemoteRead(rawURL string, opts *RemoteReadOptions) (*RemoteRead, error) {
	u, err := promapi.ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	var o RemoteReadOptions
	if opts != nil {
		o = *opts
	}
	var errs []error
	if o.MaxResponseBytes < 0 {
		errs = append(errs, fmt.Errorf("option MaxResponseBytes: %d is negative", o.MaxResponseBytes))
	}
	if o.MaxTime != 0 && o.MinTime > o.MaxTime {
		errs = append(errs, fmt.Errorf("option MinTime: %d is after MaxTime %d", o.MinTime, o.MaxTime))
	}
	m, err := newReadMetrics(o.Registerer)
	if err != nil {
		errs = append(errs, fmt.Errorf("register metrics: %w", err))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if o.Name == "" {
		o.Name = u.Redacted()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = noop.NewTracerProvider()
	}
	client, closeIdle := o.Client, func() {}
	if client == nil {
		client, closeIdle = promapi.NewClient()
	}
	s := &RemoteRead{opts: o, tracer: o.TracerProvider.Tracer(tracerName), close: closeIdle}
	s.remote = newRemoteReader(&promapi.Client{Base: u, HTTP: client}, "", o.MaxResponseBytes, m)
	s.remote.samplesOnly, s.remote.tenantHeader = o.SamplesOnly, o.TenantHeader
	s.store = store.Func(s.read)
	if o.Unsorted {
		s.store = store.Wrap(s.store, store.WithSorting())
	}
	s.store = store.Wrap(s.store, store.WithExternalLabels(o.ExternalLabels))
	return s, nil
}

// Close lets go of the idle connections of a client that NewRemoteRead made; a
// client of the caller's is left alone.
func (s *RemoteRead) Close() error {
	s.close()
	return nil
}

// read is the server as a Store without external labels of its own.
func (s *RemoteRead) read(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	out := &sender{w: w}
	err := s.remote.read(ctx, req, s.opts.ExternalLabels.IsEmpty() && !s.opts.Unsorted, out)
	switch {
	case out.err != nil: // the reader had enough
		return out.err
	case err != nil && ctx.Err() != nil:
		err = ctx.Err()
	}
	if err != nil {
		return &store.Error{Store: s.opts.Name, Op: "series", Err: err}
	}
	return nil
}

// bounds returns the part of a range that is asked for, and whether there is one.
func (s *RemoteRead) bounds(mint, maxt int64) (int64, int64, bool) {
	lo, hi := s.timeRange()
	mint, maxt = max(mint, lo), min(maxt, hi)
	return mint, maxt, mint <= maxt
}

func (s *RemoteRead) timeRange() (mint, maxt int64) {
	mint, maxt = math.MinInt64, math.MaxInt64
	if s.opts.MinTime != 0 {
		mint = s.opts.MinTime
	}
	if s.opts.MaxTime != 0 {
		maxt = s.opts.MaxTime
	}
	return mint, maxt
}

// Series sends the series of the server; see store.Store for the contract.
// MaxResolution, Aggregates and hints have no effect.
//
// Cost: a streamed answer is sent as it comes, but for what
// store.WithExternalLabels holds back; a sampled one is held in memory as a
// whole.
func (s *RemoteRead) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) (err error) {
	ctx, end := startSpan(ctx, s.tracer, "promstore.RemoteRead.Series", s.opts.Name)
	defer func() { end(err) }()
	r := *req
	var ok bool
	if r.MinTime, r.MaxTime, ok = s.bounds(req.MinTime, req.MaxTime); !ok {
		return ctx.Err()
	}
	return s.store.Series(ctx, &r, w)
}

// LabelNames returns label names; see store.LabelQuerier.
//
// Cost: the labels of all series in range.
func (s *RemoteRead) LabelNames(ctx context.Context, req *store.LabelNamesRequest) (_ []string, err error) {
	ctx, end := startSpan(ctx, s.tracer, "promstore.RemoteRead.LabelNames", s.opts.Name)
	defer func() { end(err) }()
	r := *req
	var ok bool
	if r.MinTime, r.MaxTime, ok = s.bounds(req.MinTime, req.MaxTime); !ok {
		return nil, ctx.Err()
	}
	return store.LabelNames(ctx, s.store, &r)
}

// LabelValues returns the values of a label; see store.LabelQuerier.
//
// Cost: the labels of the series in range that have the label.
func (s *RemoteRead) LabelValues(ctx context.Context, req *store.LabelValuesRequest) (_ []string, err error) {
	ctx, end := startSpan(ctx, s.tracer, "promstore.RemoteRead.LabelValues", s.opts.Name)
	defer func() { end(err) }()
	r := *req
	var ok bool
	if r.MinTime, r.MaxTime, ok = s.bounds(req.MinTime, req.MaxTime); !ok {
		return nil, ctx.Err()
	}
	return store.LabelValues(ctx, s.store, &r)
}

// Describe announces the external labels, and the time range if there are
// bounds. It asks nobody.
func (s *RemoteRead) Describe(ctx context.Context) (store.Info, error) {
	info, err := store.Describe(ctx, s.store)
	if err != nil {
		return store.Info{}, err
	}
	if s.opts.MinTime != 0 || s.opts.MaxTime != 0 {
		info.MinTime, info.MaxTime = s.timeRange()
	}
	return info, nil
}
