package grpcstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// dialConn returns a plain gRPC connection to an in-memory listener.
func dialConn(t testing.TB, l *bufconn.Listener) *grpc.ClientConn {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, cc.Close()) })
	return cc
}

// gate is a Store that sends one series, waits until it is let go, and sends
// another.
type gate struct {
	begun chan struct{}
	open  chan struct{}
	ss    []*store.Series
}

func newGate(t testing.TB) *gate {
	return &gate{begun: make(chan struct{}), open: make(chan struct{}), ss: seriesOf(t, 2, 1)}
}

func (g *gate) Series(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	if err := w.Send(g.ss[0]); err != nil {
		return err
	}
	close(g.begun)
	select {
	case <-g.open:
		return w.Send(g.ss[1])
	case <-ctx.Done():
		return ctx.Err()
	}
}

// running is a Server that runs, with a call in progress.
type running struct {
	server *grpcstore.Server
	client *grpcstore.Client
	health grpc_health_v1.HealthClient
	gate   *gate
	stop   context.CancelFunc
	call   chan error // what the call returned
	got    collector  // what it was sent
	run    chan error // what Run returned
}

func run(t *testing.T, opts *grpcstore.ServerOptions) *running {
	t.Helper()
	r := &running{gate: newGate(t), call: make(chan error, 1), run: make(chan error, 1)}
	srv, err := grpcstore.NewServer(r.gate, opts)
	testutil.Ok(t, err)
	r.server = srv
	l := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	var wg sync.WaitGroup
	wg.Go(func() { r.run <- srv.Run(ctx, l) })
	r.client = dialMemory(t, l, nil)
	r.health = grpc_health_v1.NewHealthClient(dialConn(t, l))
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() { r.call <- r.client.Series(context.WithoutCancel(ctx), everything, &r.got) })
	<-r.gate.begun
	return r
}

func (r *running) serving(service string) (string, error) {
	resp, err := r.health.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		return "", err
	}
	return resp.Status.String(), nil
}

func TestRunLetsCallsFinish(t *testing.T) {
	r := run(t, nil)
	for _, service := range []string{"", "thanos.Store", "thanos.info.Info"} {
		st, err := r.serving(service)
		testutil.Ok(t, err)
		testutil.Equals(t, "SERVING", st)
	}
	r.stop()
	// The listener is closed before calls are waited for.
	for {
		if _, err := r.client.Describe(t.Context()); errors.Is(err, store.ErrUnavailable) {
			break
		}
	}
	select {
	case err := <-r.run:
		t.Fatalf("stopped while a call was running: %v", err)
	case err := <-r.call:
		t.Fatalf("call ended: %v", err)
	default:
	}
	close(r.gate.open)
	testutil.Ok(t, <-r.call)
	testutil.Ok(t, <-r.run)
	requireSeries(t, r.gate.ss, r.got.series)
}

func TestRunCutsOffCallsAfterTheGracePeriod(t *testing.T) {
	for _, grace := range []time.Duration{20 * time.Millisecond, -1} {
		r := run(t, &grpcstore.ServerOptions{GracePeriod: grace})
		r.stop()
		err := <-r.call
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
		testutil.Ok(t, <-r.run)
	}
}

