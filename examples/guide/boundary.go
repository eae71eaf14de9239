package guide

import (
	"context"
	"net"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// Files are those of one side of the boundary: the CA that the other side's
// certificate must be of, and the own certificate with its key.
type Files struct{ CA, Cert, Key string }

// Boundary serves a Store to clients with a certificate of the CA: to each what the
// peers say that it may have.
func Boundary(ctx context.Context, s store.Store, peers *grpcstore.Peers, files Files, l net.Listener) error {
	tls, err := tlsutil.NewServer(files.Cert, files.Key, &tlsutil.ServerOptions{ClientCAFile: files.CA})
	if err != nil {
		return err
	}
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{
		Component: "query",
		Allow:     peers.Allow,
		GRPC: []grpc.ServerOption{
			grpc.Creds(credentials.NewTLS(tls.Config())),
			// New certificates are seen by all clients within this time.
			grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 10 * time.Minute}),
		},
	})
	if err != nil {
		return err
	}
	return srv.Run(ctx, tls.Listener(l)) // which ends connections of a CA that is dropped
}

// Observee is a member for the observer's fan-out: the querier of a cluster,
// behind an ingress that is called name. Who made it closes the client.
func Observee(cluster, addr, name string, files Files) (fanout.Member, *grpcstore.Client, error) {
	tls, err := tlsutil.NewClient(&tlsutil.ClientOptions{
		CAFile: files.CA, CertFile: files.Cert, KeyFile: files.Key,
		ServerName: name, // SNI, what the certificate must be for
	})
	if err != nil {
		return fanout.Member{}, nil, err
	}
	client, err := grpcstore.Dial(addr, &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
		grpc.WithTransportCredentials(grpcstore.TLS(tls, name)),
		grpc.WithAuthority(name), // HTTP/2's host, by which an ingress finds the backend
	}})
	if err != nil {
		return fanout.Member{}, nil, err
	}
	own := labels.MustNewMatcher(labels.MatchEqual, "cluster", cluster)
	s := store.Wrap(client, store.WithServed(own)) // it cannot say that it is another cluster
	return fanout.Member{Name: "observee " + cluster, Store: s, Strict: true}, client, nil
}

// Peers says what clients may have, by a name in their certificates. Who is not here
// gets nothing.
func Peers() (*grpcstore.Peers, error) {
	return grpcstore.NewPeers(
		grpcstore.Peer{Name: "spiffe://observer.example/querier", Everything: true},
		grpcstore.Peer{Name: "team-eu.example", Labels: map[string][]string{"cluster": {"eu"}}},
	)
}
