package program

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"golang.org/x/crypto/bcrypt"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// webFiles writes a CA, certificates and a configuration beside them.
func webFiles(t *testing.T, config string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	ca, err := tlsutil.NewCA("ca", 0)
	testutil.Ok(t, err)
	testutil.Ok(t, ca.WriteFile(path("ca.crt")))
	server, err := ca.IssueServer(tlsutil.Leaf{Hosts: []string{"127.0.0.1"}})
	testutil.Ok(t, err)
	testutil.Ok(t, server.WriteFiles(path("tls.crt"), path("tls.key")))
	for _, name := range []string{"grafana", "other"} {
		client, err := ca.IssueClient(tlsutil.Leaf{Hosts: []string{name + ".example"}})
		testutil.Ok(t, err)
		testutil.Ok(t, client.WriteFiles(path(name+".crt"), path(name+".key")))
	}
	file = path("web.yml")
	testutil.Ok(t, os.WriteFile(file, []byte(config), 0o600))
	return dir, file
}

// serveWeb serves "hello" as a file says, and returns the address.
func serveWeb(t *testing.T, file string) string {
	t.Helper()
	w, err := newWeb(file, silent)
	testutil.Ok(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	s := &http.Server{Handler: w.handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))}
	done := make(chan error, 1)
	go func() { done <- w.serve(s, l) }()
	t.Cleanup(func() {
		testutil.Ok(t, s.Close())
		testutil.Assert(t, errors.Is(<-done, http.ErrServerClosed))
	})
	return l.Addr().String()
}

// getAs asks for a page as somebody, and returns the answer without its body.
func getAs(t *testing.T, url, name, password string, cfg *tls.Config) (*http.Response, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	testutil.Ok(t, err)
	if name != "" {
		req.SetBasicAuth(name, password)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	testutil.Ok(t, err)
	testutil.Equals(t, resp.StatusCode == http.StatusOK, string(body) == "hello")
	return resp, nil
}

func hashOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	testutil.Ok(t, err)
	return string(hash)
}

// Users need their own password, which may be changed while the server runs.
func TestWebUsers(t *testing.T) {
	t.Parallel()
	_, file := webFiles(t, "basic_auth_users: {ann: "+hashOf(t, "ann's")+", bob: "+hashOf(t, "bob's")+"}\nhttp_server_config: {headers: {X-Frame-Options: deny}}\n")
	url := "http://" + serveWeb(t, file)
	status := func(name, password string) int {
		t.Helper()
		resp, err := getAs(t, url, name, password, nil)
		testutil.Ok(t, err)
		return resp.StatusCode
	}
	for range 2 { // the second is remembered
		testutil.Equals(t, http.StatusOK, status("ann", "ann's"))
		testutil.Equals(t, http.StatusUnauthorized, status("ann", "bob's"))
		testutil.Equals(t, http.StatusOK, status("bob", "bob's"))
		testutil.Equals(t, http.StatusUnauthorized, status("carol", "ann's"))
		testutil.Equals(t, http.StatusUnauthorized, status("carol", ""))
		testutil.Equals(t, http.StatusUnauthorized, status("", ""))
	}
	resp, err := getAs(t, url, "", "", nil)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"Basic", "deny"}, []string{resp.Header.Get("WWW-Authenticate"), resp.Header.Get("X-Frame-Options")})

	testutil.Ok(t, os.WriteFile(file, []byte("basic_auth_users: {ann: "+hashOf(t, "new")+"}"), 0o600))
	testutil.Equals(t, http.StatusUnauthorized, status("ann", "ann's"))
	testutil.Equals(t, http.StatusOK, status("ann", "new"))
	testutil.Equals(t, http.StatusUnauthorized, status("bob", "bob's"))
	testutil.Ok(t, os.WriteFile(file, []byte("nonsense: 1"), 0o600))
	testutil.Equals(t, http.StatusInternalServerError, status("ann", "new")) // and not everybody
	testutil.Equals(t, bcrypt.ErrMismatchedHashAndPassword, bcrypt.CompareHashAndPassword([]byte(nobody), nil))
}

