package grpcstore_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// Both sides show certificates, and drop each other once a CA is dropped.
func ExampleTLS() {
	dir, err := os.MkdirTemp("", "tls")
	check(err)
	defer os.RemoveAll(dir)
	file := func(name string) string { return filepath.Join(dir, name) }
	ca, err := tlsutil.NewCA("example", 0)
	check(err)
	check(ca.WriteFile(file("ca.crt")))
	pair, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"store.example"}})
	check(err)
	check(pair.WriteFiles(file("server.crt"), file("server.key")))
	pair, err = ca.IssueClient(tlsutil.Leaf{CommonName: "observer"})
	check(err)
	check(pair.WriteFiles(file("client.crt"), file("client.key")))

	srv, err := tlsutil.NewServer(file("server.crt"), file("server.key"), &tlsutil.ServerOptions{ClientCAFile: file("ca.crt")})
	check(err)
	s := memstore.New(nil)
	check(s.Append(labels.FromStrings(labels.MetricName, "up"), 1000, 1))
	server, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{GRPC: []grpc.ServerOption{grpc.Creds(credentials.NewTLS(srv.Config()))}})
	check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx, srv.Listener(l)) }()

	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{
		CAFile: file("ca.crt"), CertFile: file("client.crt"), KeyFile: file("client.key"), ServerName: "store.example",
	})
	check(err)
	c, err := grpcstore.Dial(l.Addr().String(), &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
		grpc.WithTransportCredentials(grpcstore.TLS(cli, "")),
	}})
	check(err)
	names, err := c.LabelNames(ctx, &store.LabelNamesRequest{MaxTime: math.MaxInt64})
	check(err)
	fmt.Println(names)
	check(c.Close())
	cancel()
	check(<-done)
	// Output: [__name__]
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
