package tlsutil_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// TestServersOfOthersAreRefused: what crypto/tls checks with a CA that stays is
// checked with one that reloads too.
func TestServersOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	ca, other := newCA(t, "ca"), newCA(t, "other")
	for name, tc := range map[string]struct {
		issue         func(f folder) (cert, key string)
		asked, config string // what the transport asks for, what Config was given
		serverName    string // of the options
		want          string // in the error; empty if there is to be none
	}{
		"name":                       {asked: "store.example"},
		"name in capitals":           {asked: "Store.Example"},
		"another name":               {asked: "query.example", want: "certificate is valid for store.example, not query.example"},
		"name of the options":        {serverName: "store.example"},
		"another name, of options":   {serverName: "query.example", want: "not query.example"},
		"address":                    {asked: "127.0.0.1", config: "127.0.0.1"},
		"another address":            {asked: "127.0.0.2", config: "127.0.0.2", want: "certificate is valid for 127.0.0.1, not 127.0.0.2"},
		"address as server name":     {serverName: "127.0.0.1"},
		"other address, of options":  {serverName: "127.0.0.2", want: "not 127.0.0.2"},
		"address, but nobody says":   {asked: "127.0.0.1", want: "was given no host"},
		"transport wins over config": {asked: "query.example", config: "store.example", want: "not query.example"},
		"another CA": {
			issue: func(f folder) (string, string) { return f.server(other, nil) },
			asked: "store.example", want: "unknown authority",
		},
		"certificate of a client": {
			issue: func(f folder) (string, string) {
				return f.client(ca, func(l *tlsutil.Leaf) { l.Hosts = []string{"store.example"} })
			},
			asked: "store.example", want: "incompatible key usage",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			issue := tc.issue
			if issue == nil {
				issue = func(f folder) (string, string) { return f.server(ca, nil) }
			}
			cert, key := issue(f)
			srv, err := tlsutil.NewServer(cert, key, nil)
			testutil.Ok(t, err)
			cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM()), ServerName: tc.serverName})
			testutil.Ok(t, err)
			r := connect(t, srv.Config(), to(tc.asked, cli.Config(tc.config)))
			if tc.want == "" {
				testutil.Ok(t, r.err())
				return
			}
			_, ok := errors.AsType[*tls.CertificateVerificationError](r.clientErr)
			testutil.Assert(t, ok && strings.Contains(r.clientErr.Error(), tc.want), "%v", r.clientErr)
		})
	}
}

// TestExpiredServer expires while it is in use.
func TestExpiredServer(t *testing.T) {
	t.Parallel()
	f, ca := newFolder(t), newCA(t, "ca")
	cert, key := f.server(ca, func(l *tlsutil.Leaf) { l.NotAfter = time.Now().Add(-time.Second) })
	_, err := tlsutil.NewServer(cert, key, nil)
	testutil.Assert(t, errors.Is(err, tlsutil.ErrExpired), "%v", err)
	pair, err := tls.LoadX509KeyPair(cert, key) // by a server that does not look
	testutil.Ok(t, err)
	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM())})
	testutil.Ok(t, err)
	r := connect(t, &tls.Config{Certificates: []tls.Certificate{pair}}, to("store.example", cli.Config("")))
	invalid, ok := errors.AsType[x509.CertificateInvalidError](r.clientErr)
	testutil.Assert(t, ok && invalid.Reason == x509.Expired, "%v", r.clientErr)
}

func TestClientsAreRefused(t *testing.T) {
	t.Parallel()
	f, ca, other := newFolder(t), newCA(t, "ca"), newCA(t, "other")
	cert, key := f.server(ca, nil)
	srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{ClientCAFile: f.write("clients.crt", ca.PEM())})
	testutil.Ok(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	certificate := func(ca *tlsutil.CA, issue func(*tlsutil.CA, tlsutil.Leaf) (*tlsutil.Pair, error), l tlsutil.Leaf) []tls.Certificate {
		p, err := issue(ca, l)
		testutil.Ok(t, err)
		c, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
		testutil.Ok(t, err)
		return []tls.Certificate{c}
	}
	client, server := (*tlsutil.CA).IssueClient, (*tlsutil.CA).IssueServer
	past := tlsutil.Leaf{NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute)}
	for name, tc := range map[string]struct {
		certs []tls.Certificate
		max   uint16
		want  string
	}{
		"good":                    {certs: certificate(ca, client, tlsutil.Leaf{})},
		"none":                    {want: "client didn't provide a certificate"},
		"another CA":              {certs: certificate(other, client, tlsutil.Leaf{}), want: "unknown authority"},
		"expired":                 {certs: certificate(ca, client, past), want: "expired"},
		"certificate of a server": {certs: certificate(ca, server, tlsutil.Leaf{}), want: "incompatible key usage"},
		"TLS 1.2":                 {certs: certificate(ca, client, tlsutil.Leaf{}), max: tls.VersionTLS12, want: "unsupported versions"},
	} {
		// The certificate is shown even to a server that names other CAs.
		cfg := &tls.Config{RootCAs: roots, ServerName: "store.example", MaxVersion: tc.max, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(tc.certs) == 0 {
				return &tls.Certificate{}, nil
			}
			return &tc.certs[0], nil
		}}
		r := connect(t, srv.Config(), cfg)
		if tc.want == "" {
			testutil.Ok(t, r.err(), name)
			continue
		}
		testutil.NotOk(t, r.clientErr, name)
		testutil.Assert(t, r.servErr != nil && strings.Contains(r.servErr.Error(), tc.want), "%s: %v", name, r.servErr)
	}
}

