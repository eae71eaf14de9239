package grpcstore_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// TestAPeerThatIsBackIsUsed takes a peer away for an hour, in the bubble's time.
func TestAPeerThatIsBackIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ss := seriesOf(t, 2, 1)
		l := bufconn.Listen(1 << 20)
		srv := grpc.NewServer(grpcstore.GRPCServerOptions(nil)...)
		testutil.Ok(t, grpcstore.Register(srv, plainStore(ss), nil))
		go func() { _ = srv.Serve(l) }()
		var back atomic.Bool
		c := dialMemory(t, l, &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				if !back.Load() {
					return nil, errors.New("away")
				}
				return l.DialContext(ctx)
			}),
		}})
		for range 60 {
			err := c.Series(t.Context(), everything, &collector{})
			testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
			<-time.After(time.Minute)
		}
		back.Store(true)
		start := time.Now()
		for c.Series(t.Context(), everything, &collector{}) != nil {
			<-time.After(100 * time.Millisecond)
		}
		testutil.Assert(t, time.Since(start) < 7*time.Second, "only after %s", time.Since(start))
		testutil.Ok(t, c.Close())
		srv.Stop()
	})
}

// certificate makes a certificate for localhost and the pool that trusts it.
func certificate(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testutil.Ok(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	testutil.Ok(t, err)
	leaf, err := x509.ParseCertificate(der)
	testutil.Ok(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestCredentialsOfTheUser(t *testing.T) {
	cert, pool := certificate(t)
	ss := seriesOf(t, 3, 1)
	srv, err := grpcstore.NewServer(plainStore(ss), &grpcstore.ServerOptions{GRPC: []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})),
	}})
	testutil.Ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, l) }()
	defer func() { cancel(); testutil.Ok(t, <-done) }()

	ask := func(opts ...grpc.DialOption) ([]*store.Series, error) {
		c, err := grpcstore.Dial(l.Addr().String(), &grpcstore.ClientOptions{DialOptions: opts})
		testutil.Ok(t, err)
		defer func() { testutil.Ok(t, c.Close()) }()
		var got collector
		err = c.Series(t.Context(), everything, &got)
		return got.series, err
	}
	got, err := ask(grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS13})))
	testutil.Ok(t, err)
	requireSeries(t, ss, got)
	_, err = ask()
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
}
