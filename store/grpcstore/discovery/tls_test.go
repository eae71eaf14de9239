package discovery_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/grpcstore/discovery"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// pki is a CA with the files of one server and one client.
type pki struct {
	testing.TB
	dir string
	ca  *tlsutil.CA
}

func newPKI(t testing.TB, name string) *pki {
	t.Helper()
	ca, err := tlsutil.NewCA(name, 0)
	testutil.Ok(t, err)
	p := &pki{t, t.TempDir(), ca}
	testutil.Ok(t, ca.WriteFile(p.path("ca.crt")))
	p.server(tlsutil.Leaf{Hosts: []string{"store.example", "localhost", "127.0.0.1"}})
	p.client(tlsutil.Leaf{})
	return p
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pki) server(l tlsutil.Leaf) {
	p.Helper()
	pair, err := p.ca.IssueServer(l)
	testutil.Ok(p, err)
	testutil.Ok(p, pair.WriteFiles(p.path("server.crt"), p.path("server.key")))
}

func (p *pki) client(l tlsutil.Leaf) {
	p.Helper()
	pair, err := p.ca.IssueClient(l)
	testutil.Ok(p, err)
	testutil.Ok(p, pair.WriteFiles(p.path("client.crt"), p.path("client.key")))
}

// serverOptions are mutual TLS with the files.
func (p *pki) serverOptions() []grpc.ServerOption {
	p.Helper()
	srv, err := tlsutil.NewServer(p.path("server.crt"), p.path("server.key"), &tlsutil.ServerOptions{ClientCAFile: p.path("ca.crt")})
	testutil.Ok(p, err)
	return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(srv.Config()))}
}

// clientConfig is mutual TLS with the files.
func (p *pki) clientConfig() discovery.ClientConfig {
	return discovery.ClientConfig{TLS: discovery.TLSConfig{
		CAFile: new(p.path("ca.crt")), CertFile: new(p.path("client.crt")), KeyFile: new(p.path("client.key")),
	}}
}

// TestNamesStay: whatever a name resolves to, it is asked for by name; and by the
// server_name, if there is one.
func TestNamesStay(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		address, serverName, hosts string
		plain                      bool
		authority, sni             string
	}{
		"DNS":            {address: "dns+store.example:443", authority: "store.example:443", sni: "store.example"},
		"dual stack":     {address: "dnsdualstack+store.example:443", authority: "store.example:443", sni: "store.example"},
		"SRV":            {address: "dnssrv+_grpc._tcp.svc", authority: "store.example:443", sni: "store.example"},
		"SRV, host only": {address: "dnssrvnoa+_grpc._tcp.local", authority: "localhost:443", sni: "localhost"},
		"server_name":    {address: "dns+other.example:443", serverName: "store.example", authority: "store.example", sni: "store.example"},
		"static":         {address: "passthrough:///store.example:443", authority: "store.example:443", sni: "store.example"},
		"address":        {address: "127.0.0.1:443", authority: "127.0.0.1:443"},
		"plain text":     {address: "dns+store.example:443", plain: true, authority: "store.example:443"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPKI(t, "ca")
			a, b := &remote{name: "a"}, &remote{name: "b"}
			opts := p.serverOptions()
			cfg := discovery.Config{Endpoints: []discovery.Endpoint{{Address: tc.address, Client: p.clientConfig()}}}
			cfg.Endpoints[0].Client.ServerName = tc.serverName
			if tc.plain {
				opts, cfg.Endpoints[0].Client = nil, discovery.ClientConfig{}
			}
			var n network
			defer n.add(t, a, opts, "10.0.0.1:443", "store.example:443", "127.0.0.1:443", "[::1]:443")()
			defer n.add(t, b, opts, "10.0.0.2:443")()
			z := newZone()
			z.srv["_grpc._tcp.svc"] = srv("store.example.", 443)
			z.srv["_grpc._tcp.local"] = srv("localhost.", 443)
			for _, host := range []string{"store.example", "store.example.", "other.example"} {
				z.set(host, "10.0.0.1", "10.0.0.2")
			}
			z.hosts["ip4 store.example"] = []string{"10.0.0.1", "10.0.0.2"}
			s := newSource(t, &discovery.Options{Config: cfg, Resolver: z, Client: n.client()})
			testutil.Ok(t, s.Refresh(t.Context()))
			for _, m := range s.Members() {
				_, err := ask(t, m.Store)
				testutil.Ok(t, err)
			}
			for i, r := range []*remote{a, b}[:len(s.Members())] {
				authorities, snis := r.asked()
				testutil.Equals(t, []string{tc.authority}, authorities, "server %d", i)
				if tc.plain {
					testutil.Equals(t, 0, len(snis))
				} else {
					testutil.Equals(t, []string{tc.sni}, snis, "server %d", i)
				}
			}
		})
	}
}

