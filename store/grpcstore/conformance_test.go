package grpcstore_test

import (
	"context"
	"net"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	_ "github.com/thanoskit/thanoskit/store/grpcstore/snappy"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestConformance runs the kit over connections of every kind; what it does
// over a connection itself then goes over two.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		server grpcstore.ServerOptions
		client grpcstore.ClientOptions
		plain  bool // a server with gRPC's own codec
	}{
		{name: "defaults"},
		{name: "single series", client: grpcstore.ClientOptions{BatchSize: 1}},
		{name: "small messages", server: grpcstore.ServerOptions{FrameSize: 200, MaxSeriesSize: 500}, client: grpcstore.ClientOptions{BatchSize: 1000}},
		{name: "compressed", client: grpcstore.ClientOptions{Compression: "snappy"}},
		{name: "a server of one's own", plain: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Harness{New: func(t testing.TB, f *storetest.Fixture) store.Store {
				m := memstore.New(&memstore.Options{LabelSets: []labels.Labels{f.ExternalLabels()}})
				for _, s := range f.Sent() {
					testutil.Ok(t, m.AddSeries(s))
				}
				for _, d := range f.Downsampled() {
					b := labels.NewBuilder(d.Series.Labels)
					f.ExternalLabels().Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
					d.Series.Labels = b.Labels()
					testutil.Ok(t, m.AddDownsampled(d.Resolution, d.Series))
				}
				var opts []grpc.ServerOption
				if !tc.plain {
					opts = grpcstore.GRPCServerOptions(&tc.server)
				}
				srv := grpc.NewServer(opts...)
				testutil.Ok(t, grpcstore.Register(srv, m, &tc.server))
				l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
				testutil.Ok(t, err)
				served := make(chan error, 1)
				go func() { served <- srv.Serve(l) }()
				c, err := grpcstore.Dial(l.Addr().String(), &tc.client)
				testutil.Ok(t, err)
				t.Cleanup(func() {
					testutil.Ok(t, c.Close())
					srv.Stop()
					testutil.Ok(t, <-served)
				})
				return c
			}})
		})
	}
}
