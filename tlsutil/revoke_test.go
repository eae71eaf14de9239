package tlsutil_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// echo answers each byte on connections of l, after a TLS handshake.
func echo(t testing.TB, l net.Listener, cfg *tls.Config) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer raw.Close()
				conn := tls.Server(raw, cfg)
				io.Copy(conn, conn)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
}

// say has a byte echoed. It reads while it writes, as it has to without a network: the
// server may have something to say first.
func say(conn net.Conn) error {
	wrote := make(chan error, 1)
	go func() {
		_, err := conn.Write([]byte{7})
		wrote <- err
	}()
	_, err := io.ReadFull(conn, make([]byte, 1))
	return errors.Join(err, <-wrote)
}

// serverOf is a Server that demands certificates of the CAs in clients.crt.
func serverOf(t testing.TB, f folder, ca *tlsutil.CA, maxAge time.Duration, clients ...[]byte) *tlsutil.Server {
	t.Helper()
	cert, key := f.server(ca, nil)
	srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{ClientCAFile: f.write("clients.crt", clients...), MaxRevokedAge: maxAge})
	testutil.Ok(t, err)
	return srv
}

// clientOf is a connection of a client with a certificate of another CA.
func clientOf(t testing.TB, addr string, serverCA, ca *tlsutil.CA) *tls.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	testutil.Ok(t, err)
	return clientOver(t, raw, serverCA, ca)
}

func clientOver(t testing.TB, raw net.Conn, serverCA, ca *tlsutil.CA) *tls.Conn {
	t.Helper()
	f := newFolder(t)
	cert, key := f.client(ca, nil)
	c, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", serverCA.PEM()), CertFile: cert, KeyFile: key})
	testutil.Ok(t, err)
	conn := tls.Client(raw, to("127.0.0.1", c.Config("127.0.0.1")))
	t.Cleanup(func() { conn.Close() })
	testutil.Ok(t, conn.HandshakeContext(t.Context()))
	return conn
}

// A connection ends when the CA that let its client in is taken out of the bundle,
// though nobody shakes hands; others go on.
func TestListenerEndsConnections(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	ca, old, renewed := newCA(t, "servers"), newCA(t, "old"), newCA(t, "new")
	srv := serverOf(t, f, ca, 200*time.Millisecond, old.PEM(), renewed.PEM())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	l = srv.Listener(l)
	echo(t, l, srv.Config())
	addr := l.Addr().String()
	a, b := clientOf(t, addr, ca, old), clientOf(t, addr, ca, renewed)
	testutil.Ok(t, say(a))
	testutil.Ok(t, say(b))

	testutil.Ok(t, renewed.WriteFile(f.path("clients.crt")))
	_, err = a.Read(make([]byte, 1)) // waits for the end
	testutil.NotOk(t, err)
	testutil.Ok(t, say(b))
	testutil.NotOk(t, say(clientOf(t, addr, ca, old)))
	testutil.Ok(t, say(clientOf(t, addr, ca, renewed)))
}

// A CA that comes back in time has lost nothing; one that does not has.
func TestListenerKeepsConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		ca, old, renewed := newCA(t, "servers"), newCA(t, "old"), newCA(t, "new")
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		testutil.Equals(t, net.Listener(l), serverOf(t, f, ca, -1, old.PEM()).Listener(l)) // nothing to end

		srv := serverOf(t, f, ca, time.Minute, old.PEM())
		echo(t, srv.Listener(l), srv.Config())
		near, far := net.Pipe()
		l.conns <- far
		conn := clientOver(t, near, ca, old)
		testutil.Ok(t, say(conn))
		for range 10 {
			testutil.Ok(t, renewed.WriteFile(f.path("clients.crt")))
			<-time.After(29 * time.Second) // seen within 15, and not over before 30
			testutil.Ok(t, old.WriteFile(f.path("clients.crt")))
			<-time.After(16 * time.Second)
		}
		<-time.After(time.Hour)
		testutil.Ok(t, say(conn))
		testutil.Ok(t, renewed.WriteFile(f.path("clients.crt")))
		<-time.After(time.Minute)
		testutil.NotOk(t, say(conn))
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

// The client's side ends connections to servers in the same way.
func TestTrack(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	old, renewed := newCA(t, "old"), newCA(t, "new")
	cert, key := f.server(old, nil)
	srv, err := tlsutil.NewServer(cert, key, nil)
	testutil.Ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	testutil.Equals(t, l, srv.Listener(l)) // asks for no certificates
	echo(t, l, srv.Config())

	ca := f.write("ca.crt", old.PEM())
	c, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: ca, MaxRevokedAge: 100 * time.Millisecond})
	testutil.Ok(t, err)
	raw, err := tls.Dial("tcp", l.Addr().String(), c.Config("127.0.0.1"))
	testutil.Ok(t, err)
	conn := c.Track(raw, raw.ConnectionState())
	testutil.Ok(t, say(conn))
	id, ok := c.PeerIdentity(new(raw.ConnectionState()))
	testutil.Assert(t, !ok, "no name was asked for: %v", id)
	testutil.Ok(t, renewed.WriteFile(ca))
	_, err = conn.Read(make([]byte, 1))
	testutil.NotOk(t, err)
	testutil.Ok(t, conn.Close())
}