// With TLS, clients show certificates if they have to, with a name if that is asked
// for.
func TestWebTLS(t *testing.T) {
	t.Parallel()
	dir, file := webFiles(t, `tls_server_config:
  cert_file: tls.crt
  key_file: tls.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [grafana.example]
  min_version: TLS13
  curve_preferences: [X25519, CurveP256]
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
`)
	path := func(name string) string { return filepath.Join(dir, name) }
	url := "https://" + serveWeb(t, file)
	client := func(name string) *tls.Config {
		opts := &tlsutil.ClientOptions{CAFile: path("ca.crt")}
		if name != "" {
			opts.CertFile, opts.KeyFile = path(name+".crt"), path(name+".key")
		}
		c, err := tlsutil.NewClient(opts)
		testutil.Ok(t, err)
		return c.Config("127.0.0.1")
	}
	resp, err := getAs(t, url, "", "", client("grafana"))
	testutil.Ok(t, err)
	testutil.Equals(t, []int{http.StatusOK, 2}, []int{resp.StatusCode, resp.ProtoMajor})
	resp, err = getAs(t, url, "", "", client("other"))
	testutil.Ok(t, err)
	testutil.Equals(t, http.StatusForbidden, resp.StatusCode)
	_, err = getAs(t, url, "", "", client(""))
	testutil.NotOk(t, err)
	old := client("grafana")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	_, err = getAs(t, url, "", "", old)
	testutil.NotOk(t, err)

	_, file = webFiles(t, "tls_server_config: {cert_file: "+path("tls.crt")+", key_file: "+path("tls.key")+"}\nhttp_server_config: {http2: false}\n")
	url = "https://" + serveWeb(t, file)
	old = client("")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 // Prometheus' least version
	resp, err = getAs(t, url, "", "", old)
	testutil.Ok(t, err)
	testutil.Equals(t, []int{http.StatusOK, 1}, []int{resp.StatusCode, resp.ProtoMajor})
	resp, err = getAs(t, "http://"+strings.TrimPrefix(url, "https://"), "", "", nil)
	testutil.Ok(t, err)
	testutil.Equals(t, http.StatusBadRequest, resp.StatusCode)
}

func TestWebConfigErrors(t *testing.T) {
	t.Parallel()
	const pair = "cert_file: tls.crt, key_file: tls.key"
	for name, tc := range map[string]struct{ config, want string }{
		"unknown":        {"tls: 1", "field tls not found"},
		"not YAML":       {"{", "did not find"},
		"no key":         {"tls_server_config: {cert_file: a}", "needs cert_file and key_file"},
		"absent":         {"tls_server_config: {cert_file: absent.crt, key_file: tls.key}", "absent.crt: no such file"},
		"lax clients":    {"tls_server_config: {" + pair + ", client_auth_type: RequestClientCert}", `client_auth_type "RequestClientCert" is not known`},
		"no CA":          {"tls_server_config: {" + pair + ", client_auth_type: RequireAndVerifyClientCert}", "needs client_ca_file"},
		"CA for nothing": {"tls_server_config: {" + pair + ", client_ca_file: ca.crt}", "need client_auth_type"},
		"SANs of nobody": {"tls_server_config: {" + pair + ", client_auth_type: NoClientCert, client_allowed_sans: [a]}", "need client_auth_type"},
		"version":        {"tls_server_config: {" + pair + ", min_version: TLS14}", `min_version "TLS14"`},
		"version's name": {"tls_server_config: {" + pair + ", min_version: '2'}", `min_version "2"`},
		"cipher":         {"tls_server_config: {" + pair + ", cipher_suites: [x]}", `unknown cipher suite "x"`},
		"curve":          {"tls_server_config: {" + pair + ", curve_preferences: [x]}", `unknown curve "x"`},
		"password":       {"basic_auth_users: {ann: plain}", `password of user "ann"`},
		"header":         {"http_server_config: {headers: {X-Mine: a}}", `header "X-Mine" may not be set`},
		"header's value": {"http_server_config: {headers: {X-Content-Type-Options: sniff}}", `want one of nosniff`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, file := webFiles(t, tc.config)
			_, err := newWeb(file, silent)
			testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.want), "%v", err)
		})
	}
	_, err := newWeb("/absent", silent)
	testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
}

// A program serves its probes and metrics, of which one is about the certificate,
// over TLS.
func TestServeHTTPWithTLS(t *testing.T) {
	t.Parallel()
	dir, file := webFiles(t, "tls_server_config: {cert_file: tls.crt, key_file: tls.key}")
	p := NewHTTP("test")
	ready := logsReady(p, slog.DiscardHandler)
	testutil.Ok(t, p.Flags.Parse([]string{"--http-address=127.0.0.1:0", "--http.config=" + file}))
	var body string
	p.Go(func(ctx context.Context) error {
		var addr string
		select {
		case addrs := <-ready.addrs:
			addr = addrs["http"]
		case <-ctx.Done():
			return ctx.Err()
		}
		c, err := tlsutil.NewClient(&tlsutil.ClientOptions{CAFile: filepath.Join(dir, "ca.crt")})
		if err != nil {
			return err
		}
		tr := &http.Transport{TLSClientConfig: c.Config("127.0.0.1")}
		defer tr.CloseIdleConnections()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/metrics", nil)
		if err != nil {
			return err
		}
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		body = string(b)
		return errors.Join(err, ErrDone)
	})
	testutil.Ok(t, p.ServeHTTP(t.Context(), nil, isReady))
	testutil.Assert(t, strings.Contains(body, `thanoskit_tls_certificate_not_after_timestamp_seconds{file="`+filepath.Join(dir, "tls.crt")), "%s", body)

	p = NewHTTP("test")
	testutil.Ok(t, p.Flags.Parse([]string{"--http.config=/absent"}))
	err := p.ServeHTTP(t.Context(), nil, nil)
	testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
}