func srv(target string, port uint16) []*net.SRV { return []*net.SRV{{Target: target, Port: port}} }

// TestEachEndpointHasItsOwnTLS: one observer, two observees with CAs of their own
// and one that speaks plain text, told apart by configuration only.
func TestEachEndpointHasItsOwnTLS(t *testing.T) {
	t.Parallel()
	eu, us := newPKI(t, "eu"), newPKI(t, "us")
	var n network
	for r, opts := range map[string][]grpc.ServerOption{"eu": eu.serverOptions(), "us": us.serverOptions(), "lab": nil} {
		defer n.add(t, &remote{name: r}, opts, r+":1")()
	}
	named := func(c discovery.ClientConfig) discovery.ClientConfig { c.ServerName = "store.example"; return c }
	cfg := discovery.Config{DefaultClient: named(eu.clientConfig()), Endpoints: []discovery.Endpoint{
		{Address: "passthrough:///eu:1"},
		{Address: "passthrough:///us:1", Client: named(us.clientConfig())},
		{Address: "passthrough:///lab:1", Client: discovery.ClientConfig{TLS: discovery.TLSConfig{Enabled: new(false)}}},
	}}
	s := newSource(t, &discovery.Options{Config: cfg, Client: n.client()})
	testutil.Ok(t, s.Refresh(t.Context()))
	testutil.Equals(t, 2, s.TLSFiles())
	for i, want := range []string{"eu", "us", "lab"} {
		got, err := ask(t, s.Members()[i].Store)
		testutil.Ok(t, err)
		testutil.Equals(t, []string{`{peer="` + want + `"}`}, got)
	}
}

// TestFilesOfTLSMayComeLater: an endpoint whose files are not there yet is missed,
// and asked as soon as they are.
func TestFilesOfTLSMayComeLater(t *testing.T) {
	t.Parallel()
	p := newPKI(t, "ca")
	var n network
	defer n.add(t, &remote{name: "a"}, p.serverOptions(), "127.0.0.1:1")()
	cfg := discovery.Config{DefaultClient: p.clientConfig(), Endpoints: []discovery.Endpoint{{Address: "127.0.0.1:1"}}}
	later := p.path("later.crt")
	cfg.DefaultClient.TLS.CAFile = &later
	s := newSource(t, &discovery.Options{Config: cfg, Client: n.client()})
	err := s.Refresh(t.Context())
	e, ok := errors.AsType[*tlsutil.FileError](err)
	testutil.Assert(t, ok && e.File == later, "%v", err)
	_, err = ask(t, s.Members()[0].Store)
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
	testutil.Ok(t, os.Rename(p.path("ca.crt"), later))
	testutil.Ok(t, s.Refresh(t.Context()))
	_, err = ask(t, s.Members()[0].Store)
	testutil.Ok(t, err)
}

// dialer asks a server over a new connection each time.
func dialer(t testing.TB, addr string, client discovery.ClientConfig) func() error {
	return func() error {
		t.Helper()
		s, err := discovery.New(&discovery.Options{Config: discovery.Config{DefaultClient: client, Endpoints: []discovery.Endpoint{{Address: addr}}}})
		testutil.Ok(t, err)
		defer func() { testutil.Ok(t, s.Close()) }()
		if err := s.Refresh(t.Context()); err != nil {
			return err
		}
		_, err = ask(t, s.Members()[0].Store)
		return err
	}
}

