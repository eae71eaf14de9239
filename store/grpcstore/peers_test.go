package grpcstore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
)

// calling is the context of a call by who has shown a certificate with names.
func calling(ctx context.Context, cert *x509.Certificate) context.Context {
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
	return peer.NewContext(ctx, &peer.Peer{AuthInfo: credentials.TLSInfo{State: state}})
}

func TestPeers(t *testing.T) {
	t.Parallel()
	peers, err := grpcstore.NewPeers(
		grpcstore.Peer{Name: "spiffe://example.org/eu", Labels: map[string][]string{"cluster": {"eu"}}},
		grpcstore.Peer{Name: "both.example", Labels: map[string][]string{"cluster": {"eu", "us"}, "env": {"prod"}}},
		grpcstore.Peer{Name: "192.0.2.1", Everything: true},
		grpcstore.Peer{Name: "urn:example:x", Everything: true},
	)
	testutil.Ok(t, err)
	uri := func(s string) []*url.URL {
		u, err := url.Parse(s)
		testutil.Ok(t, err)
		return []*url.URL{u}
	}
	for name, tc := range map[string]struct {
		cert *x509.Certificate
		want string
	}{
		"URI":             {&x509.Certificate{URIs: uri("spiffe://example.org/eu")}, `[cluster="eu"]`},
		"DNS name":        {&x509.Certificate{DNSNames: []string{"x.example", "both.example"}}, `[cluster=~"eu|us" env="prod"]`},
		"URI of no host":  {&x509.Certificate{URIs: uri("urn:example:x")}, `[]`},
		"address":         {&x509.Certificate{IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}, `[]`},
		"the first entry": {&x509.Certificate{DNSNames: []string{"both.example"}, URIs: uri("spiffe://example.org/eu")}, `[cluster="eu"]`},
		"somebody":        {&x509.Certificate{DNSNames: []string{"other.example"}, Subject: pkix.Name{CommonName: "o"}}, `denied: nothing is said of client "o" with URIs [] and DNS names ["other.example"]`},
		"common name":     {&x509.Certificate{Subject: pkix.Name{CommonName: "both.example"}}, `denied: nothing is said of client "both.example" with URIs [] and DNS names []`},
		"no URI":          {&x509.Certificate{DNSNames: []string{"spiffe://example.org/eu"}}, `denied: nothing is said of client "" with URIs [] and DNS names ["spiffe://example.org/eu"]`},
		"no DNS name":     {&x509.Certificate{URIs: uri("both.example")}, `denied: nothing is said of client "" with URIs ["both.example"] and DNS names []`},
		"no address":      {&x509.Certificate{DNSNames: []string{"192.0.2.1"}}, `denied: nothing is said of client "" with URIs [] and DNS names ["192.0.2.1"]`},
		"part of a name":  {&x509.Certificate{URIs: uri("spiffe://example.org/eu/x"), DNSNames: []string{"not.both.example"}}, `denied: nothing is said of client "" with URIs ["spiffe://example.org/eu/x"] and DNS names ["not.both.example"]`},
	} {
		ms, err := peers.Allow(calling(t.Context(), tc.cert))
		got := fmt.Sprint(ms)
		if err != nil {
			testutil.Assert(t, errors.Is(err, store.ErrDenied) && ms == nil, "%s: %v %v", name, ms, err)
			got = err.Error()
		}
		testutil.Equals(t, tc.want, got, name)
	}
	_, err = peers.Allow(t.Context())
	testutil.Assert(t, errors.Is(err, store.ErrDenied), "%v", err)
	none, err := grpcstore.NewPeers()
	testutil.Ok(t, err)
	_, err = none.Allow(calling(t.Context(), &x509.Certificate{}))
	testutil.Assert(t, errors.Is(err, store.ErrDenied), "%v", err)
}

func TestPeersErrors(t *testing.T) {
	t.Parallel()
	eu := map[string][]string{"cluster": {"eu"}}
	_, err := grpcstore.NewPeers(grpcstore.Peer{Labels: eu}, grpcstore.Peer{Name: "a"}, grpcstore.Peer{Name: "b", Labels: eu, Everything: true},
		grpcstore.Peer{Name: "b", Labels: eu}, grpcstore.Peer{Name: "c", Labels: map[string][]string{"cluster": nil}})
	testutil.NotOk(t, err)
	for _, want := range []string{
		`peer 1 "": there is no name`, `peer 2 "a": there are no labels; say so if it may have everything`,
		`peer 3 "b": labels and everything exclude each other`, `peer 4 "b": name is there twice`, `peer 5 "c": invalid request: label "cluster": there are no values`,
	} {
		testutil.Assert(t, strings.Contains(err.Error(), want), "%q is not in %v", want, err)
	}
}

// A panic is logged with what it was about, which a caller who may not have
// everything is not told; and once.
func TestAllowedPanics(t *testing.T) {
	t.Parallel()
	for name, allowed := range map[string]struct {
		ms   []*labels.Matcher
		told bool
	}{
		"everything": {nil, true}, "some": {[]*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "cluster", "a")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			bad := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { panic(secret) })
			c := serveStore(t, bad, &grpcstore.ServerOptions{
				Allow:  func(context.Context) ([]*labels.Matcher, error) { return allowed.ms, nil },
				Logger: slog.New(slog.NewTextHandler(&log, nil)), GracePeriod: -1,
			})
			err := c.Series(t.Context(), &store.SeriesRequest{MaxTime: math.MaxInt64}, discard{})
			testutil.NotOk(t, err)
			testutil.Equals(t, allowed.told, strings.Contains(err.Error(), secret), "%v", err)
			testutil.Equals(t, 1, strings.Count(log.String(), "store panicked"), log.String())
			testutil.Assert(t, strings.Contains(log.String(), secret), log.String())
		})
	}
}

// serveStore serves s in plain text until the test ends, and returns a client.
func serveStore(t *testing.T, s store.Store, opts *grpcstore.ServerOptions) *grpcstore.Client {
	t.Helper()
	srv, err := grpcstore.NewServer(s, opts)
	testutil.Ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, l) }()
	c, err := grpcstore.Dial(l.Addr().String(), nil)
	testutil.Ok(t, err)
	t.Cleanup(func() {
		testutil.Ok(t, c.Close())
		cancel()
		testutil.Ok(t, <-done)
	})
	return c
}

// Who calls is known by a certificate, and gets what is theirs.
func ExampleNewPeers() {
	peers, err := grpcstore.NewPeers(
		grpcstore.Peer{Name: "spiffe://example/grafana", Everything: true},
		grpcstore.Peer{Name: "team-eu.example", Labels: map[string][]string{"cluster": {"eu-1", "eu-2"}}},
	)
	check(err)
	server, err := grpcstore.NewServer(exampleStore(), &grpcstore.ServerOptions{Allow: peers.Allow}) // and GRPC, with mutual TLS
	check(err)
	_ = server
	ms, err := peers.Allow(calling(context.Background(), &x509.Certificate{DNSNames: []string{"team-eu.example"}}))
	fmt.Println(ms, err)
	_, err = peers.Allow(context.Background())
	fmt.Println(err)
	// Output:
	// [cluster=~"eu-1|eu-2"] <nil>
	// denied: no client certificate
}
