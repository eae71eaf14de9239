package tlsutil_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// BenchmarkHandshake is mutual TLS with files that rest, beside crypto/tls with
// the same certificates in memory.
func BenchmarkHandshake(b *testing.B) {
	f, ca := newFolder(b), newCA(b, "ca")
	cert, key := f.server(ca, nil)
	clientCert, clientKey := f.client(ca, nil)
	caFile := f.write("ca.crt", ca.PEM())
	f.age("tls.crt", "tls.key", "client.crt", "client.key", "ca.crt")
	srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{ClientCAFile: caFile})
	testutil.Ok(b, err)
	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: caFile, CertFile: clientCert, KeyFile: clientKey})
	testutil.Ok(b, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.PEM())
	load := func(cert, key string) []tls.Certificate {
		pair, err := tls.LoadX509KeyPair(cert, key)
		testutil.Ok(b, err)
		return []tls.Certificate{pair}
	}
	static := &tls.Config{Certificates: load(cert, key), ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, SessionTicketsDisabled: true}
	for _, bc := range []struct {
		name           string
		server, client *tls.Config
	}{
		{"files", srv.Config(), to("store.example", cli.Config(""))},
		{"memory", static, &tls.Config{Certificates: load(clientCert, clientKey), RootCAs: pool, ServerName: "store.example"}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x, y := net.Pipe()
				done := make(chan error, 1)
				go func() { done <- tls.Server(x, bc.server).Handshake() }()
				err := tls.Client(y, bc.client).Handshake()
				if err := errors.Join(err, <-done, x.Close(), y.Close()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
