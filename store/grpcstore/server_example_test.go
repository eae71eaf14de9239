package grpcstore_test

import (
	"context"
	"fmt"
	"net"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// A server with a bound on what is seen, an interceptor, and room for services of
// the program's own.
func ExampleNewServer() {
	calls := make(chan string, 10)
	srv, err := grpcstore.NewServer(exampleStore(), &grpcstore.ServerOptions{
		Component: "gateway",
		// What each caller may have: here, all of them the same.
		Allow: func(context.Context) ([]*labels.Matcher, error) {
			return []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "cluster", "eu")}, nil
		},
		GRPC: []grpc.ServerOption{grpc.ChainUnaryInterceptor(
			func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
				calls <- info.FullMethod
				return handler(ctx, req)
			},
		)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Further services are registered before Run: pb.RegisterGreeterServer(srv.GRPC(), greeter).
	var services []string
	for name := range srv.GRPC().GetServiceInfo() {
		services = append(services, name)
	}
	slices.Sort(services)
	for _, name := range services {
		fmt.Println(name)
	}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
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
	fmt.Println(info.LabelSets, err, <-calls, c.Close())

	stop()
	fmt.Println(<-stopped)
	// Output:
	// grpc.health.v1.Health
	// grpc.reflection.v1.ServerReflection
	// grpc.reflection.v1alpha.ServerReflection
	// thanos.Store
	// thanos.info.Info
	// [{cluster="eu"}] <nil> /thanos.info.Info/Info <nil>
	// <nil>
}
