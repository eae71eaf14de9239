package tls_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// pki is a CA in ca.crt, with server and client certificates beside it.
type pki struct {
	testing.TB
	dir string
	ca  *tlsutil.CA
}

func newPKI(t testing.TB, name string, hosts ...string) *pki {
	t.Helper()
	if len(hosts) == 0 {
		hosts = []string{"store.example", "127.0.0.1"}
	}
	ca, err := tlsutil.NewCA(name, 0)
	testutil.Ok(t, err)
	p := &pki{t, t.TempDir(), ca}
	testutil.Ok(t, ca.WriteFile(p.path("ca.crt")))
	server, err := ca.IssueServer(tlsutil.Leaf{Hosts: hosts})
	testutil.Ok(t, err)
	testutil.Ok(t, server.WriteFiles(p.path("server.crt"), p.path("server.key")))
	client, err := ca.IssueClient(tlsutil.Leaf{CommonName: "observer"})
	testutil.Ok(t, err)
	testutil.Ok(t, client.WriteFiles(p.path("client.crt"), p.path("client.key")))
	return p
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

// serverFlags and clientFlags are mutual TLS, in Thanos' flags.
func (p *pki) serverFlags() []string {
	return []string{"--grpc-server-tls-cert=" + p.path("server.crt"), "--grpc-server-tls-key=" + p.path("server.key"), "--grpc-server-tls-client-ca=" + p.path("ca.crt")}
}

func (p *pki) clientFlags() []string {
	return []string{"--grpc-client-tls-secure", "--grpc-client-tls-cert=" + p.path("client.crt"), "--grpc-client-tls-key=" + p.path("client.key"), "--grpc-client-tls-ca=" + p.path("ca.crt")}
}

// endpoints writes an endpoint configuration for the endpoints, and returns the
// flag for it.
func (p *pki) endpoints(serverName, compression string, addrs ...string) string {
	p.Helper()
	text := "endpoints:\n"
	for _, a := range addrs {
		text += fmt.Sprintf("- address: %s\n  client_config:\n    compression: %s\n    server_name: %q\n    tls_config: {enabled: true, cert_file: %s, key_file: %s, ca_file: %s, min_version: \"1.2\"}\n",
			a, compression, serverName, p.path("client.crt"), p.path("client.key"), p.path("ca.crt"))
	}
	testutil.Ok(p, os.WriteFile(p.path("endpoints.yaml"), []byte(text), 0o600))
	return "--endpoint.sd-config-file=" + p.path("endpoints.yaml")
}

// gateway starts our StoreAPI over CSV files.
func gateway(t testing.TB, p *pki, args ...string) *server {
	t.Helper()
	args = append(args, "--csv.dir=../../examples/bespokegateway/testdata", "--external-label=source=csv")
	return start(t, "gateway", ourBinary(t, "bespokegateway"), append(args, p.serverFlags()...)...)
}

// querier starts a querier, ours or Thanos', that serves with TLS too.
func querier(t testing.TB, kind string, p *pki, args ...string) *server {
	t.Helper()
	args = append(args, p.serverFlags()...)
	if kind == "thanos" {
		return start(t, "query-thanos", proc.Binary(t, "thanos"), append([]string{"query"}, args...)...)
	}
	return start(t, "query-ours", ourBinary(t, "querier"), args...)
}

var temperatures = []string{
	`{"__name__":"temperature_celsius","column":"attic","source":"csv"} 14.5`,
	`{"__name__":"temperature_celsius","column":"kitchen","source":"csv"} 21`,
}

// awaitAnswer waits until a querier answers with all that the gateway has.
func awaitAnswer(t testing.TB, s *server) {
	t.Helper()
	await(t, "the right answer", s, func(ctx context.Context) error {
		got, warnings, err := answer(ctx, s, "temperature_celsius")
		if err != nil || len(warnings) > 0 || !slices.Equal(got, temperatures) {
			return fmt.Errorf("got %q, warnings %q, error %w", got, warnings, err)
		}
		return nil
	})
}

// awaitNothing waits until a querier gets nothing.
func awaitNothing(t testing.TB, s *server) {
	t.Helper()
	await(t, "no answer", s, func(ctx context.Context) error {
		if got, _, err := answer(ctx, s, "temperature_celsius"); err == nil && len(got) > 0 {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
}

// awaitTried waits until a querier says, in its log, that it has asked an endpoint
// and got no answer: Thanos lists only those that once gave one.
func awaitTried(t testing.TB, s *server, endpoint string) {
	t.Helper()
	await(t, "an endpoint that does not answer", s, func(context.Context) error {
		text, err := os.ReadFile(s.log)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			if bytes.Contains(line, []byte(endpoint)) && (bytes.Contains(line, []byte("endpoint failed")) || bytes.Contains(line, []byte("level=WARN"))) {
				return nil
			}
		}
		return errors.New("nothing in the log")
	})
}

// TestEitherSide: a gateway of ours below a querier, below another one; ours and
// Thanos' in each place of the two, told by flags and by the endpoint file.
func TestEitherSide(t *testing.T) {
	t.Parallel()
	p := newPKI(t, "ca")
	gw := gateway(t, p)
	for _, tc := range []struct{ below, above string }{{"thanos", "ours"}, {"ours", "thanos"}} {
		t.Run(tc.above+" over "+tc.below, func(t *testing.T) {
			t.Parallel()
			flags := &pki{t, p.dir, p.ca}
			below := querier(t, tc.below, flags, append(p.clientFlags(), "--endpoint="+gw.grpc)...)
			awaitAnswer(t, below)
			awaitAnswer(t, querier(t, tc.above, flags, append(p.clientFlags(), "--endpoint="+below.grpc)...))
			file := newPKICopy(t, p)
			awaitAnswer(t, querier(t, tc.above, flags, file.endpoints("store.example", "snappy", below.grpc)))
		})
	}
}

func newPKICopy(t testing.TB, p *pki) *pki {
	t.Helper()
	out := &pki{t, t.TempDir(), p.ca}
	for _, name := range []string{"ca.crt", "server.crt", "server.key", "client.crt", "client.key"} {
		copyFile(t, p.path(name), out.path(name))
	}
	return out
}

// copyFile copies a file, which is there as a whole or not at all to who reads it.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	testutil.Ok(t, err)
	testutil.Ok(t, os.WriteFile(to+".new", b, 0o600))
	testutil.Ok(t, os.Rename(to+".new", to))
}

// TestRefused: who has not the right certificate gets nothing, from either.
func TestRefused(t *testing.T) {
	t.Parallel()
	p, other := newPKI(t, "ca"), newPKI(t, "other")
	copyFile(t, p.path("ca.crt"), other.path("ca.crt")) // it trusts the server, which does not trust it
	gw := gateway(t, p)
	below := querier(t, "thanos", p, append(p.clientFlags(), "--endpoint="+gw.grpc)...)
	awaitAnswer(t, below)
	for name, client := range map[string][]string{
		"another CA":     other.clientFlags(),
		"no certificate": {"--grpc-client-tls-secure", "--grpc-client-tls-ca=" + p.path("ca.crt")},
		"another name":   append(p.clientFlags(), "--grpc-client-server-name=query.example"),
		"plain text":     nil,
	} {
		t.Run("thanos over ours, "+name, func(t *testing.T) {
			t.Parallel()
			q := querier(t, "thanos", p, append(client, "--endpoint="+gw.grpc)...)
			awaitTried(t, q, gw.grpc)
			awaitNothing(t, q)
		})
		t.Run("ours over thanos, "+name, func(t *testing.T) {
			t.Parallel()
			q := querier(t, "ours", p, append(client, "--endpoint="+below.grpc)...)
			awaitTried(t, q, below.grpc)
			got, warnings, err := answer(t.Context(), q, "temperature_celsius")
			testutil.Ok(t, err)
			testutil.Equals(t, 0, len(got))
			testutil.Equals(t, 1, len(warnings)) // and it says so
		})
	}
}

// TestClientCAIsReplaced: a CA that our server does not trust any more is refused
// with the next connection, and a Thanos that got a certificate of the new one is
// let in, with nothing restarted.
func TestClientCAIsReplaced(t *testing.T) {
	t.Parallel()
	p, after := newPKI(t, "before"), newPKI(t, "after")
	client := newPKICopy(t, p)
	gw := gateway(t, p, "--grpc-server-max-connection-age=1s")
	q := querier(t, "thanos", newPKICopy(t, p), append(client.clientFlags(), "--endpoint="+gw.grpc)...)
	mine := querier(t, "ours", newPKICopy(t, p), append(client.clientFlags(), "--endpoint="+gw.grpc)...)
	awaitAnswer(t, q)
	awaitAnswer(t, mine)
	copyFile(t, after.path("ca.crt"), p.path("ca.crt"))
	awaitNothing(t, q)
	awaitNothing(t, mine)
	copyFile(t, after.path("client.crt"), client.path("client.crt"))
	copyFile(t, after.path("client.key"), client.path("client.key"))
	awaitAnswer(t, q)
	awaitAnswer(t, mine)
}

// TestNamesStay: a certificate that has a name only is good for a name that is
// looked up. To Thanos, which asks for the address that it found, it is not.
func TestNamesStay(t *testing.T) {
	t.Parallel()
	p := newPKI(t, "ca", "localhost")
	gw := gateway(t, p)
	_, port, err := net.SplitHostPort(gw.grpc)
	testutil.Ok(t, err)
	address := "dns+localhost:" + port
	// A group, since nobody may listen on the other address of localhost.
	awaitAnswer(t, querier(t, "ours", p, append(p.clientFlags(), "--endpoint-group="+address)...))
	q := querier(t, "thanos", p, append(p.clientFlags(), "--store.sd-dns-resolver=golang", "--endpoint="+address)...)
	awaitTried(t, q, gw.grpc)
	awaitNothing(t, q)
}
