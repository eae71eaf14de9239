package grpcstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/store"
)

// Server is a grpc.Server with all that a Store's peers expect: the StoreAPI,
// Info, health and reflection.
type Server struct {
	grpc *grpc.Server
	opts ServerOptions
}

// NewServer makes a Server of s with GRPCServerOptions and opts.GRPC. Stopping it
// waits for its calls.
//
// Errors: if an option is out of range.
func NewServer(s store.Store, opts *ServerOptions) (*Server, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("check server options: %w", err)
	}
	if o.Health == nil {
		o.Health = NewHealth()
	}
	all := append(GRPCServerOptions(&o), grpc.WaitForHandlers(true))
	g := grpc.NewServer(append(all, o.GRPC...)...)
	err = errors.Join(Register(g, s, &o), o.Health.Register(g), RegisterReflection(g))
	if err != nil {
		g.Stop()
		return nil, err
	}
	return &Server{grpc: g, opts: o}, nil
}

// GRPC returns the gRPC server, to register further services before Run.
func (s *Server) GRPC() *grpc.Server { return s.grpc }

// Health returns what the server says of itself.
func (s *Server) Health() *Health { return s.opts.Health }

// Run serves on l until ctx ends, and then stops: it announces that it does not
// serve any more, goes on serving for DrainDelay, takes no more calls, lets the
// running ones finish for GracePeriod, and cuts off the rest. It closes l and
// returns when nothing runs any more. It is called once.
//
// Errors: nil if ctx ended, even if calls were cut off; else what made serving
// impossible.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	var err error // of Serve, once served is closed
	served := make(chan struct{})
	go func() {
		defer close(served)
		err = s.grpc.Serve(l)
	}()
	select {
	case <-served:
		s.stop(ctx)
		return fmt.Errorf("serve gRPC on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.opts.Health.Shutdown()
	if s.opts.DrainDelay > 0 {
		t := time.NewTimer(s.opts.DrainDelay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-served:
		}
	}
	s.stop(ctx)
	<-served
	return nil
}

func (s *Server) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.GracePeriod)
	defer cancel()
	if err := GracefulStop(ctx, s.grpc, s.opts.Health); err != nil {
		s.opts.Logger.Warn("stopped before all calls had finished", slog.Any("err", err))
	}
}

// GracefulStop stops a server: h, if not nil, says first that it does not serve
// any more; no new calls are taken; the running ones may finish until ctx ends,
// and are cut off then.
//
// Errors: the context's, if calls were cut off. The server has stopped in any
// case.
func GracefulStop(ctx context.Context, srv *grpc.Server, h *Health) error {
	if h != nil {
		h.Shutdown()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.GracefulStop()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	srv.Stop()
	<-done
	return fmt.Errorf("stop gRPC server: %w", ctx.Err())
}
