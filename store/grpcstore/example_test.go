package grpcstore_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// exampleStore holds two series, and has an external label.
func exampleStore() store.Store {
	s := new(memstore.Store)
	for _, job := range []string{"api", "node"} {
		if err := s.Append(labels.FromStrings("__name__", "up", "job", job), 1_700_000_000_000, 1); err != nil {
			panic(err)
		}
	}
	return store.Wrap(s, store.WithExternalLabels(labels.FromStrings("cluster", "eu")))
}

// A server is there, and a client asks it.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	srv, err := grpcstore.NewServer(exampleStore(), &grpcstore.ServerOptions{Component: "gateway"})
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Run(ctx, l) }()

	c, err := grpcstore.Dial(l.Addr().String(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := c.Describe(ctx)
	fmt.Println(info.Component, info.LabelSets, err)
	req := &store.SeriesRequest{
		MinTime: 1_700_000_000_000, MaxTime: 1_700_000_060_000,
		Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "up")},
	}
	for series, err := range store.All(ctx, c, req, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(series.Labels, len(series.Chunks))
	}
	fmt.Println(c.Close())

	stop()
	fmt.Println(<-stopped)
	// Output:
	// gateway [{cluster="eu"}] <nil>
	// {__name__="up", cluster="eu", job="api"} 1
	// {__name__="up", cluster="eu", job="node"} 1
	// <nil>
	// <nil>
}

// A Store on a gRPC server that the program has anyway.
func ExampleRegister() {
	srv := grpc.NewServer(grpcstore.GRPCServerOptions(nil)...)
	if err := grpcstore.Register(srv, exampleStore(), nil); err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(l) }()

	c, err := grpcstore.Dial(l.Addr().String(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.LabelValues(context.Background(), &store.LabelValuesRequest{Label: "job", MaxTime: 1_800_000_000_000}))
	fmt.Println(c.Close())
	srv.Stop()
	fmt.Println(<-stopped)
	// Output:
	// [api node] <nil>
	// <nil>
	// <nil>
}

func ExampleDial() {
	c, err := grpcstore.Dial("dns:///sidecar.monitoring:10901", &grpcstore.ClientOptions{
		Name:   "eu-west/sidecar",
		Limits: store.Limits{Series: 100_000},
		DialOptions: []grpc.DialOption{
			grpc.WithTransportCredentials(insecure.NewCredentials()), // or credentials.NewTLS(...)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Name())
	fmt.Println(c.Close())
	// Output:
	// eu-west/sidecar
	// <nil>
}

// A connection that is shared with other clients.
func ExampleNewClient() {
	cc, err := grpc.NewClient("sidecar:10901", grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := grpcstore.NewClient(cc, "sidecar", nil)
	fmt.Println(c.Name(), err)
	fmt.Println(cc.Close())
	// Output:
	// sidecar <nil>
	// <nil>
}

// Health, reflection and a graceful end for a server of the program's own.
func ExampleGracefulStop() {
	health := grpcstore.NewHealth()
	srv := grpc.NewServer(grpcstore.GRPCServerOptions(nil)...)
	if err := grpcstore.Register(srv, exampleStore(), &grpcstore.ServerOptions{Health: health}); err != nil {
		fmt.Println(err)
		return
	}
	if err := health.Register(srv); err != nil {
		fmt.Println(err)
		return
	}
	if err := grpcstore.RegisterReflection(srv); err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	stopped := make(chan error, 1)
	go func() { stopped <- srv.Serve(l) }()

	cc, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	check, err := grpc_health_v1.NewHealthClient(cc).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: "thanos.Store"})
	fmt.Println(check.GetStatus(), err)
	fmt.Println(cc.Close())

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(grpcstore.GracefulStop(ctx, srv, health), health.Serving())
	fmt.Println(<-stopped)
	// Output:
	// SERVING <nil>
	// <nil>
	// <nil> false
	// <nil>
}
