package grpcstore_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

var rotation = flag.Duration("rotation", 10*time.Second, "for how long certificates are rotated under load, a step each second")

const (
	rotationStep       = time.Second
	rotationSteps      = 3
	rotationHandshakes = 3                      // at least, in each rotation
	rotationAge        = 150 * time.Millisecond // of connections
)

// census counts handshakes and, by who has issued the peer's certificate, open
// connections.
type census struct {
	mu         sync.Mutex
	open       map[string]int
	handshakes int
	changed    chan struct{} // closed and replaced
}

func newCensus() *census { return &census{open: map[string]int{}, changed: make(chan struct{})} }

func (c *census) add(issuer string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[issuer] += n
	c.handshakes += max(n, 0)
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *census) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handshakes
}

// await waits until there were so many handshakes and nobody is connected whom a CA
// has let in.
func (c *census) await(t *testing.T, handshakes int, gone string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		c.mu.Lock()
		have, left, changed := c.handshakes, c.open[gone], c.changed
		c.mu.Unlock()
		if have >= handshakes && left == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("await %d handshakes, and nobody of %q: there were %d, and %d are left", handshakes, gone, have, left)
		}
	}
}

// counted are credentials that the census counts.
type counted struct {
	credentials.TransportCredentials
	census *census
}

func (c counted) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	return c.count(conn, info, err)
}

func (c counted) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	return c.count(conn, info, err)
}

func (c counted) Clone() credentials.TransportCredentials {
	return counted{c.TransportCredentials.Clone(), c.census}
}

func (c counted) count(conn net.Conn, info credentials.AuthInfo, err error) (net.Conn, credentials.AuthInfo, error) {
	if err != nil {
		return nil, nil, err
	}
	issuer := info.(credentials.TLSInfo).State.PeerCertificates[0].Issuer.CommonName
	c.census.add(issuer, 1)
	return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { c.census.add(issuer, -1) })}, info, nil
}

type countedConn struct {
	net.Conn
	closed func()
}

func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// rotating is a server and its client, who take turns in certificates.
type rotating struct {
	*testing.T
	dir              string
	srv              *tlsutil.Server
	cli              *tlsutil.Client
	servers, clients *census // by the certificates that clients and servers have shown
}

func newRotating(t *testing.T, ca *tlsutil.CA, serverAge, clientAge time.Duration) *rotating {
	t.Helper()
	r := &rotating{T: t, dir: t.TempDir(), servers: newCensus(), clients: newCensus()}
	r.bundle(ca)
	r.leaves(ca)
	var err error
	r.srv, err = tlsutil.NewServer(r.file("server.crt"), r.file("server.key"), &tlsutil.ServerOptions{ClientCAFile: r.file("ca.crt"), MaxRevokedAge: serverAge})
	testutil.Ok(t, err)
	r.cli, err = tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: r.file("ca.crt"), CertFile: r.file("client.crt"), KeyFile: r.file("client.key"), MaxRevokedAge: clientAge})
	testutil.Ok(t, err)
	return r
}

func (r *rotating) file(name string) string { return filepath.Join(r.dir, name) }

// bundle trusts the CAs, on both sides.
func (r *rotating) bundle(cas ...*tlsutil.CA) {
	r.Helper()
	var text []byte
	for _, ca := range cas {
		text = append(text, ca.PEM()...)
	}
	testutil.Ok(r, os.WriteFile(r.file("ca.tmp"), text, 0o600))
	testutil.Ok(r, os.Rename(r.file("ca.tmp"), r.file("ca.crt")))
}

// leaves issues new certificates for both sides.
func (r *rotating) leaves(ca *tlsutil.CA) {
	r.Helper()
	server, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}})
	testutil.Ok(r, err)
	testutil.Ok(r, server.WriteFiles(r.file("server.crt"), r.file("server.key")))
	client, err := ca.IssueClient(tlsutil.Leaf{CommonName: "client"})
	testutil.Ok(r, err)
	testutil.Ok(r, client.WriteFiles(r.file("client.crt"), r.file("client.key")))
}

