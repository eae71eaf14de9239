package program

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// secured serves TLS to clients with a certificate of the CA, and says what
// authorization they have come with.
func secured(t *testing.T, dir string) *httptest.Server {
	t.Helper()
	path := func(name string) string { return filepath.Join(dir, name) }
	srv, err := tlsutil.NewServer(path("tls.crt"), path("tls.key"), &tlsutil.ServerOptions{ClientCAFile: path("ca.crt")})
	testutil.Ok(t, err)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	}))
	s.TLS = srv.Config("h2", "http/1.1")
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// said asks a server, and returns what it says.
func said(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	testutil.Ok(t, err)
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestHTTPClient(t *testing.T) {
	t.Parallel()
	dir, _ := webFiles(t, "")
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) string {
		testutil.Ok(t, os.WriteFile(path(name), []byte(text), 0o600))
		return path(name)
	}
	s, other := secured(t, dir), secured(t, dir)
	secure := "tls_config: {ca_file: " + path("ca.crt") + ", cert_file: " + path("grafana.crt") + ", key_file: " + path("grafana.key") + "}\n"
	client := func(text string) (*http.Client, error) {
		c, err := ParseHTTPClient([]byte(text))
		if err != nil {
			return nil, err
		}
		client, closeIdle, err := c.Client(s.URL, silent)
		if err == nil {
			t.Cleanup(closeIdle)
		}
		return client, err
	}
	secret := write("secret", "one\n")
	for name, tc := range map[string]struct{ config, want, changed string }{
		"nobody":        {"", "", ""},
		"password":      {"basic_auth: {username: thanos, password: pw}", "Basic dGhhbm9zOnB3", "Basic dGhhbm9zOnB3"},
		"password file": {"basic_auth: {username: thanos, password_file: " + secret + "}", "Basic dGhhbm9zOm9uZQ==", "Basic dGhhbm9zOnR3bw=="},
		"token":         {"bearer_token: abc", "Bearer abc", "Bearer abc"},
		"token file":    {"bearer_token_file: " + secret, "Bearer one", "Bearer two"},
	} {
		write("secret", "one\n")
		c, err := client(secure + tc.config)
		testutil.Ok(t, err)
		got, err := said(t, c, s.URL)
		testutil.Ok(t, err)
		testutil.Equals(t, tc.want, got, name)
		write("secret", "two\n")
		got, err = said(t, c, s.URL)
		testutil.Ok(t, err)
		testutil.Equals(t, tc.changed, got, name)
		got, err = said(t, c, s.URL+"?to="+other.URL)
		testutil.Ok(t, err)
		testutil.Equals(t, "", got, "%s: another host is told", name)
	}

	// What is not as configured is refused, by either side.
	for name, text := range map[string]string{
		"no certificate": "tls_config: {ca_file: " + path("ca.crt") + "}",
		"system's CAs":   "tls_config: {cert_file: " + path("grafana.crt") + ", key_file: " + path("grafana.key") + "}",
		"another name":   strings.Replace(secure, "}", ", server_name: other.example}", 1),
		"no secret":      secure + "bearer_token_file: " + path("absent"),
		"another proxy":  secure + "proxy_url: http://127.0.0.1:1",
	} {
		c, err := client(text)
		testutil.Ok(t, err)
		_, err = said(t, c, s.URL)
		testutil.NotOk(t, err, name)
	}
	c, err := client("tls_config: {insecure_skip_verify: true, cert_file: " + path("grafana.crt") + ", key_file: " + path("grafana.key") + "}")
	testutil.Ok(t, err)
	_, err = said(t, c, s.URL)
	testutil.Ok(t, err)
	_, err = client("tls_config: {ca_file: /absent}")
	testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
}

func TestHTTPClientDefaults(t *testing.T) {
	t.Parallel()
	c, err := ParseHTTPClient([]byte("transport_config: {max_idle_conns_per_host: 7, disable_compression: true}"))
	testutil.Ok(t, err)
	client, closeIdle, err := c.Client("http://localhost:9090", silent)
	testutil.Ok(t, err)
	defer closeIdle()
	tr := client.Transport.(*authorized).next.(*http.Transport)
	testutil.Equals(t, []int{100, 7}, []int{tr.MaxIdleConns, tr.MaxIdleConnsPerHost})
	testutil.Equals(t, "1m30s 10s 10s 0s", tr.IdleConnTimeout.String()+" "+tr.ExpectContinueTimeout.String()+" "+tr.TLSHandshakeTimeout.String()+" "+tr.ResponseHeaderTimeout.String())
	testutil.Assert(t, tr.DisableCompression && tr.ForceAttemptHTTP2)
	testutil.Equals(t, uint16(tls.VersionTLS12), tr.TLSClientConfig.MinVersion)
}

func TestHTTPClientErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"basic: {}": "field basic not found",
		"basic_auth: {username: a}\nbearer_token: hidden":  "basic_auth and bearer tokens exclude each other",
		"basic_auth: {password: hidden, password_file: b}": "password and password_file exclude each other",
		"bearer_token: hidden\nbearer_token_file: b":       "bearer_token and bearer_token_file exclude each other",
		"tls_config: {cert_file: a}":                       "cert_file and key_file go together",
		"proxy_url: 'hidden'":                              "proxy_url is no URL",
		"tls_config: {insecure_skip_verify: hidden}":       "cannot unmarshal !!str a value into bool",
		"basic_auth: hidden":                               "cannot unmarshal !!str a value into",
		"basic_auth: 'a`hidden'":                           "cannot unmarshal !!str a value into",
		"bearer_token: *hidden":                            "yaml: an alias, which is what begins with an asterisk and has no quotes, is not known",
	} {
		_, err := ParseHTTPClient([]byte(text))
		testutil.Assert(t, err != nil && strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "hidden"), "%s: %v", text, err)
	}
	_, _, err := new(HTTPClient).Client("http://user:hidden@localhost:port", silent)
	testutil.Assert(t, err != nil && !strings.Contains(err.Error(), "hidden"), "%v", err)
}

// roundTrips is an http.RoundTripper.
type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Who the client is goes to its host, by https if that is what it is for.
func TestHTTPClientShowsItself(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		base, to string
		shown    bool
	}{
		"its own":              {"https://prom:9090/base", "https://prom:9090/api/v1/query", true},
		"in plain text":        {"http://prom", "http://prom/api/v1/query", true},
		"from plain text":      {"http://prom", "https://prom/api/v1/query", true},
		"to plain text":        {"https://prom", "http://prom/api/v1/query", false},
		"to a port's plain":    {"https://prom:9090", "http://prom:9090/", false},
		"another port":         {"https://prom:9090", "https://prom:9091/", false},
		"another host":         {"https://prom", "https://prom.example/", false},
		"a user of that name":  {"https://prom", "https://prom@other/", false},
		"a host as its prefix": {"https://prom", "https://prom.other/", false},
	} {
		base, err := url.Parse(tc.base)
		testutil.Ok(t, err)
		got := ""
		next := roundTrips(func(r *http.Request) (*http.Response, error) {
			got = r.Header.Get("Authorization")
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		})
		r := httptest.NewRequest(http.MethodGet, tc.to, nil)
		resp, err := (&authorized{next, &HTTPClient{BearerToken: "abc"}, base}).RoundTrip(r)
		testutil.Ok(t, err)
		testutil.Ok(t, resp.Body.Close())
		testutil.Equals(t, tc.shown, got == "Bearer abc", name)
		testutil.Equals(t, "", r.Header.Get("Authorization"), name) // that of the caller is as it was
	}
}
