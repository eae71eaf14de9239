package thanosstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// ServerOptions say how a Store answers Thanos' code. The zero value, and nil,
// are good.
type ServerOptions struct {
	// Component is the kind of component to announce if the Store's own Info
	// names none.
	Component string
	// MetadataKeys are the keys of gRPC metadata, in lower case, that are taken up
	// into requests' Metadata. The tenant always is.
	MetadataKeys []string
	// Logger hears of panics of the Store; nil is silent.
	Logger *slog.Logger
}

// Server is a Store as Thanos knows one. It is safe for concurrent use.
//
// It may be registered on a grpc.Server with Thanos' generated functions, which
// grpcstore.Register does better; it is for code that takes a storepb.StoreServer.
type Server struct {
	store store.Store
	opts  ServerOptions
}

var (
	_ storepb.StoreServer = (*Server)(nil)
	_ infopb.InfoServer   = (*Server)(nil)
)

// NewServer makes a Server of s. Label names and values are derived from series
// if s is not a store.LabelQuerier, and Info says that s may hold anything if it
// is not a store.Describer. Panics of s become errors of the call.
func NewServer(s store.Store, opts *ServerOptions) *Server {
	srv := &Server{store: store.Wrap(s, store.WithRecovery())}
	if opts != nil {
		srv.opts = *opts
	}
	if srv.opts.Logger == nil {
		srv.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return srv
}

// fail returns the status to answer with. What only this end can know of a
// failure is logged.
func (s *Server) fail(err error) error {
	if p, ok := errors.AsType[*store.PanicError](err); ok {
		s.opts.Logger.Error("store panicked", slog.Any("err", p), slog.String("stack", string(p.Stack)))
	}
	return peer.Status(err)
}

// Series answers with the Store's series, in batches if the request has room for
// more than one in a message, and then with the hints of its Outcome. Messages
// are cut at 128 KiB between series, and at 1 MiB between the chunks of one.
//
// Errors: those of the stream as they are; all others as the gRPC status that
// grpcstore answers with.
func (s *Server) Series(r *storepb.SeriesRequest, stream storepb.Store_SeriesServer) error {
	req, batch, err := seriesRequestFromThanos(r)
	if err != nil {
		return s.fail(invalid(err))
	}
	ctx, in := peer.Incoming(stream.Context(), s.opts.MetadataKeys)
	req.Tenant, req.Metadata = in.Tenant, in.More
	req.Outcome = new(store.Outcome)
	w := &seriesWriter{stream: stream, batch: max(batch, 1)}
	err = s.store.Series(ctx, req, w)
	if w.err != nil {
		return w.err
	}
	// What was sent before an error is good, and is not held back.
	if ferr := w.finish(req.Outcome.Hints()); ferr != nil {
		return ferr
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

// LabelNames answers with the Store's label names. See Series for errors.
func (s *Server) LabelNames(ctx context.Context, r *storepb.LabelNamesRequest) (*storepb.LabelNamesResponse, error) {
	req, err := fromThanos(r, wire.DecodeLabelNamesRequest)
	if err != nil {
		return nil, s.fail(invalid(err))
	}
	ctx, in := peer.Incoming(ctx, s.opts.MetadataKeys)
	req.Tenant, req.Metadata = in.Tenant, in.More
	req.Outcome = new(store.Outcome)
	names, err := store.LabelNames(ctx, s.store, req)
	if err != nil {
		return nil, s.fail(err)
	}
	out := new(storepb.LabelNamesResponse)
	return out, s.answer(out, names, req.Outcome)
}

// LabelValues answers with the values of a label. See Series for errors.
func (s *Server) LabelValues(ctx context.Context, r *storepb.LabelValuesRequest) (*storepb.LabelValuesResponse, error) {
	req, err := fromThanos(r, wire.DecodeLabelValuesRequest)
	if err != nil {
		return nil, s.fail(invalid(err))
	}
	ctx, in := peer.Incoming(ctx, s.opts.MetadataKeys)
	req.Tenant, req.Metadata = in.Tenant, in.More
	req.Outcome = new(store.Outcome)
	values, err := store.LabelValues(ctx, s.store, req)
	if err != nil {
		return nil, s.fail(err)
	}
	out := new(storepb.LabelValuesResponse)
	return out, s.answer(out, values, req.Outcome)
}

// answer fills in the answer to a label query. The StoreAPI has room for one
// hints message; the last is sent.
func (s *Server) answer(m decodes, values []string, o *store.Outcome) error {
	out := wire.Strings{Values: values}
	for _, w := range o.Warnings() {
		out.Warnings = append(out.Warnings, peer.Valid(w.Error()))
	}
	if hints := o.Hints(); len(hints) > 0 {
		out.Hints = &hints[len(hints)-1]
	}
	if err := m.Unmarshal(wire.AppendStrings(nil, &out)); err != nil {
		return s.fail(err)
	}
	return nil
}

// Info answers with the Store's Info. See Series for errors.
func (s *Server) Info(ctx context.Context, _ *infopb.InfoRequest) (*infopb.InfoResponse, error) {
	ctx, _ = peer.Incoming(ctx, nil)
	info, err := store.Describe(ctx, s.store)
	if err != nil {
		return nil, s.fail(err)
	}
	if info.Component == "" {
		info.Component = s.opts.Component
	}
	out := new(infopb.InfoResponse)
	if err := out.Unmarshal(wire.AppendInfo(nil, &info)); err != nil {
		return nil, s.fail(err)
	}
	return out, nil
}

// invalid says that a request that cannot be decoded is the caller's fault.
func invalid(err error) error {
	if errors.Is(err, store.ErrInvalidRequest) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrInvalidRequest, err)
}
