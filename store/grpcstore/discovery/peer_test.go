package discovery_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// remote is a StoreAPI that has one series, {peer="NAME"}, and remembers how it
// was asked.
type remote struct {
	name string
	// hold, if not nil, is where Series waits after its first series.
	hold chan struct{}

	mu          sync.Mutex
	authorities []string
	snis        []string
	conns       int
}

func (r *remote) labels() labels.Labels { return labels.FromStrings("peer", r.name) }

func (r *remote) Series(ctx context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
	chunks, err := store.FloatChunks([]int64{1}, []float64{1})
	if err != nil {
		return err
	}
	if err := w.Send(&store.Series{Labels: r.labels(), Chunks: chunks}); err != nil || r.hold == nil {
		return err
	}
	select {
	case <-r.hold:
		return w.Send(&store.Series{Labels: labels.FromStrings("peer", r.name, "z", "late"), Chunks: chunks})
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *remote) Describe(context.Context) (store.Info, error) {
	return store.Info{LabelSets: []labels.Labels{r.labels()}, MinTime: 0, MaxTime: 10}, nil
}

// record keeps what a call came with.
func (r *remote) record(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	r.authorities = append(r.authorities, md.Get(":authority")...)
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			r.snis = append(r.snis, info.State.ServerName)
		}
	}
}

func (r *remote) asked() (authorities, snis []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.authorities...), append([]string(nil), r.snis...)
}

func (r *remote) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns
}

// counting counts the connections that were accepted.
type counting struct {
	net.Listener
	r *remote
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.r.mu.Lock()
		l.r.conns++
		l.r.mu.Unlock()
	}
	return c, err
}

// serve serves r until the returned function is called, and waits then.
func (r *remote) serve(t testing.TB, l net.Listener, opts ...grpc.ServerOption) (stop func()) {
	t.Helper()
	opts = append(opts,
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			r.record(ctx)
			return h(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, h grpc.StreamHandler) error {
			r.record(ss.Context())
			return h(srv, ss)
		}),
	)
	srv, err := grpcstore.NewServer(r, &grpcstore.ServerOptions{GRPC: opts, GracePeriod: -1})
	testutil.Ok(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, counting{l, r}) }()
	return func() {
		cancel()
		testutil.Ok(t, <-done)
	}
}

// listen serves r on a loopback port for as long as the test runs.
func (r *remote) listen(t testing.TB, opts ...grpc.ServerOption) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	t.Cleanup(r.serve(t, l, opts...))
	return l.Addr().String()
}

// network is listeners by the address that is dialed.
type network struct {
	mu        sync.Mutex
	listeners map[string]func(context.Context) (net.Conn, error)
}

func (n *network) dial(ctx context.Context, addr string) (net.Conn, error) {
	n.mu.Lock()
	dial := n.listeners[addr]
	n.mu.Unlock()
	if dial == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.UnknownNetworkError(addr)}
	}
	return dial(ctx)
}

// client has the network in place of the real one.
func (n *network) client() grpcstore.ClientOptions {
	return grpcstore.ClientOptions{DialOptions: []grpc.DialOption{grpc.WithContextDialer(n.dial)}}
}

// add serves r in memory as if at some addresses.
func (n *network) add(t testing.TB, r *remote, opts []grpc.ServerOption, addrs ...string) (stop func()) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners == nil {
		n.listeners = map[string]func(context.Context) (net.Conn, error){}
	}
	l := bufconn.Listen(1 << 16)
	for _, a := range addrs {
		n.listeners[a] = l.DialContext
	}
	return r.serve(t, l, opts...)
}

// whole is a request for everything.
var whole = &store.SeriesRequest{MinTime: 0, MaxTime: 10}

// ask returns the series of a Store.
func ask(t testing.TB, s store.Store) ([]string, error) {
	t.Helper()
	var out []string
	for series, err := range store.All(t.Context(), s, whole, nil) {
		if err != nil {
			return out, err
		}
		out = append(out, series.Labels.String())
	}
	return out, nil
}
