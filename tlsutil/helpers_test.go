package tlsutil_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

func newCA(t testing.TB, name string) *tlsutil.CA {
	t.Helper()
	ca, err := tlsutil.NewCA(name, 0)
	testutil.Ok(t, err)
	return ca
}

// folder is a folder with PEM files.
type folder struct {
	testing.TB
	dir string
}

func newFolder(t testing.TB) folder { return folder{t, t.TempDir()} }

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) write(name string, parts ...[]byte) string {
	f.Helper()
	var text []byte
	for _, p := range parts {
		text = append(text, p...)
	}
	testutil.Ok(f, os.WriteFile(f.path(name), text, 0o600))
	return f.path(name)
}

// age makes files old enough to be trusted to be what they look like.
func (f folder) age(names ...string) {
	f.Helper()
	for _, name := range names {
		testutil.Ok(f, os.Chtimes(f.path(name), time.Time{}, time.Now().Add(-time.Hour).Truncate(time.Second)))
	}
}

// server issues a certificate for store.example and 127.0.0.1 and writes it to
// tls.crt and tls.key; change, if not nil, alters it first.
func (f folder) server(ca *tlsutil.CA, change func(*tlsutil.Leaf)) (cert, key string) {
	f.Helper()
	l := tlsutil.Leaf{CommonName: "server", Hosts: []string{"store.example", "127.0.0.1"}}
	if change != nil {
		change(&l)
	}
	p, err := ca.IssueServer(l)
	testutil.Ok(f, err)
	testutil.Ok(f, p.WriteFiles(f.path("tls.crt"), f.path("tls.key")))
	return f.path("tls.crt"), f.path("tls.key")
}

// client is like server, for client.crt and client.key.
func (f folder) client(ca *tlsutil.CA, change func(*tlsutil.Leaf)) (cert, key string) {
	f.Helper()
	l := tlsutil.Leaf{CommonName: "client"}
	if change != nil {
		change(&l)
	}
	p, err := ca.IssueClient(l)
	testutil.Ok(f, err)
	testutil.Ok(f, p.WriteFiles(f.path("client.crt"), f.path("client.key")))
	return f.path("client.crt"), f.path("client.key")
}

// result is what both sides of a connection saw.
type result struct {
	client, server     tls.ConnectionState
	clientErr, servErr error
}

func (r result) err() error { return errors.Join(r.clientErr, r.servErr) }

// connect makes a connection on which the server says one byte: what is wrong
// with a client's certificate is only known to a client that reads.
func connect(t testing.TB, server, client *tls.Config) result {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, l.Close()) }()
	var r result
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			r.servErr = err
			return
		}
		defer conn.Close()
		s := tls.Server(conn, server)
		if r.servErr = s.Handshake(); r.servErr == nil {
			_, r.servErr = s.Write([]byte{1})
		}
		r.server = s.ConnectionState()
	})
	conn, err := net.Dial("tcp", l.Addr().String())
	testutil.Ok(t, err)
	c := tls.Client(conn, client)
	_, r.clientErr = io.ReadFull(c, make([]byte, 1)) // shakes hands first
	r.client = c.ConnectionState()
	testutil.Ok(t, conn.Close())
	wg.Wait()
	return r
}

// to is a client's configuration for a name, as a transport makes it of what it
// was given: a clone.
func to(name string, cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = name
	}
	return cfg
}

func serverCommonName(r result) string { return r.client.PeerCertificates[0].Subject.CommonName }

func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	testutil.Ok(t, err)
	return b
}
