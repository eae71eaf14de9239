package main

import (
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// startBoundary starts what the observer asks of an observee: a querier over its
// sidecars that speaks to none but clients with a certificate of the CA.
func (t *topology) startBoundary(c *cluster) error {
	members, err := t.dialSidecars(c)
	if err != nil {
		return err
	}
	f, err := t.fanOut(members)
	if err != nil {
		return err
	}
	clientCA := t.certs.ca
	switch t.broken {
	case breakCert:
		clientCA = ""
	case breakCA:
		clientCA = t.certs.bothCAs
	}
	cert := t.certs.servers[c.name]
	tls, err := tlsutil.NewServer(cert.cert, cert.key, &tlsutil.ServerOptions{ClientCAFile: clientCA})
	if err != nil {
		return err
	}
	srv, err := grpcstore.NewServer(f, &grpcstore.ServerOptions{
		Component: "query", GracePeriod: time.Second,
		GRPC: []grpc.ServerOption{grpc.Creds(credentials.NewTLS(tls.Config()))},
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c.querier, c.link = l.Addr().String(), newLink(l)
	t.run.Go(func() error { return srv.Run(t.ctx, tls.Listener(c.link)) })
	return nil
}

// dialObservee asks an observee's querier with the certificate that is given.
func (t *topology) dialObservee(c *cluster, name string, client keyPair) (fanout.Member, error) {
	tls, err := tlsutil.NewClient(&tlsutil.ClientOptions{
		CAFile: t.certs.ca, CertFile: client.cert, KeyFile: client.key,
		ServerName: serverName(c.name), // The address is that of an ingress, if any.
	})
	if err != nil {
		return fanout.Member{}, err
	}
	creds := credentials.NewTLS(tls.Config(serverName(c.name)))
	return t.dial(name, c.querier, grpcstore.ClientOptions{DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(creds)}})
}
