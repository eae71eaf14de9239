package grpcstore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// fortress is a server that demands certificates, and what hostile clients have to
// attack it with.
type fortress struct {
	*testing.T
	addr    string
	ca      *tlsutil.CA
	caFile  string
	roots   *x509.CertPool
	served  atomic.Int64 // calls of anybody but the good client
	welcome *grpcstore.Client
	conns   *connCounter
}

// connCounter is a listener that counts connections that are open.
type connCounter struct {
	net.Listener
	mu   sync.Mutex
	cond *sync.Cond
	open int
}

func (l *connCounter) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.add(1)
	return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { l.add(-1) })}, nil
}

func (l *connCounter) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open += n
	l.cond.Broadcast()
}

// await waits until so many connections are open.
func (l *connCounter) await(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open != n {
		l.cond.Wait()
	}
}

// patient is how long a fortress waits for handshakes that nobody means to hold up.
const patient = time.Minute

// newFortress is one that waits for so long for handshakes.
func newFortress(t *testing.T, patience time.Duration) *fortress {
	t.Helper()
	r := newRotating(t, newNamedCA(t, 0), 0, 0)
	f := &fortress{T: t, ca: newNamedCA(t, 1), caFile: r.file("ca.crt"), roots: x509.NewCertPool()}
	r.bundle(f.ca)
	r.leaves(f.ca)
	f.roots.AppendCertsFromPEM(f.ca.PEM())
	guarded := store.Wrap(threeSeries(t), func(next store.Store) store.Store {
		return store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
			if id, ok := grpcstore.PeerIdentity(ctx); !ok || id.CommonName != "client" {
				f.served.Add(1)
			}
			return next.Series(ctx, req, w)
		})
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	f.conns = &connCounter{Listener: l}
	f.conns.cond = sync.NewCond(&f.conns.mu)
	f.addr = l.Addr().String()
	srv, err := grpcstore.NewServer(guarded, &grpcstore.ServerOptions{GracePeriod: -1, GRPC: []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(r.srv.Config())), grpc.ConnectionTimeout(patience),
	}})
	testutil.Ok(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, r.srv.Listener(f.conns)) }()
	t.Cleanup(func() {
		cancel()
		testutil.Ok(t, <-done)
		f.conns.await(0)
	})
	f.welcome = r.dial(f.addr)
	return f
}

// pair issues a client certificate.
func (f *fortress) pair(ca *tlsutil.CA, leaf tlsutil.Leaf, issue func(*tlsutil.CA, tlsutil.Leaf) (*tlsutil.Pair, error)) []tls.Certificate {
	f.Helper()
	p, err := issue(ca, leaf)
	testutil.Ok(f, err)
	cert, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
	testutil.Ok(f, err)
	return []tls.Certificate{cert}
}

// config is that of a client with a good certificate, whom nobody knows.
func (f *fortress) config() *tls.Config {
	return &tls.Config{
		RootCAs: f.roots, NextProtos: []string{"h2"},
		Certificates: f.pair(f.ca, tlsutil.Leaf{CommonName: "stranger"}, (*tlsutil.CA).IssueClient),
	}
}

// stands checks that a good client is answered, and that nobody else was.
func (f *fortress) stands(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	testutil.Ok(t, ask(ctx, f.welcome))
	testutil.Equals(t, int64(0), f.served.Load(), "calls that were served")
}

// Whoever has no business there is not let in.
func TestHostileHandshakes(t *testing.T) {
	t.Parallel()
	f := newFortress(t, patient)
	f.stands(t)
	past := time.Now().Add(-time.Hour)
	other := newNamedCA(t, 1) // has even the right name
	for name, change := range map[string]func(*tls.Config){
		"no problem":     nil,
		"no certificate": func(c *tls.Config) { c.Certificates = nil },
		"unknown CA": func(c *tls.Config) {
			c.Certificates = f.pair(other, tlsutil.Leaf{CommonName: "client"}, (*tlsutil.CA).IssueClient)
		},
		"expired": func(c *tls.Config) {
			c.Certificates = f.pair(f.ca, tlsutil.Leaf{NotBefore: past.Add(-time.Hour), NotAfter: past}, (*tlsutil.CA).IssueClient)
		},
		"not yet valid": func(c *tls.Config) {
			c.Certificates = f.pair(f.ca, tlsutil.Leaf{NotBefore: past.Add(48 * time.Hour), NotAfter: past.Add(72 * time.Hour)}, (*tlsutil.CA).IssueClient)
		},
		"certificate of a server": func(c *tls.Config) {
			c.Certificates = f.pair(f.ca, tlsutil.Leaf{CommonName: "client"}, (*tlsutil.CA).IssueServer)
		},
		"TLS 1.2":   func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 },
		"TLS 1.0":   func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS10 },
		"no ALPN":   func(c *tls.Config) { c.NextProtos = nil },
		"HTTP/1.1":  func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} },
		"wrong SAN": func(c *tls.Config) { c.ServerName = "other.example" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := f.config()
			if change == nil {
				_, err := hello(f.addr, cfg)
				testutil.Ok(t, err) // else the others are refused for no reason of theirs
				return
			}
			change(cfg)
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(cfg.Certificates) == 0 {
					return new(tls.Certificate), nil
				}
				return &cfg.Certificates[0], nil // though the server does not want it
			}
			_, err := hello(f.addr, cfg)
			testutil.NotOk(t, err)
			f.stands(t)
		})
	}
}

