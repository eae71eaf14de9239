package program

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// Clients get what the file says that they may have, by their certificates, and
// nothing while it is not good.
func TestPeersFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	ca, err := tlsutil.NewCA("ca", 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(path("ca.crt")))
	pair, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}})
	testutil.Ok(t, err)
	testutil.Ok(t, pair.WriteFiles(path("tls.crt"), path("tls.key")))
	peers := func(text string) { testutil.Ok(t, os.WriteFile(path("peers.yml"), []byte(text), 0o600)) }
	peers("peers: [{name: eu.example, labels: {cluster: eu}}, {name: all.example, everything: true}]")

	var log bytes.Buffer
	p := New("test")
	ready := logsReady(p, slog.NewTextHandler(&log, nil))
	testutil.Ok(t, p.Flags.Parse([]string{
		"--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--grpc-grace-period=0s", "--grpc-server-peers-file=" + path("peers.yml"),
		"--grpc-server-tls-cert=" + path("tls.crt"), "--grpc-server-tls-key=" + path("tls.key"), "--grpc-server-tls-client-ca=" + path("ca.crt"),
	}))
	s := memstore.New(nil)
	for _, c := range []string{"eu", "us"} {
		testutil.Ok(t, s.Append(labels.FromStrings(labels.MetricName, "up", "cluster", c), 1000, 1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx, s, grpcstore.ServerOptions{}, nil, isReady) }()
	addr := ready.await(t, served)["grpc"]
	clients := map[string]*grpcstore.Client{}
	for _, name := range []string{"eu", "all", "other"} {
		pair, err := ca.IssueClient(tlsutil.Leaf{Hosts: []string{name + ".example"}})
		testutil.Ok(t, err)
		testutil.Ok(t, pair.WriteFiles(path(name+".crt"), path(name+".key")))
		flags := &ClientTLS{Secure: true, CA: path("ca.crt"), Cert: path(name + ".crt"), Key: path(name + ".key"), minVersion: new("1.3")}
		dial, err := flags.DialOptions(addr, silent)
		testutil.Ok(t, err)
		clients[name], err = grpcstore.Dial(addr, &grpcstore.ClientOptions{DialOptions: dial})
		testutil.Ok(t, err)
	}
	clusters := func(name string) (string, error) {
		values, err := clients[name].LabelValues(ctx, &store.LabelValuesRequest{Label: "cluster", MaxTime: math.MaxInt64})
		return fmt.Sprint(values), err
	}
	check := func(name, want string, wantErr error) {
		t.Helper()
		got, err := clusters(name)
		testutil.Assert(t, errors.Is(err, wantErr), "%s: %v", name, err)
		testutil.Equals(t, want, got, name)
	}
	check("eu", "[eu]", nil)
	check("all", "[eu us]", nil)
	check("other", "[]", store.ErrDenied)
	peers("peers: [{name: other.example, labels: {cluster: [eu, us]}}]")
	check("eu", "[]", store.ErrDenied)
	check("other", "[eu us]", nil)
	for _, bad := range []string{"peers: [{name: other.example}]", "peer: []", "{"} {
		peers(bad)
		check("other", "[]", store.ErrUnavailable)
		_, err := clusters("other")
		testutil.Assert(t, !strings.Contains(err.Error(), dir), "%v", err)
	}
	peers("")
	check("all", "[]", store.ErrDenied)
	peers("peers: [{name: all.example, everything: true}]")
	check("all", "[eu us]", nil)
	for _, c := range clients {
		testutil.Ok(t, c.Close())
	}
	cancel()
	testutil.Ok(t, <-served)
	testutil.Equals(t, 3, strings.Count(log.String(), "nobody is let in"), log.String())
	testutil.Equals(t, 1, strings.Count(log.String(), "peers are good again"), log.String())
}