// serve serves s, until the test ends.
func (r *rotating) serve(s store.Store, opts ...grpc.ServerOption) (addr string) {
	r.Helper()
	opts = append(opts, grpc.Creds(counted{credentials.NewTLS(r.srv.Config()), r.servers}))
	srv, err := grpcstore.NewServer(s, &grpcstore.ServerOptions{GRPC: opts, GracePeriod: -1})
	testutil.Ok(r, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(r, err)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	go func() { done <- srv.Run(ctx, r.srv.Listener(l)) }()
	r.Cleanup(func() {
		cancel()
		testutil.Ok(r, <-done)
	})
	return l.Addr().String()
}

func (r *rotating) dial(addr string) *grpcstore.Client {
	r.Helper()
	c, err := grpcstore.Dial(addr, &grpcstore.ClientOptions{DialOptions: []grpc.DialOption{
		grpc.WithTransportCredentials(counted{grpcstore.TLS(r.cli, "127.0.0.1"), r.clients}),
	}})
	testutil.Ok(r, err)
	r.Cleanup(func() { testutil.Ok(r, c.Close()) })
	return c
}

// ask asks for everything, in two ways.
func ask(ctx context.Context, c *grpcstore.Client) error {
	n := 0
	for _, err := range store.All(ctx, c, &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64, Strategy: store.Abort}, nil) {
		if err != nil {
			return err
		}
		n++
	}
	values, err := c.LabelValues(ctx, &store.LabelValuesRequest{Label: "n", MinTime: math.MinInt64, MaxTime: math.MaxInt64})
	if err != nil {
		return err
	}
	if n != 3 || !slices.Equal(values, []string{"0", "1", "2"}) {
		return fmt.Errorf("got %d series and the values %q", n, values)
	}
	return nil
}

func threeSeries(t testing.TB) store.Store {
	t.Helper()
	s := memstore.New(nil)
	for i := range 3 {
		testutil.Ok(t, s.Append(labels.FromStrings(labels.MetricName, "up", "n", fmt.Sprint(i)), 1000, 1))
	}
	return s
}

// Certificates and CAs are replaced on both sides while queries run, none of which
// fails; a CA that was dropped lets nobody in from that moment on.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	old := newNamedCA(t, 0)
	r := newRotating(t, old, 0, 0)
	addr := r.serve(threeSeries(t), grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: rotationAge}))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	asked := make([]int, 2)
	for i := range asked {
		c := r.dial(addr)
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := ask(ctx, c); err != nil && ctx.Err() == nil {
					t.Errorf("query %d: %v", asked[i], err)
				}
				asked[i]++
			}
		})
	}
	tick := time.NewTicker(rotationStep)
	defer tick.Stop()
	for n := range max(1, int(*rotation/(rotationStep*rotationSteps))) {
		renewed := newNamedCA(t, n+1)
		before := r.clients.count()
		stale := newStale(r, old, addr)
		<-tick.C
		r.bundle(old, renewed)
		stale.accepted()
		<-tick.C
		r.leaves(renewed)
		r.servers.await(t, 0, commonName(n))
		r.clients.await(t, before+rotationHandshakes, commonName(n))
		<-tick.C
		r.bundle(renewed)
		stale.refused()
		stale.close()
		r.clients.await(t, r.clients.count()+1, commonName(n)) // somebody still gets in
		old = renewed
	}
	cancel()
	wg.Wait()
	t.Logf("%d handshakes, %v queries", r.clients.count(), asked)
}

func commonName(n int) string { return fmt.Sprintf("ca-%d", n) }

func newNamedCA(t testing.TB, n int) *tlsutil.CA {
	t.Helper()
	ca, err := tlsutil.NewCA(commonName(n), 0)
	testutil.Ok(t, err)
	return ca
}

