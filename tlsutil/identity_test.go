package tlsutil_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

func TestPeerIdentity(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for name, tc := range map[string]struct {
		leaf tlsutil.Leaf
		want tlsutil.Identity
	}{
		"names": {
			tlsutil.Leaf{CommonName: "observer", Hosts: []string{"observer.example", "10.0.0.1", "::1"}, URIs: []string{"https://a.example/x"}},
			tlsutil.Identity{CommonName: "observer", DNSNames: []string{"observer.example"}, IPAddresses: []string{"10.0.0.1", "::1"}, URIs: []string{"https://a.example/x"}},
		},
		"SPIFFE": {
			tlsutil.Leaf{URIs: []string{"spiffe://example.org/observer"}},
			tlsutil.Identity{URIs: []string{"spiffe://example.org/observer"}, SPIFFE: "spiffe://example.org/observer"},
		},
		"two URIs are no SPIFFE ID": {
			tlsutil.Leaf{URIs: []string{"spiffe://example.org/observer", "spiffe://example.org/other"}},
			tlsutil.Identity{URIs: []string{"spiffe://example.org/observer", "spiffe://example.org/other"}},
		},
		"with a query": {
			tlsutil.Leaf{URIs: []string{"spiffe://example.org/observer?x=y"}},
			tlsutil.Identity{URIs: []string{"spiffe://example.org/observer?x=y"}},
		},
		"without a trust domain": {
			tlsutil.Leaf{URIs: []string{"spiffe:///observer"}},
			tlsutil.Identity{URIs: []string{"spiffe:///observer"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, ca := newFolder(t), newCA(t, "CA")
			srv := serverOf(t, f, ca, 0, ca.PEM())
			tc.leaf.NotAfter, tc.want.NotAfter = until, until
			cert, key := f.client(ca, func(l *tlsutil.Leaf) { *l = tc.leaf })
			c, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.path("clients.crt"), CertFile: cert, KeyFile: key})
			testutil.Ok(t, err)
			r := connect(t, srv.Config(), to("store.example", c.Config("store.example")))
			testutil.Ok(t, r.err())
			id, ok := tlsutil.PeerIdentity(&r.server)
			testutil.Assert(t, ok)
			testutil.Equals(t, tc.want, id)

			_, ok = tlsutil.PeerIdentity(&r.client)
			testutil.Assert(t, !ok, "crypto/tls has not checked the server's certificate")
			id, ok = c.PeerIdentity(&r.client)
			testutil.Assert(t, ok && id.CommonName == "server" && id.DNSNames[0] == "store.example", "%v", id)
			testutil.Ok(t, newCA(t, "another").WriteFile(f.path("clients.crt")))
			_, ok = c.PeerIdentity(&r.client)
			testutil.Assert(t, !ok, "its CA is gone")
		})
	}
}

// Who was not checked has no identity.
func TestPeerIdentityOfNobody(t *testing.T) {
	t.Parallel()
	_, ok := tlsutil.PeerIdentity(&tls.ConnectionState{})
	testutil.Assert(t, !ok)

	f, ca := newFolder(t), newCA(t, "CA")
	cert, key := f.server(ca, nil)
	srv, err := tlsutil.NewServer(cert, key, nil)
	testutil.Ok(t, err)
	cfg := srv.Config()
	any, err := tls.LoadX509KeyPair(f.client(ca, nil))
	testutil.Ok(t, err)
	anybody := &tls.Config{Certificates: []tls.Certificate{any}, InsecureSkipVerify: true}
	server := &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	server.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		c, err := cfg.GetConfigForClient(h)
		if err == nil {
			c.ClientAuth = tls.RequireAnyClientCert
		}
		return c, err
	}
	r := connect(t, server, anybody)
	testutil.Ok(t, r.err())
	testutil.Equals(t, 1, len(r.server.PeerCertificates))
	_, ok = tlsutil.PeerIdentity(&r.server)
	testutil.Assert(t, !ok, "shown and not checked")
	c, err := tlsutil.NewClient(&tlsutil.ClientOptions{InsecureSkipVerify: true})
	testutil.Ok(t, err)
	_, ok = c.PeerIdentity(&r.client)
	testutil.Assert(t, !ok)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	f, ca, second := newFolder(t), newCA(t, "one"), newCA(t, "two")
	srv := serverOf(t, f, ca, 0, ca.PEM(), second.PEM())
	from, until := time.Now().Add(-time.Hour).UTC().Truncate(time.Second), time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	cert, key := f.server(ca, func(l *tlsutil.Leaf) { l.NotBefore, l.NotAfter = from, until }) // read without a handshake
	f.write("tls.crt", read(t, cert), ca.PEM())
	got := srv.Expiry()
	testutil.Equals(t, 4, len(got))
	testutil.Equals(t, tlsutil.Expiry{File: cert, Subject: "CN=server", NotBefore: from, NotAfter: until}, got[0])
	testutil.Equals(t, 30*time.Minute, got[0].Left(until.Add(-30*time.Minute)))
	testutil.Equals(t, []any{cert, "CN=one", false}, []any{got[1].File, got[1].Subject, got[1].CA})
	testutil.Equals(t, []any{f.path("clients.crt"), "CN=one", true}, []any{got[2].File, got[2].Subject, got[2].CA})
	testutil.Equals(t, "CN=two", got[3].Subject)

	c, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: f.path("clients.crt"), CertFile: cert, KeyFile: key})
	testutil.Ok(t, err)
	testutil.Equals(t, got, c.Expiry())
	c, err = tlsutil.NewClient(nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(c.Expiry()))
}

// OpenSSL takes a certificate for self-signed whose subject is its issuer's.
func TestNameOfTheCA(t *testing.T) {
	t.Parallel()
	ca := newCA(t, "observer")
	for _, issue := range []func(tlsutil.Leaf) (*tlsutil.Pair, error){ca.IssueClient, ca.IssueServer} {
		_, err := issue(tlsutil.Leaf{CommonName: "observer"})
		testutil.NotOk(t, err)
		testutil.Equals(t, `issue certificate "observer": common name is that of the CA`, err.Error())
	}
}
