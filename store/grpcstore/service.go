package grpcstore

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/thanoskit/thanoskit/internal/peer"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// Names on the wire.
const (
	storeService = "thanos.Store"
	infoService  = "thanos.info.Info"

	methodSeries      = "/" + storeService + "/Series"
	methodLabelNames  = "/" + storeService + "/LabelNames"
	methodLabelValues = "/" + storeService + "/LabelValues"
	methodInfo        = "/" + infoService + "/Info"
)

// Operations, as they are named in errors.
const (
	opSeries      = "series"
	opLabelNames  = "label names"
	opLabelValues = "label values"
	opInfo        = "info"
)

var storeDesc = grpc.ServiceDesc{
	ServiceName: storeService,
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		unary("LabelNames", methodLabelNames, (*service).labelNames),
		unary("LabelValues", methodLabelValues, (*service).labelValues),
	},
	Streams: []grpc.StreamDesc{{
		StreamName:    "Series",
		ServerStreams: true,
		Handler: func(srv any, stream grpc.ServerStream) error {
			return srv.(*service).series(stream)
		},
	}},
	Metadata: storePath,
}

var infoDesc = grpc.ServiceDesc{
	ServiceName: infoService,
	HandlerType: (*any)(nil),
	Methods:     []grpc.MethodDesc{unary("Info", methodInfo, (*service).info)},
	Metadata:    infoPath,
}

// unary describes a method with one request and one answer.
func unary(name, fullMethod string, call func(*service, context.Context, []byte) ([]byte, error)) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(srv any, ctx context.Context, dec func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			in := new(message)
			if err := dec(in); err != nil {
				return nil, err
			}
			handler := func(ctx context.Context, req any) (any, error) {
				s := srv.(*service)
				in, ok := req.(*message)
				if !ok { // an interceptor made another of it
					return nil, peer.Status(fmt.Errorf("%w: unexpected %T", store.ErrInvalidRequest, req))
				}
				out, err := call(s, ctx, in.b)
				if err != nil {
					return nil, s.fail(err)
				}
				return &message{b: out}, nil
			}
			if interceptor == nil {
				return handler(ctx, in)
			}
			return interceptor(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: fullMethod}, handler)
		},
	}
}

// service serves a Store. It is safe for concurrent use.
type service struct {
	store store.Store
	opts  ServerOptions
	pool  mem.BufferPool
}

// fail returns the status to answer with. What only this end can know of a
// failure is logged.
func (s *service) fail(err error) error {
	return peer.Status(report(s.opts.Logger, err))
}

func (s *service) series(stream grpc.ServerStream) error {
	in := new(message)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	req, batch, err := wire.DecodeSeriesRequest(in.b)
	if err != nil {
		return s.fail(invalid(err))
	}
	ctx, md := peer.Incoming(stream.Context(), s.opts.MetadataKeys)
	req.Tenant, req.Metadata = md.Tenant, md.More
	req.Outcome = new(store.Outcome)
	w := newSeriesWriter(stream, s.pool, batch, &s.opts)
	defer w.release()
	err = s.store.Series(ctx, req, w)
	// What was sent before an error is good, and is not held back.
	hints := req.Outcome.Hints()
	if md.Receipt && hasReceipt(req.Outcome) {
		hints = append(hints, newReceipt(req.Outcome, nil))
	}
	if ferr := w.finish(hints); err == nil {
		err = ferr
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *service) labelNames(ctx context.Context, b []byte) ([]byte, error) {
	req, err := wire.DecodeLabelNamesRequest(b)
	if err != nil {
		return nil, invalid(err)
	}
	ctx, md := peer.Incoming(ctx, s.opts.MetadataKeys)
	req.Tenant, req.Metadata = md.Tenant, md.More
	req.Outcome = new(store.Outcome)
	names, err := store.LabelNames(ctx, s.store, req)
	if err != nil {
		return nil, err
	}
	return appendStrings(names, req.Outcome, md.Receipt), nil
}

func (s *service) labelValues(ctx context.Context, b []byte) ([]byte, error) {
	req, err := wire.DecodeLabelValuesRequest(b)
	if err != nil {
		return nil, invalid(err)
	}
	ctx, md := peer.Incoming(ctx, s.opts.MetadataKeys)
	req.Tenant, req.Metadata = md.Tenant, md.More
	req.Outcome = new(store.Outcome)
	values, err := store.LabelValues(ctx, s.store, req)
	if err != nil {
		return nil, err
	}
	return appendStrings(values, req.Outcome, md.Receipt), nil
}

func (s *service) info(ctx context.Context, _ []byte) ([]byte, error) {
	if !s.opts.Health.Serving() {
		return nil, fmt.Errorf("%w: shutting down or not ready", store.ErrUnavailable)
	}
	ctx, _ = peer.Incoming(ctx, s.opts.MetadataKeys)
	info, err := store.Describe(ctx, s.store)
	if err != nil {
		return nil, err
	}
	if info.Component == "" {
		info.Component = s.opts.Component
	}
	return wire.AppendInfo(nil, &info), nil
}

// appendStrings makes the answer to a label query. The StoreAPI has room for
// one hints message: the last is sent, or a receipt with all of them.
func appendStrings(values []string, o *store.Outcome, receipt bool) []byte {
	out := wire.Strings{Values: values}
	for _, w := range o.Warnings() {
		out.Warnings = append(out.Warnings, peer.Valid(w.Error()))
	}
	hints := o.Hints()
	switch {
	case receipt && hasReceipt(o):
		out.Hints = new(newReceipt(o, hints))
	case len(hints) > 0:
		out.Hints = &hints[len(hints)-1]
	}
	return wire.AppendStrings(nil, &out)
}

// invalid says that a request that cannot be decoded is the client's fault.
func invalid(err error) error {
	if errors.Is(err, store.ErrInvalidRequest) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrInvalidRequest, err)
}
