package grpcstore

import (
	"context"
	"net"

	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// TLS returns the credentials of a gRPC client that speaks TLS as c says, with
// files that reload. host is that of the target, without a port: what the
// server's certificate must be for if neither c's options nor the target have a
// name. See tlsutil.Client.Config.
//
// A connection ends once the CA of the server's certificate has been taken out of
// the client's bundle, within MaxRevokedAge; calls that still run on it then fail
// with store.ErrUnavailable, and the next ones shake hands again. That is what it
// has over credentials.NewTLS. The server's side of it is
// tlsutil.Server.Listener.
//
//	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: "ca.crt", CertFile: "tls.crt", KeyFile: "tls.key"})
//	...
//	c, err := grpcstore.Dial("store.example:10901", &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
//		grpc.WithTransportCredentials(grpcstore.TLS(cli, "store.example")),
//	}})
//
// Concurrency: safe, and good for any number of connections to host.
func TLS(c *tlsutil.Client, host string) credentials.TransportCredentials {
	return &trackingTLS{credentials.NewTLS(c.Config(host)), c}
}

// trackingTLS are credentials whose connections the client may end.
type trackingTLS struct {
	credentials.TransportCredentials
	client *tlsutil.Client
}

// ClientHandshake implements credentials.TransportCredentials.
func (t *trackingTLS) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, auth, err := t.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return nil, nil, err
	}
	if info, ok := auth.(credentials.TLSInfo); ok {
		conn = t.client.Track(conn, info.State)
	}
	return conn, auth, nil
}

// Clone implements credentials.TransportCredentials.
func (t *trackingTLS) Clone() credentials.TransportCredentials {
	return &trackingTLS{t.TransportCredentials.Clone(), t.client}
}