// A client of ours does not talk to a server with a certificate for somebody else.
func TestServerOfAnotherName(t *testing.T) {
	t.Parallel()
	f := newFortress(t, patient)
	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.caFile, ServerName: "other.example"})
	testutil.Ok(t, err)
	c, err := grpcstore.Dial(f.addr, &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(grpcstore.TLS(cli, ""))}})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	err = ask(t.Context(), c)
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable) && strings.Contains(err.Error(), "other.example"), "%v", err)
	f.stands(t)
}

// What does not speak TLS gets no answer but, at most, an alert.
func TestHostileBytes(t *testing.T) {
	t.Parallel()
	f := newFortress(t, patient)
	for name, sent := range map[string][]byte{
		"HTTP/2":                []byte(http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
		"HTTP/1.1":              []byte("POST /thanos.Store/Series HTTP/1.1\r\nHost: store\r\nContent-Length: 0\r\n\r\n"),
		"zeros":                 make([]byte, 64<<10),
		"noise":                 bytes.Repeat([]byte{0xff}, 64<<10),
		"record beyond measure": append([]byte{22, 3, 1, 0xff, 0xff}, make([]byte, 64<<10)...),
		"hello beyond measure":  append([]byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}, make([]byte, 64<<10)...),
		"data before hello":     {23, 3, 3, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", f.addr)
			testutil.Ok(t, err)
			defer conn.Close()
			testutil.Ok(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			conn.Write(sent) // the server may be gone before it is through
			got, err := io.ReadAll(conn)
			testutil.Assert(t, !isTimeout(err), "the server did not end the connection")
			testutil.Assert(t, len(got) <= 7 && !bytes.Contains(got, []byte("HTTP")), "got %q", got)
			f.stands(t)
		})
	}
}

func isTimeout(err error) bool {
	netErr, ok := errors.AsType[net.Error](err)
	return ok && netErr.Timeout()
}

// Many connections that get nowhere are ended, and keep nobody out meanwhile.
func TestSlowHandshakes(t *testing.T) {
	t.Parallel()
	f := newFortress(t, 6*time.Second) // enough for good clients, on a machine that has much to do
	f.stands(t)
	secure := func(t *testing.T, raw net.Conn, sent string) {
		cfg := f.config()
		cfg.ServerName = "127.0.0.1"
		_, err := io.WriteString(tls.Client(raw, cfg), sent)
		testutil.Ok(t, err)
	}
	ways := []func(*testing.T, net.Conn){
		func(*testing.T, net.Conn) {},
		func(t *testing.T, raw net.Conn) {
			_, err := raw.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}) // the beginning of a ClientHello
			testutil.Ok(t, err)
		},
		func(t *testing.T, raw net.Conn) { secure(t, raw, "") },
		func(t *testing.T, raw net.Conn) { secure(t, raw, http2.ClientPreface[:10]) },
		func(t *testing.T, raw net.Conn) { secure(t, raw, http2.ClientPreface) }, // no settings
	}
	var slow []net.Conn
	for i := range 200 {
		conn, err := net.Dial("tcp", f.addr)
		testutil.Ok(t, err)
		defer conn.Close()
		testutil.Ok(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		if i%2 == 0 {
			ways[i/2%len(ways)](t, conn)
		}
		slow = append(slow, conn)
	}
	f.stands(t)
	_, err := hello(f.addr, f.config()) // somebody new gets in, too
	testutil.Ok(t, err)
	for i, conn := range slow {
		_, err := io.Copy(io.Discard, conn)
		testutil.Assert(t, !isTimeout(err), "connection %d was not ended: %v", i, err)
	}
	f.conns.await(1) // the good client's
	f.stands(t)
}

// Servers end slow handshakes without being told to.
func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		srv, err := grpcstore.NewServer(threeSeries(t), nil)
		testutil.Ok(t, err)
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- srv.Run(ctx, l) }()
		client, server := net.Pipe()
		l.conns <- server
		start := time.Now()
		_, err = io.Copy(io.Discard, client)
		testutil.Ok(t, err)
		testutil.Equals(t, 10*time.Second, time.Since(start))
		cancel()
		testutil.Ok(t, <-done)
	})
}

// pipeListener has connections without a network.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	close(l.closed)
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// The suite would notice a call that is served: the least of them is.
func TestStrangersCount(t *testing.T) {
	t.Parallel()
	f := newFortress(t, patient)
	a := f.attacker(t)
	a.call(1)
	a.message(1, [5]byte{})
	for f.served.Load() == 0 {
		_, err := a.ReadFrame()
		testutil.Ok(t, err)
	}
}
