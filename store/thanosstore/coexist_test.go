package thanosstore_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanos-io/thanos/pkg/info/infopb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

// listen serves over memory until the test ends, and returns the way there.
func listen(t *testing.T, srv *grpc.Server) grpc.DialOption {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		testutil.Ok(t, <-served)
	})
	return grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) })
}

// One program serves the same Store through Thanos' generated services and
// through ours, with reflection, and asks both.
func TestBesideGrpcstore(t *testing.T) {
	t.Parallel()
	m := memstore.New(nil)
	testutil.Ok(t, m.Append(labels.FromStrings("__name__", "up"), 1000, 1))
	s := store.Wrap(m, store.WithExternalLabels(labels.FromStrings("cluster", "a")))

	ours, theirs, mixed := grpc.NewServer(grpcstore.GRPCServerOptions(nil)...), grpc.NewServer(), grpc.NewServer(grpcstore.GRPCServerOptions(nil)...)
	testutil.Ok(t, grpcstore.Register(ours, s, nil))
	srv := thanosstore.NewServer(s, &thanosstore.ServerOptions{Component: "x"})
	for _, g := range []*grpc.Server{theirs, mixed} { // mixed has our codec
		storepb.RegisterStoreServer(g, srv)
		infopb.RegisterInfoServer(g, srv)
	}
	testutil.Ok(t, grpcstore.RegisterReflection(ours))
	testutil.NotOk(t, grpcstore.Register(theirs, s, nil)) // one server has a service once

	for name, g := range map[string]*grpc.Server{"ours": ours, "theirs": theirs, "mixed": mixed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := grpcstore.Dial("passthrough:///memory", &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
				listen(t, g), grpc.WithTransportCredentials(insecure.NewCredentials()),
			}})
			testutil.Ok(t, err)
			defer func() { testutil.Ok(t, c.Close()) }()
			n := 0
			for series, err := range store.All(t.Context(), c, everything(), nil) {
				testutil.Ok(t, err)
				testutil.Equals(t, `{__name__="up", cluster="a"}`, series.Labels.String())
				n += len(series.Chunks)
			}
			testutil.Equals(t, 1, n)
			values, err := c.LabelValues(t.Context(), &store.LabelValuesRequest{Label: "cluster", MaxTime: 2000})
			testutil.Ok(t, err)
			testutil.Equals(t, []string{"a"}, values)
			info, err := c.Describe(t.Context())
			testutil.Ok(t, err)
			testutil.Equals(t, `[{cluster="a"}]`, fmt.Sprint(info.LabelSets))
		})
	}
}
