package grpcstore_test

import (
	"context"
	"fmt"
	"math/rand"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// seriesOf returns n series of a usual shape, each with the given number of
// chunks of 120 samples.
func seriesOf(t testing.TB, n, chunks int) []*store.Series {
	t.Helper()
	out := make([]*store.Series, n)
	for i := range out {
		s := &store.Series{Labels: labels.FromStrings("__name__", "http_requests_total", "cluster", "prod-eu-west-1",
			"container", "api-server", "instance", fmt.Sprintf("10.0.%d.%d:9090", i/250, i%250), "job", "kubernetes-pods",
			"namespace", fmt.Sprintf("team-%03d", i%50), "pod", fmt.Sprintf("api-server-7c9f6b7d5-%05d", i))}
		r := rand.New(rand.NewSource(int64(i)))
		at, v := int64(1_700_000_000_000), float64(r.Intn(1000))
		for range chunks {
			c := chunkenc.NewXORChunk()
			app, err := c.Appender()
			testutil.Ok(t, err)
			from := at
			for range 120 {
				app.Append(at, v)
				at += 15_000 + int64(r.Intn(5))
				v += float64(r.Intn(200))
			}
			chunk, err := store.RawChunk(from, at-1, c)
			testutil.Ok(t, err)
			s.Chunks = append(s.Chunks, chunk)
		}
		out[i] = s
	}
	slices.SortFunc(out, func(a, b *store.Series) int { return labels.Compare(a.Labels, b.Labels) })
	return out
}

// plainStore sends plain series, copies of what it holds.
type plainStore []*store.Series

func (p plainStore) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	for _, s := range p {
		if err := w.Send(&store.Series{Labels: s.Labels, Chunks: slices.Clone(s.Chunks)}); err != nil {
			return err
		}
	}
	return nil
}

// frameStore sends one frame after another, as a fan-out does.
type frameStore []*encoded.Frame

func framesOf(ss []*store.Series, size int) frameStore {
	var out frameStore
	for part := range slices.Chunk(ss, size) {
		f := encoded.NewFrame(nil)
		for _, s := range part {
			v, _ := wire.View(nil, s)
			f.Series = append(f.Series, v)
		}
		out = append(out, f)
	}
	return out
}

func (s frameStore) Series(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	for _, f := range s {
		if err := wire.Send(w, f); err != nil {
			return err
		}
	}
	return nil
}

// countFrames is a writer that takes frames and counts what is in them.
type countFrames struct{ series, chunks, frames int }

func (c *countFrames) Send(s *store.Series) error { panic("plain series") }
func (c *countFrames) Warn(err error) error       { return err }
func (c *countFrames) SendFrame(f *encoded.Frame) error {
	c.frames++
	for i := range f.Series {
		c.series++
		c.chunks += len(f.Series[i].Chunks)
	}
	return nil
}

// serve serves on a listener until the test ends.
func serve(t testing.TB, l net.Listener, s *grpc.Server) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); wg.Wait() })
}

// overLoopback serves s on a TCP connection and returns a client of it.
func overLoopback(t testing.TB, s store.Store, opts *grpcstore.ServerOptions, copts *grpcstore.ClientOptions, gopts ...grpc.ServerOption) *grpcstore.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	srv := grpc.NewServer(gopts...)
	testutil.Ok(t, grpcstore.Register(srv, s, opts))
	serve(t, l, srv)
	c, err := grpcstore.Dial(l.Addr().String(), copts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	return c
}

// overMemory is overLoopback on an in-memory listener.
func overMemory(t testing.TB, s store.Store, opts *grpcstore.ServerOptions, copts *grpcstore.ClientOptions, gopts ...grpc.ServerOption) *grpcstore.Client {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	srv := grpc.NewServer(gopts...)
	testutil.Ok(t, grpcstore.Register(srv, s, opts))
	serve(t, l, srv)
	return dialMemory(t, l, copts)
}

func dialMemory(t testing.TB, l *bufconn.Listener, copts *grpcstore.ClientOptions) *grpcstore.Client {
	t.Helper()
	var o grpcstore.ClientOptions
	if copts != nil {
		o = *copts
	}
	o.DialOptions = append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	}, o.DialOptions...)
	if o.Name == "" {
		o.Name = "peer"
	}
	c, err := grpcstore.Dial("passthrough:///memory", &o)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	return c
}