func TestPeersFileErrors(t *testing.T) {
	t.Parallel()
	cert, key, ca := pair(t)
	file := filepath.Join(t.TempDir(), "peers.yml")
	secure := []string{"--grpc-server-tls-cert=" + cert, "--grpc-server-tls-key=" + key}
	for name, tc := range map[string]struct {
		args       []string
		text, want string
	}{
		"plain text":   {nil, "", "--grpc-server-peers-file needs --grpc-server-tls-client-ca"},
		"no client CA": {secure, "", "--grpc-server-peers-file needs --grpc-server-tls-client-ca"},
		"bad":          {append(secure, "--grpc-server-tls-client-ca="+ca), "peers: [{name: a}]", `check peers: peer 1 "a": there are no labels`},
		"typing error": {append(secure, "--grpc-server-tls-client-ca="+ca), "peers: [{nam: a}]", "load peers " + file + ": yaml: unmarshal errors:\n  line 1: field nam not found in type program.peerYAML"},
		"documents":    {append(secure, "--grpc-server-tls-client-ca="+ca), "peers: []\n---\npeers: []", "more than one document"},
	} {
		testutil.Ok(t, os.WriteFile(file, []byte(tc.text), 0o600))
		p := New("test")
		p.Log = silent
		testutil.Ok(t, p.Flags.Parse(append(tc.args, "--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0", "--grpc-server-peers-file="+file)))
		err := p.Serve(t.Context(), memstore.New(nil), grpcstore.ServerOptions{}, nil, isReady)
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.want), "%s: %v", name, err)
	}
	_, err := openPeers("/absent", silent)
	testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
}

// Who says what clients of one side may have is told that those of the other may
// have everything, and who they are.
func TestOneSideIsOpen(t *testing.T) {
	t.Parallel()
	dir, config := webFiles(t, `tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert}`)
	path := func(name string) string { return filepath.Join(dir, name) }
	testutil.Ok(t, os.WriteFile(path("peers.yml"), []byte("peers: []"), 0o600))
	grpcTLS := []string{"--grpc-server-tls-cert=" + path("tls.crt"), "--grpc-server-tls-key=" + path("tls.key"), "--grpc-server-tls-client-ca=" + path("ca.crt")}
	httpTLS := []string{"--http.config=" + config}
	grpcPeers, httpPeers := "--grpc-server-peers-file="+path("peers.yml"), "--http-peers-file="+path("peers.yml")
	for name, tc := range map[string]struct {
		args []string
		want string // empty: nothing
	}{
		"neither":                    {nil, ""},
		"certificates":               {slices.Concat(grpcTLS, httpTLS), ""},
		"both":                       {slices.Concat(grpcTLS, httpTLS, []string{grpcPeers, httpPeers}), ""},
		"gRPC":                       {slices.Concat(grpcTLS, []string{grpcPeers}), `server=HTTP clients="whoever connects" flag=--http-peers-file`},
		"gRPC, HTTP by certificates": {slices.Concat(grpcTLS, httpTLS, []string{grpcPeers}), `server=HTTP clients="whoever --http.config lets in" flag=--http-peers-file`},
		"HTTP":                       {slices.Concat(httpTLS, []string{httpPeers}), `server=gRPC clients="whoever connects" flag=--grpc-server-peers-file`},
		"HTTP, gRPC by certificates": {slices.Concat(grpcTLS, httpTLS, []string{httpPeers}), `server=gRPC clients="whoever has a certificate of --grpc-server-tls-client-ca" flag=--grpc-server-peers-file`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			p := New("test")
			p.Log = slog.New(slog.NewTextHandler(&log, nil))
			testutil.Ok(t, p.Flags.Parse(append(tc.args, "--grpc-address=127.0.0.1:0", "--http-address=127.0.0.1:0")))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			testutil.Ok(t, p.Serve(ctx, memstore.New(nil), grpcstore.ServerOptions{}, nil, func(context.Context) error { cancel(); return nil }))
			warnings := 0
			if tc.want != "" {
				warnings = 1
			}
			testutil.Equals(t, warnings, strings.Count(log.String(), "may have everything"), log.String())
			testutil.Equals(t, warnings, strings.Count(log.String(), `level=WARN msg="clients of this server may have everything, unlike those of the other one" `+tc.want+"\n"), log.String())
		})
	}
}

