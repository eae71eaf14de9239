package remoteread

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/thanoskit/thanoskit/internal/remoteproto"
	"github.com/thanoskit/thanoskit/store"
)

// Handler answers remote read requests from a Store. It is safe for concurrent
// use.
type Handler struct {
	store   store.Store
	opts    Options
	metrics *metrics
	slots   chan struct{}
}

var _ http.Handler = (*Handler)(nil)

// New returns a Handler that reads from s. opts may be nil.
//
// Errors: what is wrong with the options, joined.
func New(s store.Store, opts *Options) (*Handler, error) {
	o, err := opts.complete()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return &Handler{store: s, opts: o, metrics: m, slots: make(chan struct{}, o.MaxConcurrent)}, nil
}

// ServeHTTP answers one ReadRequest. Its queries are answered one after the
// other.
//
// Errors, as status codes with text: 400 for a request that cannot be understood
// or that exceeds a limit, 405 for other methods than POST, 413 for a request
// that is too large, 503 if the Store is unavailable or an answer is partial, 504
// if it took too long, 500 for the rest.
//
// Source: Prometheus' storage/remote/read_handler.go.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := &answer{h: h, w: w, r: r, form: "none"}
	err := a.serve(r.Context())
	code := a.fail(err)
	h.metrics.requests.WithLabelValues(a.form, code).Inc()
	if err != nil && r.Context().Err() == nil {
		h.opts.Logger.Warn("remote read failed", "remote", r.RemoteAddr, "err", err)
	}
}

// answer is the answer to one request.
type answer struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	form string // for metrics
	// started says that a part of the answer was written.
	started bool
}

func (a *answer) serve(ctx context.Context) error {
	if a.r.Method != http.MethodPost {
		a.w.Header().Set("Allow", http.MethodPost)
		return &requestError{http.StatusMethodNotAllowed, fmt.Errorf("method %s is not POST", a.r.Method)}
	}
	req, err := readRequest(a.w, a.r, a.h.opts.MaxRequestBytes)
	if err != nil {
		return err
	}
	form, err := negotiate(req.Accept)
	if err != nil {
		return err
	}
	select {
	case a.h.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-a.h.slots }()
	a.h.metrics.queries.Inc()
	defer a.h.metrics.queries.Dec()
	if form == remoteproto.Streamed {
		a.form = "streamed"
		return a.streamed(ctx, req.Queries)
	}
	a.form = "sampled"
	return a.sampled(ctx, req.Queries)
}

// series asks the Store for what a query wants and gives it to emit, series by
// series.
func (a *answer) series(ctx context.Context, q *remoteproto.Query, namesOnly bool, emit emitFunc) error {
	if len(q.Matchers) == 0 || q.MinTime > q.MaxTime { // which select nothing
		return nil
	}
	req := &store.SeriesRequest{
		MinTime: q.MinTime, MaxTime: q.MaxTime, Matchers: q.Matchers, Strategy: store.Abort,
		SkipChunks: namesOnly, Hints: queryHints(q.Hints),
	}
	if a.h.opts.Partial == AcceptPartial {
		req.Strategy = store.Warn
	}
	if a.h.opts.Prepare != nil {
		if err := a.h.opts.Prepare(a.r, req); err != nil {
			return &requestError{http.StatusBadRequest, err}
		}
	}
	g := &gatherer{req: req, emit: emit, warn: a.warn}
	defer g.release()
	if err := a.h.store.Series(ctx, req, g); err != nil {
		return err
	}
	// Whatever the Store says, there may be series missing.
	if err := cmp.Or(g.err, ctx.Err()); err != nil {
		return err
	}
	return g.flush()
}

func (a *answer) warn(err error) error {
	a.h.metrics.warnings.Inc()
	if a.h.opts.Partial != AcceptPartial {
		return &PartialError{Warning: err}
	}
	a.h.opts.Logger.Warn("remote read has a warning", "remote", a.r.RemoteAddr, "err", err)
	return nil
}

// namesOnly reports whether a query wants no samples.
func namesOnly(q *remoteproto.Query) bool {
	return q.Hints != nil && q.Hints.Func == remoteproto.NamesOnly
}

func queryHints(h *remoteproto.Hints) *store.QueryHints {
	if h == nil {
		return nil
	}
	out := &store.QueryHints{
		Step: time.Duration(h.Step) * time.Millisecond, Range: time.Duration(h.Range) * time.Millisecond,
		Func: h.Func, Grouping: h.Grouping, By: h.By,
	}
	if h.Func == remoteproto.NamesOnly { // no function of PromQL
		out.Func = ""
	}
	return out
}

// fail tells the client of an error and returns the code of the answer.
func (a *answer) fail(err error) string {
	if err == nil {
		return "200"
	}
	code := status(err)
	if !a.started {
		h := a.w.Header()
		h.Del("Content-Encoding")
		http.Error(a.w, err.Error(), code)
	} else {
		// The client has given up, or will see that this is no frame: also if the
		// context has ended, which is not always the client's doing.
		_, _ = a.w.Write([]byte(err.Error() + "\n"))
	}
	return fmt.Sprint(code)
}

// status returns the HTTP status code for an error.
func status(err error) int {
	if e, ok := errors.AsType[*requestError](err); ok {
		return e.code
	}
	switch {
	case errors.Is(err, store.ErrInvalidRequest), errors.Is(err, store.ErrLimit):
		return http.StatusBadRequest
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrNoStores), errors.Is(err, ErrPartial), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}
