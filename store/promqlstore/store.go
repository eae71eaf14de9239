package promqlstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/metric"
	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// Endpoints, below the URL of the server.
const (
	queryEndpoint       = "api/v1/query"
	seriesEndpoint      = "api/v1/series"
	labelNamesEndpoint  = "api/v1/labels"
	labelValuesEndpoint = "api/v1/label/%s/values"
)

// Store is a server of Prometheus' HTTP API as a store.Store,
// store.LabelQuerier and store.Describer. It is safe for concurrent use.
//
// Errors of all calls are *store.Error with one of these inside:
//
//   - store.ErrUnavailable: the server is down or too slow;
//   - *StatusError: it refused; some codes are a store.ErrUnavailable;
//   - store.ErrMalformed: it answered what cannot be understood, among that
//     *ContentTypeError;
//   - *store.LimitError: the answer is larger than the options allow, or would
//     take too many windows;
//   - *Warning and *HistogramError, under store.Abort;
//   - the context's error, if that ended first.
type Store struct {
	opts     Options
	http     *promapi.Client
	received *prometheus.CounterVec
	tracer   trace.Tracer
	close    func()
}

var (
	_ store.Store        = (*Store)(nil)
	_ store.LabelQuerier = (*Store)(nil)
	_ store.Describer    = (*Store)(nil)
)

// New returns a Store that reads from the server at rawURL, such as
// "http://prometheus:9090" or "https://host/prefix?tenant=x"; the path is what
// precedes "/api/v1", and parameters are sent with every request. It does no
// I/O. Options may be nil.
//
// Errors: what is wrong with the URL and the options, joined.
func New(rawURL string, opts *Options) (*Store, error) {
	u, err := promapi.ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	o, err := opts.complete(u)
	received := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "thanoskit_promqlstore_received_bytes_total",
		Help: "Bytes received in answers to calls of the store, by endpoint.",
	}, []string{"endpoint"})
	if rerr := metric.Register(o.Registerer, &received); rerr != nil {
		err = errors.Join(err, fmt.Errorf("register metrics: %w", rerr))
	}
	if err != nil {
		return nil, err
	}
	client, closeIdle := o.Client, func() {}
	if client == nil {
		client, closeIdle = promapi.NewClient()
	}
	return &Store{
		opts: o, received: received, close: closeIdle,
		http:   &promapi.Client{Base: u, HTTP: client},
		tracer: o.TracerProvider.Tracer("github.com/thanoskit/thanoskit/store/promqlstore"),
	}, nil
}

// Close lets go of the idle connections of a client that New made; a client of
// the caller's is left alone. Calls that run are not disturbed.
func (s *Store) Close() error {
	s.close()
	return nil
}

// Describe announces the range of time that the options leave. It asks nobody.
func (s *Store) Describe(ctx context.Context) (store.Info, error) {
	var info store.Info
	if s.opts.MinTime != 0 || s.opts.MaxTime != 0 || s.opts.MaxAge != 0 {
		info.MinTime, info.MaxTime = s.opts.bounds()
	}
	return info, ctx.Err()
}

// Series sends the series of the server; see store.Store for the contract.
// MaxResolution, Aggregates and hints have no effect.
//
// Cost: the chunks of the whole answer, and the text of one series of one window.
// With SkipChunks, the labels of the whole answer.
func (s *Store) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) (err error) {
	ctx, end := s.start(ctx, "promqlstore.Series")
	defer func() { end(err) }()
	mint, maxt, ok := s.clip(req.MinTime, req.MaxTime)
	if !ok {
		return ctx.Err()
	}
	out := &sender{w: w}
	if req.SkipChunks {
		err = s.labelSets(ctx, req, mint, maxt, out)
	} else {
		err = s.samples(ctx, req, mint, maxt, out)
	}
	if out.err != nil { // the reader had enough
		return out.err
	}
	return s.fail(ctx, "series", err)
}

// clip returns the part of a range that the options leave, and whether there is
// one.
func (s *Store) clip(mint, maxt int64) (int64, int64, bool) {
	lo, hi := s.opts.bounds()
	mint, maxt = max(mint, lo), min(maxt, hi)
	return mint, maxt, mint <= maxt
}

// fail says that the Store failed at op, or that the context ended.
func (s *Store) fail(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return &store.Error{Store: s.opts.Name, Op: op, Err: err}
}

// start begins a span; the result ends it.
func (s *Store) start(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, span := s.tracer.Start(ctx, name, trace.WithAttributes(attribute.String("store", s.opts.Name)))
	return ctx, func(err error) {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// sender tells errors of the writer from others.
type sender struct {
	w   store.SeriesWriter
	err error
}

func (s *sender) frame(f *encoded.Frame) error {
	s.err = wire.Send(s.w, f)
	return s.err
}

// warn passes a warning on, or makes it the error that it is under Abort.
func (s *sender) warn(req *store.SeriesRequest, err error) error {
	if req.Strategy == store.Abort {
		return err
	}
	s.err = s.w.Warn(err)
	return s.err
}