// HTTP clients get what the file says, too: who may not have everything gets no
// metrics, and who is not known nothing but probes.
func TestHTTPPeers(t *testing.T) {
	t.Parallel()
	dir, config := webFiles(t, `tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert}`)
	path := func(name string) string { return filepath.Join(dir, name) }
	peers := func(text string) { testutil.Ok(t, os.WriteFile(path("peers.yml"), []byte(text), 0o600)) }
	peers("peers: [{name: grafana.example, labels: {cluster: eu}}]")
	p, _ := logged(t)
	ready := logsReady(p, slog.DiscardHandler)
	p.httpPeers = newPeersFlag(p.Flags, httpPeersFlag, "HTTP", "--http.config")
	testutil.Ok(t, p.Flags.Parse([]string{"--http-address=127.0.0.1:0", "--http.config=" + config, "--http-peers-file=" + path("peers.yml")}))
	allow, err := p.HTTPAllow()
	testutil.Ok(t, err)
	served := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		served <- p.ServeHTTP(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ms, err := allow(r.Context())
			fmt.Fprint(w, ms, err)
		}), isReady)
	}()
	addr := ready.await(t, served)["http"]
	clients := map[string]*http.Client{}
	for _, name := range []string{"grafana", "other"} {
		c, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: path("ca.crt"), CertFile: path(name + ".crt"), KeyFile: path(name + ".key")})
		testutil.Ok(t, err)
		tr := &http.Transport{TLSClientConfig: c.Config("127.0.0.1")}
		defer tr.CloseIdleConnections()
		clients[name] = &http.Client{Transport: tr}
	}
	get := func(name, path string) string {
		t.Helper()
		body, err := said(t, clients[name], "https://"+addr+path)
		testutil.Ok(t, err)
		return body
	}
	testutil.Equals(t, `[cluster="eu"] <nil>`, get("grafana", "/x"))
	testutil.Equals(t, "Forbidden\n", get("grafana", "/metrics"))
	testutil.Equals(t, "Forbidden\n", get("other", "/x"))
	testutil.Equals(t, "Forbidden\n", get("other", "/metrics"))
	testutil.Equals(t, "", get("other", "/-/healthy"))
	peers("peers: [{name: other.example, everything: true}]")
	testutil.Equals(t, "[] <nil>", get("other", "/x"))
	testutil.Assert(t, strings.Contains(get("other", "/metrics"), "go_goroutines"))
	testutil.Equals(t, "Forbidden\n", get("grafana", "/x"))
	peers("peers: [{name: nobod.example, everything: true}]") // as long as it was
	testutil.Equals(t, "Forbidden\n", get("other", "/x"))
	peers("nonsense: 1")
	testutil.Equals(t, "Service Unavailable\n", get("other", "/x"))
	testutil.Equals(t, "Service Unavailable\n", get("other", "/metrics"))
	cancel()
	testutil.Ok(t, <-served)

	// A handler of its own accord is for those who may have everything.
	peers("peers: [{name: grafana.example, labels: {cluster: eu}}, {name: other.example, everything: true}]")
	p, _ = logged(t)
	p.httpPeers = new(path("peers.yml"))
	testutil.Ok(t, p.openHTTPPeers())
	h := p.handler(new(atomic.Bool), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	for name, want := range map[string]int{"grafana.example": http.StatusForbidden, "other.example": http.StatusOK, "": http.StatusForbidden} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil)
		cert := &x509.Certificate{DNSNames: []string{name}}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}, VerifiedChains: [][]*x509.Certificate{{cert}}}
		h.ServeHTTP(w, r)
		testutil.Equals(t, want, w.Code, name)
	}

	// It needs certificates of all clients: TLS is not enough.
	peers("")
	for name, web := range map[string]string{
		"plain":           "",
		"users":           "basic_auth_users: {ann: " + hashOf(t, "ann's") + "}",
		"TLS":             "tls_server_config: {cert_file: tls.crt, key_file: tls.key}",
		"no certificates": "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_auth_type: NoClientCert}",
	} {
		args := []string{"--http-address=127.0.0.1:0", "--grpc-address=127.0.0.1:0", "--http-peers-file=" + path("peers.yml")}
		if web != "" {
			testutil.Ok(t, os.WriteFile(path("open.yml"), []byte(web), 0o600))
			args = append(args, "--http.config="+path("open.yml"))
		}
		p := New("test")
		p.Log = silent
		testutil.Ok(t, p.Flags.Parse(args))
		err := p.Serve(t.Context(), memstore.New(nil), grpcstore.ServerOptions{}, nil, isReady)
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), "--http-peers-file needs an --http.config with client_auth_type RequireAndVerifyClientCert"), "%s: %v", name, err)
	}
}