// TestServersIssueNoTickets: nothing to resume, for a client that would.
func TestServersIssueNoTickets(t *testing.T) {
	t.Parallel()
	f, ca := newFolder(t), newCA(t, "ca")
	cert, key := f.server(ca, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{MinVersion: tls.VersionTLS12})
		testutil.Ok(t, err)
		cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM()), MinVersion: tls.VersionTLS12})
		testutil.Ok(t, err)
		cfg := to("store.example", cli.Config(""))
		cfg.ClientSessionCache, cfg.MaxVersion = tls.NewLRUClientSessionCache(0), version
		server := srv.Config() // one, which would have one key for all tickets
		for range 3 {
			r := connect(t, server, cfg)
			testutil.Ok(t, r.err())
			testutil.Equals(t, version, r.client.Version)
			testutil.Assert(t, !r.client.DidResume && !r.server.DidResume)
		}
	}
}

// TestResumedSessionsAreVerified: a server of somebody else resumes sessions with
// a client that keeps them, until the client drops the CA.
func TestResumedSessionsAreVerified(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		f, ca, other := newFolder(t), newCA(t, "ca"), newCA(t, "other")
		cert, key := f.server(ca, nil)
		pair, err := tls.LoadX509KeyPair(cert, key)
		testutil.Ok(t, err)
		server := &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: version}
		cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM()), MinVersion: tls.VersionTLS12})
		testutil.Ok(t, err)
		cfg := to("store.example", cli.Config(""))
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(0)
		testutil.Ok(t, connect(t, server, cfg).err())
		r := connect(t, server, cfg)
		testutil.Ok(t, r.err())
		testutil.Assert(t, r.client.DidResume) // or the test proves nothing
		f.write("ca.crt", other.PEM())
		r = connect(t, server, cfg)
		testutil.Assert(t, r.clientErr != nil && strings.Contains(r.clientErr.Error(), "unknown authority"), "%v", r.clientErr)
	}
}

func TestSkipVerify(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	cert, key := f.server(newCA(t, "ca"), nil)
	srv, err := tlsutil.NewServer(cert, key, nil)
	testutil.Ok(t, err)
	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{InsecureSkipVerify: true, CAFile: f.path("absent")})
	testutil.Ok(t, err)
	testutil.Ok(t, connect(t, srv.Config(), to("any.example", cli.Config(""))).err())
}

// TestSystemCAs: without a file of CAs, a private one is nobody.
func TestSystemCAs(t *testing.T) {
	t.Parallel()
	f := newFolder(t)
	cert, key := f.server(newCA(t, "ca"), nil)
	srv, err := tlsutil.NewServer(cert, key, nil)
	testutil.Ok(t, err)
	cli, err := tlsutil.NewClient(nil)
	testutil.Ok(t, err)
	r := connect(t, srv.Config(), to("store.example", cli.Config("")))
	_, ok := errors.AsType[*tls.CertificateVerificationError](r.clientErr)
	testutil.Assert(t, ok, "%v", r.clientErr)
}

// TestPlainText: each side tells that the other speaks no TLS.
func TestPlainText(t *testing.T) {
	t.Parallel()
	f, ca := newFolder(t), newCA(t, "ca")
	cert, key := f.server(ca, nil)
	srv, err := tlsutil.NewServer(cert, key, nil)
	testutil.Ok(t, err)
	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM())})
	testutil.Ok(t, err)
	talk := func(server, client func(net.Conn) error) (serverErr, clientErr error) {
		a, b := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- errors.Join(server(a), a.Close()) }()
		clientErr = errors.Join(client(b), b.Close())
		return <-done, clientErr
	}
	say := func(s string) func(net.Conn) error {
		return func(c net.Conn) error { _, err := c.Write([]byte(s)); return err }
	}
	serverErr, _ := talk(func(c net.Conn) error { return tls.Server(c, srv.Config()).Handshake() }, say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
	_, ok := errors.AsType[tls.RecordHeaderError](serverErr)
	testutil.Assert(t, ok, "%v", serverErr)
	_, clientErr := talk(func(c net.Conn) error {
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			return err
		}
		return say("HTTP/1.1 400 Bad Request\r\n\r\n")(c)
	}, func(c net.Conn) error { return tls.Client(c, to("store.example", cli.Config(""))).Handshake() })
	_, ok = errors.AsType[tls.RecordHeaderError](clientErr)
	testutil.Assert(t, ok, "%v", clientErr)
}