// stale are a client of the server, and a server of the client, that go on with the
// certificates of an old CA and with sessions to resume.
type stale struct {
	*rotating
	addr   string       // of the server
	client *tls.Config  // of the stale client
	server net.Listener // the stale server
	done   chan struct{}
	toIt   *tls.Config // of the client, with a cache of sessions
}

func newStale(r *rotating, ca *tlsutil.CA, addr string) *stale {
	r.Helper()
	s := &stale{rotating: r, addr: addr, done: make(chan struct{})}
	pair := func(p *tlsutil.Pair, err error) tls.Certificate {
		testutil.Ok(r, err)
		cert, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
		testutil.Ok(r, err)
		return cert
	}
	s.client = &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2"}, ClientSessionCache: tls.NewLRUClientSessionCache(0), ServerName: "127.0.0.1",
		Certificates: []tls.Certificate{pair(ca.IssueClient(tlsutil.Leaf{CommonName: "stale"}))},
	}
	s.toIt = r.cli.Config("127.0.0.1")
	s.toIt.NextProtos, s.toIt.ServerName, s.toIt.ClientSessionCache = []string{"h2"}, "127.0.0.1", tls.NewLRUClientSessionCache(0)
	var err error
	s.server, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		NextProtos: []string{"h2"}, Certificates: []tls.Certificate{pair(ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}}))},
	})
	testutil.Ok(r, err)
	go func() {
		defer close(s.done)
		for {
			conn, err := s.server.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte{1}) // the client's error is what counts
			conn.Close()
		}
	}()
	return s
}

func (s *stale) close() {
	testutil.Ok(s, s.server.Close())
	<-s.done
}

// hello shakes hands and waits for the first byte of the server, which is when a
// client knows that it was let in.
func hello(addr string, cfg *tls.Config) (resumed bool, err error) {
	conn, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		return false, err
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return conn.ConnectionState().DidResume, err
}

func (s *stale) accepted() {
	s.Helper()
	for i := range 2 {
		resumed, err := hello(s.addr, s.client)
		testutil.Ok(s, err)
		testutil.Assert(s, !resumed, "the server has resumed a session, which shows no certificate")
		resumed, err = hello(s.server.Addr().String(), s.toIt)
		testutil.Ok(s, err)
		testutil.Equals(s, i > 0, resumed)
	}
}

func (s *stale) refused() {
	s.Helper()
	_, err := hello(s.addr, s.client)
	testutil.NotOk(s, err, "the server lets in a client of a CA that it has dropped")
	_, err = hello(s.server.Addr().String(), s.toIt)
	testutil.NotOk(s, err, "the client talks to a server of a CA that it has dropped")
}

// Either side ends connections to a peer whose CA it has dropped, and the calls that
// run on them.
func TestDroppedCAEndsCalls(t *testing.T) {
	t.Parallel()
	const patient, impatient = -1, 200 * time.Millisecond
	for name, tc := range map[string]struct{ server, client time.Duration }{
		"by the server": {impatient, patient},
		"by the client": {patient, impatient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, renewed := newNamedCA(t, 0), newNamedCA(t, 1)
			r := newRotating(t, old, tc.server, tc.client)
			started := make(chan struct{}, 1)
			c := r.dial(r.serve(store.Func(func(ctx context.Context, _ *store.SeriesRequest, _ store.SeriesWriter) error {
				started <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			})))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			failed := make(chan error, 1)
			go func() { failed <- c.Series(ctx, &store.SeriesRequest{MaxTime: math.MaxInt64}, discard{}) }()
			<-started
			r.bundle(renewed)
			err := <-failed
			testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
			r.servers.await(t, 1, commonName(0))
			r.clients.await(t, 1, commonName(0))
			// There is no way back.
			err = c.Series(ctx, &store.SeriesRequest{MaxTime: math.MaxInt64}, discard{})
			testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
		})
	}
}

// discard takes series, and does nothing with them.
type discard struct{}

func (discard) Send(*store.Series) error { return nil }
func (discard) Warn(error) error         { return nil }