// TestRotationWhileAStreamRuns: certificates and CAs change on both sides; a call
// that runs is none the wiser, and new connections are made with the new ones.
func TestRotationWhileAStreamRuns(t *testing.T) {
	t.Parallel()
	p, after := newPKI(t, "before"), newPKI(t, "after")
	r := &remote{name: "a", hold: make(chan struct{})}
	addr := r.listen(t, p.serverOptions()...)
	s := newSource(t, &discovery.Options{
		Config: discovery.Config{DefaultClient: p.clientConfig(), Endpoints: []discovery.Endpoint{{Address: addr}}},
		Client: grpcstore.ClientOptions{BatchSize: 1}, // each series as soon as there is one
	})
	testutil.Ok(t, s.Refresh(t.Context()))
	began, done := make(chan struct{}, 2), make(chan error, 1)
	go func() {
		done <- s.Members()[0].Store.Series(t.Context(), whole, writer(func() { began <- struct{}{} }))
	}()
	<-began

	issuer := func() string {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		testutil.Ok(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Issuer.CommonName
	}
	testutil.Equals(t, "before", issuer())
	old := pkiCopy(t, p) // a client that is not told
	copyFile(t, after.path("ca.crt"), p.path("ca.crt"))
	for _, name := range []string{"server.crt", "server.key", "client.crt", "client.key"} {
		copyFile(t, after.path(name), p.path(name))
	}
	testutil.Equals(t, "after", issuer())
	close(r.hold)
	testutil.Ok(t, <-done)
	testutil.Equals(t, 1, len(began)) // the series after the change

	testutil.Ok(t, dialer(t, addr, p.clientConfig())())
	copyFile(t, after.path("ca.crt"), old.path("ca.crt")) // it trusts the server, which does not trust it
	err := dialer(t, addr, old.clientConfig())()
	testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%v", err)
	copyFile(t, after.path("client.crt"), old.path("client.crt"))
	copyFile(t, after.path("client.key"), old.path("client.key"))
	testutil.Ok(t, dialer(t, addr, old.clientConfig())())
}

type writer func()

func (w writer) Send(*store.Series) error { w(); return nil }
func (w writer) Warn(error) error         { return nil }

func pkiCopy(t testing.TB, p *pki) *pki {
	t.Helper()
	out := &pki{t, t.TempDir(), p.ca}
	for _, name := range []string{"ca.crt", "server.crt", "server.key", "client.crt", "client.key"} {
		copyFile(t, p.path(name), out.path(name))
	}
	return out
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	testutil.Ok(t, err)
	testutil.Ok(t, os.WriteFile(to, b, 0o600))
}

// TestConnectionsThatAreRefused says why each time, on one server that serves the
// right client throughout.
func TestConnectionsThatAreRefused(t *testing.T) {
	t.Parallel()
	p, other := newPKI(t, "ca"), newPKI(t, "other")
	r := &remote{name: "a"}
	addr := r.listen(t, p.serverOptions()...)
	plain := (&remote{name: "plain"}).listen(t)
	expired := pkiCopy(t, p)
	expired.client(tlsutil.Leaf{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute)})
	with := func(c discovery.ClientConfig, change func(*discovery.ClientConfig)) discovery.ClientConfig {
		change(&c)
		return c
	}
	for _, tc := range []struct {
		name, addr string
		client     discovery.ClientConfig
		want       []string // any of
	}{
		{"right", addr, p.clientConfig(), nil},
		{"plain text", addr, discovery.ClientConfig{}, []string{"error reading server preface", "EOF", "reset"}},
		{"TLS to plain text", plain, p.clientConfig(), []string{"first record does not look like a TLS handshake"}},
		{"CA unknown to the client", addr, with(p.clientConfig(), func(c *discovery.ClientConfig) { c.TLS.CAFile = new(other.path("ca.crt")) }), []string{"unknown authority"}},
		{"another name", addr, with(p.clientConfig(), func(c *discovery.ClientConfig) { c.ServerName = "query.example" }), []string{"valid for store.example, localhost, not query.example"}},
		{"no client certificate", addr, discovery.ClientConfig{TLS: discovery.TLSConfig{CAFile: new(p.path("ca.crt"))}}, []string{"certificate required", "broken pipe", "reset"}},
		{"client of another CA", addr, with(other.clientConfig(), func(c *discovery.ClientConfig) { c.TLS.CAFile = new(p.path("ca.crt")) }), []string{"unknown certificate authority", "broken pipe", "reset"}},
	} {
		err := dialer(t, tc.addr, tc.client)()
		if tc.want == nil {
			testutil.Ok(t, err, tc.name)
			continue
		}
		testutil.Assert(t, errors.Is(err, store.ErrUnavailable), "%s: %v", tc.name, err)
		testutil.Assert(t, slices.ContainsFunc(tc.want, func(w string) bool { return strings.Contains(err.Error(), w) }), "%s: %v", tc.name, err)
	}
	err := dialer(t, addr, expired.clientConfig())() // refused by ourselves, before anybody is asked
	testutil.Assert(t, errors.Is(err, tlsutil.ErrExpired), "%v", err)
	testutil.Ok(t, dialer(t, addr, p.clientConfig())())
	authorities, _ := r.asked()
	testutil.Equals(t, 2, len(authorities)) // nobody else was served
}