// TestHTTP is the pair of net/http on both versions of the protocol.
func TestHTTP(t *testing.T) {
	t.Parallel()
	f, ca := newFolder(t), newCA(t, "ca")
	cert, key := f.server(ca, nil)
	srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{ClientCAFile: f.write("clients.crt", ca.PEM())})
	testutil.Ok(t, err)
	opts := tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM())}
	opts.CertFile, opts.KeyFile = f.client(ca, func(l *tlsutil.Leaf) { l.URIs = []string{"spiffe://example.org/observer"} })
	cli, err := tlsutil.NewClient(&opts)
	testutil.Ok(t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].URIs[0].String()))
	}))
	s.EnableHTTP2 = true
	s.TLS = srv.Config("h2", "http/1.1")
	s.StartTLS()
	defer s.Close()
	for _, major := range []int{1, 2} {
		tr := &http.Transport{TLSClientConfig: cli.Config("127.0.0.1"), ForceAttemptHTTP2: major == 2}
		resp, err := (&http.Client{Transport: tr}).Get(s.URL)
		testutil.Ok(t, err)
		testutil.Equals(t, major, resp.ProtoMajor)
		testutil.Ok(t, resp.Body.Close())
		tr.CloseIdleConnections()
	}
}

func TestFilesOfTheCAAreTheOwners(t *testing.T) {
	t.Parallel()
	f, ca := newFolder(t), newCA(t, "ca")
	f.server(ca, nil)
	testutil.Ok(t, ca.WriteFile(f.path("ca.crt")))
	entries, err := os.ReadDir(f.dir)
	testutil.Ok(t, err)
	testutil.Equals(t, 3, len(entries)) // and nothing temporary
	for _, e := range entries {
		info, err := e.Info()
		testutil.Ok(t, err)
		testutil.Equals(t, os.FileMode(0o600), info.Mode().Perm())
	}
	err = ca.WriteFile(f.path("absent/ca.crt"))
	testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
	testutil.Ok(t, os.Mkdir(f.path("folder"), 0o700))
	testutil.NotOk(t, ca.WriteFile(f.path("folder")))
	entries, err = os.ReadDir(f.dir)
	testutil.Ok(t, err)
	testutil.Equals(t, 4, len(entries))
	_, err = ca.IssueClient(tlsutil.Leaf{URIs: []string{"\x7f"}})
	testutil.NotOk(t, err)
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]uint16{"": tls.VersionTLS13, "1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		got, err := tlsutil.ParseVersion(name)
		testutil.Ok(t, err)
		testutil.Equals(t, want, got)
	}
	_, err := tlsutil.ParseVersion("1.4")
	testutil.Equals(t, `unknown TLS version "1.4", want one of 1.0, 1.1, 1.2, 1.3`, err.Error())
	suites, err := tlsutil.ParseCipherSuites([]string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"})
	testutil.Ok(t, err)
	testutil.Equals(t, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, suites)
	_, err = tlsutil.ParseCipherSuites([]string{"TLS_RSA_WITH_RC4_128_SHA"})
	testutil.NotOk(t, err)
	curves, err := tlsutil.ParseCurves([]string{"CurveP384", "X25519"})
	testutil.Ok(t, err)
	testutil.Equals(t, []tls.CurveID{tls.CurveP384, tls.X25519}, curves)
	curves, err = tlsutil.ParseCurves(nil)
	testutil.Assert(t, curves == nil && err == nil)
	_, err = tlsutil.NewClient(&tlsutil.ClientOptions{CertFile: "a.crt"})
	testutil.Equals(t, "make TLS client: certificate a.crt has no key file", err.Error())
	_, err = tlsutil.NewClient(&tlsutil.ClientOptions{KeyFile: "a.key"})
	testutil.Equals(t, "make TLS client: key a.key has no certificate file", err.Error())
}

// TestCurvesAndSuitesArePassedOn: a client that has nothing in common is refused.
func TestCurvesAndSuitesArePassedOn(t *testing.T) {
	t.Parallel()
	f, ca := newFolder(t), newCA(t, "ca")
	cert, key := f.server(ca, nil)
	srv, err := tlsutil.NewServer(cert, key, &tlsutil.ServerOptions{
		MinVersion: tls.VersionTLS12, Curves: []tls.CurveID{tls.CurveP384}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	})
	testutil.Ok(t, err)
	cli, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.write("ca.crt", ca.PEM()), MinVersion: tls.VersionTLS12})
	testutil.Ok(t, err)
	cfg := to("store.example", cli.Config(""))
	cfg.MaxVersion = tls.VersionTLS12
	r := connect(t, srv.Config(), cfg)
	testutil.Ok(t, r.err())
	testutil.Equals(t, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, r.client.CipherSuite)
	testutil.Equals(t, tls.CurveP384, r.client.CurveID)
	cfg.CurvePreferences = []tls.CurveID{tls.X25519}
	testutil.NotOk(t, connect(t, srv.Config(), cfg).servErr)
}
