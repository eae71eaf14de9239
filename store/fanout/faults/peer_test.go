package faults_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// remote is a Store with all that a client of grpcstore has.
type remote interface {
	store.Store
	store.LabelQuerier
	store.Describer
}

// faulty is a Store that sends its series, and describes itself, in its own way;
// well, where that is nil.
type faulty struct {
	*memstore.Store
	series   func(ctx context.Context, ss []*store.Series, w store.SeriesWriter) error
	describe func(ctx context.Context, info store.Info) (store.Info, error)
	request  func(*store.SeriesRequest) // what it makes of one
}

func (f faulty) Describe(ctx context.Context) (store.Info, error) {
	info, err := f.Store.Describe(ctx)
	if f.describe == nil || err != nil {
		return info, err
	}
	return f.describe(ctx, info)
}

func (f faulty) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	r := *req
	if f.request != nil {
		f.request(&r)
	}
	if f.series == nil {
		return f.Store.Series(ctx, &r, w)
	}
	var ss []*store.Series
	for s, err := range store.All(ctx, f.Store, &r, nil) {
		if err != nil {
			return err
		}
		ss = append(ss, s)
	}
	return f.series(ctx, ss, w)
}

func sendAll(ss []*store.Series, w store.SeriesWriter) error {
	for _, s := range ss {
		if err := w.Send(s); err != nil {
			return err
		}
	}
	return nil
}

// sleep waits, or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// patient are the options of a fan-out over real connections, on a machine that has
// much to do.
var patient = fanout.Options{InfoTimeout: 5 * time.Minute}

// nobody is an address at which nobody listens, and nobody will, as somebody may at a
// port that was free a moment ago.
const nobody = "127.0.0.1:1"

// redial makes lost connections come back soon.
var redial = grpc.WithConnectParams(grpc.ConnectParams{
	Backoff: backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1, MaxDelay: 10 * time.Millisecond}, MinConnectTimeout: time.Minute,
})

// dial makes a client, of which each series is a frame so that it is there as
// soon as it is sent.
func dial(t testing.TB, addr string, opts ...grpc.DialOption) *grpcstore.Client {
	t.Helper()
	c, err := grpcstore.Dial(addr, &grpcstore.ClientOptions{BatchSize: 1, DialOptions: append([]grpc.DialOption{redial}, opts...)})
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	return c
}

// memoryDialer dials an in-memory listener.
func memoryDialer(l *bufconn.Listener) grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) })
}

// serve serves until the test ends, or stop is called; that cuts off calls.
func serve(t testing.TB, s store.Store, l net.Listener, opts ...grpc.ServerOption) (stop func()) {
	t.Helper()
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{GracePeriod: -1, GRPC: opts})
	testutil.Ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- srv.Run(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		testutil.Ok(t, <-ran)
	})
	t.Cleanup(stop)
	return stop
}

// transport is a way to a Store.
type transport struct {
	name string
	to   func(t testing.TB, s remote) remote
}

// transports are those that work in fake time.
var transports = []transport{
	{"in process", func(_ testing.TB, s remote) remote { return s }},
	{"gRPC", inMemory},
}

func inMemory(t testing.TB, s remote) remote { return overMemory(t, s) }

// overMemory serves a Store on an in-memory listener.
func overMemory(t testing.TB, s remote, opts ...grpc.DialOption) remote {
	t.Helper()
	l := bufconn.Listen(64 << 10)
	serve(t, s, l)
	return dial(t, "passthrough:///memory", append(slices.Clip(opts), memoryDialer(l))...)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	return l
}

// overLoopback serves a Store on a port.
func overLoopback(t testing.TB, s remote) remote {
	t.Helper()
	l := listen(t)
	serve(t, s, l)
	return dial(t, l.Addr().String())
}