func TestRunAnnouncesBeforeItStops(t *testing.T) {
	r := run(t, &grpcstore.ServerOptions{DrainDelay: time.Hour})
	_, err := r.client.Describe(t.Context())
	testutil.Ok(t, err)
	r.stop()
	for {
		if st, err := r.serving("thanos.Store"); st == "NOT_SERVING" {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.client.Describe(t.Context())
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
	// New calls are served still.
	_, err = r.client.LabelValues(t.Context(), &store.LabelValuesRequest{})
	testutil.Assert(t, errors.Is(err, store.ErrInvalidRequest), "%v", err)
	close(r.gate.open)
	testutil.Ok(t, <-r.call)
	requireSeries(t, r.gate.ss, r.got.series)
	r.server.GRPC().Stop() // who cannot wait for an hour
	testutil.Ok(t, <-r.run)
}

func TestRunReturnsWhatMakesServingImpossible(t *testing.T) {
	srv, err := grpcstore.NewServer(plainStore(nil), nil)
	testutil.Ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	testutil.Ok(t, l.Close())
	err = srv.Run(t.Context(), l)
	testutil.Assert(t, errors.Is(err, net.ErrClosed), "%v", err)
	testutil.Assert(t, !srv.Health().Serving())
}

func TestRegisterRefuses(t *testing.T) {
	s := plainStore(nil)
	t.Run("a server that has the services", func(t *testing.T) {
		srv, err := grpcstore.NewServer(s, nil)
		testutil.Ok(t, err)
		defer srv.GRPC().Stop()
		for _, err := range []error{
			grpcstore.Register(srv.GRPC(), s, nil),
			srv.Health().Register(srv.GRPC()),
			grpcstore.RegisterReflection(srv.GRPC()),
		} {
			testutil.Assert(t, err != nil && strings.Contains(err.Error(), "already"), "%v", err)
		}
	})
	t.Run("no store", func(t *testing.T) {
		testutil.NotOk(t, grpcstore.Register(grpc.NewServer(), nil, nil))
	})
	t.Run("options out of range, all named", func(t *testing.T) {
		opts := &grpcstore.ServerOptions{FrameSize: -1, MaxSeriesSize: -2, MaxRecvSize: -3, MaxSendSize: -4, DrainDelay: -5}
		_, err := grpcstore.NewServer(s, opts)
		for _, e := range []error{err, grpcstore.Register(grpc.NewServer(), s, opts)} {
			testutil.NotOk(t, e)
			for _, field := range []string{"FrameSize", "MaxSeriesSize", "MaxRecvSize", "MaxSendSize", "DrainDelay"} {
				testutil.Assert(t, strings.Contains(e.Error(), field+" is negative"), "%v", e)
			}
		}
		_, err = grpcstore.Dial("x", &grpcstore.ClientOptions{BatchSize: -1, MaxRecvSize: -1, Compression: "nonesuch"})
		for _, text := range []string{"BatchSize is negative", "MaxRecvSize is negative", `compressor "nonesuch" is not registered`} {
			testutil.Assert(t, err != nil && strings.Contains(err.Error(), text), "%v", err)
		}
		_, err = grpcstore.NewClient(nil, "x", &grpcstore.ClientOptions{BatchSize: -1})
		testutil.NotOk(t, err)
	})
}

func TestClientOfAConnectionOfTheCallers(t *testing.T) {
	ss := seriesOf(t, 10, 1)
	l := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(grpcstore.GRPCServerOptions(nil)...)
	testutil.Ok(t, grpcstore.Register(srv, plainStore(ss), nil))
	serve(t, l, srv)
	cc := dialConn(t, l)
	for range 2 {
		c, err := grpcstore.NewClient(cc, "mine", nil)
		testutil.Ok(t, err)
		testutil.Equals(t, "mine", c.Name())
		var got collector
		testutil.Ok(t, c.Series(t.Context(), everything, &got))
		requireSeries(t, ss, got.series)
		testutil.Ok(t, c.Close()) // leaves the connection open
	}
}

func TestCloseTwiceAndUseAfterwards(t *testing.T) {
	c := overMemory(t, plainStore(nil), nil, nil)
	testutil.Ok(t, c.Close())
	testutil.Ok(t, c.Close())
	testutil.NotOk(t, c.Series(t.Context(), everything, &collector{}))
}

// TestManyCallsAtOnce runs calls of all kinds, some of which are given up, on
// one connection.
func TestManyCallsAtOnce(t *testing.T) {
	ss := seriesOf(t, 700, 2)
	want := describe(ss)
	for kind, gopts := range servers {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := overMemory(t, framesOf(ss, 40), nil, nil, gopts()...)
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := range 10 {
						switch (g + i) % 4 {
						case 0:
							var got collector
							testutil.Ok(t, c.Series(t.Context(), everything, &got))
							testutil.Equals(t, want, describe(got.series))
						case 1:
							var frames keepFrames
							testutil.Ok(t, c.Series(t.Context(), everything, &frames))
							testutil.Equals(t, want, describe(frames.plain()))
							frames.release()
						case 2:
							frames := &keepFrames{collector: collector{err: errors.New("enough")}}
							testutil.NotOk(t, c.Series(t.Context(), everything, frames))
							testutil.Equals(t, want[:len(frames.plain())], describe(frames.plain()))
							frames.release()
						case 3:
							ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
							err := c.Series(ctx, everything, &collector{})
							cancel()
							testutil.Assert(t, err == nil || errors.Is(err, context.DeadlineExceeded), "%v", err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestInterceptorsSeeCalls runs an interceptor of each kind on both ends.
func TestInterceptorsSeeCalls(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	note := func(format string, v ...any) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf(format, v...))
	}
	srv, err := grpcstore.NewServer(plainStore(nil), &grpcstore.ServerOptions{GRPC: []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			note("server %s", info.FullMethod)
			return h(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			note("server %s", info.FullMethod)
			return status.Error(codes.Unauthenticated, "who are you")
		}),
	}})
	testutil.Ok(t, err)
	l := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, l) }()
	c := dialMemory(t, l, &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			note("client %s", method)
			return invoker(ctx, method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			note("client %s", method)
			return streamer(ctx, desc, cc, method, opts...)
		}),
	}})
	_, err = c.Describe(t.Context())
	testutil.Ok(t, err)
	err = c.Series(t.Context(), &store.SeriesRequest{MaxTime: math.MaxInt64}, &collector{})
	testutil.Equals(t, codes.Unauthenticated, status.Code(err))
	cancel()
	testutil.Ok(t, <-done)
	testutil.Equals(t, []string{"client /thanos.info.Info/Info", "server /thanos.info.Info/Info", "client /thanos.Store/Series", "server /thanos.Store/Series"}, seen)
}
