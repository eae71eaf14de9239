package main

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/store/fanout"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// startBoundary starts what the observer asks of an observee: a querier over its
// sidecars that speaks to none but clients with a certificate of the CA.
func (t *topology) startBoundary(c *cluster) (err error) {
	c.querier, err = t.launch("querier "+c.name, "", func(u *unit) error { return u.serveBoundary(c) })
	return err
}

func (u *unit) serveBoundary(c *cluster) error {
	t := u.topology
	members, err := u.dialSidecars(c)
	if err != nil {
		return err
	}
	f, err := u.fanOut(members)
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
	l, err := u.listen("")
	if err != nil {
		return err
	}
	u.Go(func(ctx context.Context) error { return srv.Run(ctx, tls.Listener(l)) })
	return nil
}

// dialObservee asks an observee's querier with the certificate that is given.
func (u *unit) dialObservee(c *cluster, name string, client keyPair) (fanout.Member, error) {
	tls, err := tlsutil.NewClient(&tlsutil.ClientOptions{
		CAFile: u.topology.certs.ca, CertFile: client.cert, KeyFile: client.key,
		ServerName: serverName(c.name), // The address is that of an ingress, if any.
	})
	if err != nil {
		return fanout.Member{}, err
	}
	creds := grpcstore.TLS(tls, serverName(c.name))
	return u.dial(name, c.querier.addr(), grpcstore.ClientOptions{DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(creds)}})
}
