package program

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"go.yaml.in/yaml/v2"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// HTTPClient is the configuration of an HTTP client, as Thanos has it behind
// --prometheus.http-client:
//
//	basic_auth: {username: thanos, password_file: /etc/password}
//	tls_config: {ca_file: /etc/ca.crt, cert_file: /etc/tls.crt, key_file: /etc/tls.key}
//
// Files may change while a program runs: passwords and tokens are read for each
// request, and the rest reloads as package tlsutil has it. What is secret goes to
// the host that it is for, and to none that one redirects to; what is for https
// does not go to plain http there.
//
// Source: pkg/clientconfig/http.go of v0.42.4. Unlike there, unknown fields are
// errors.
type HTTPClient struct {
	BasicAuth struct {
		Username     string `yaml:"username"`
		Password     string `yaml:"password"`
		PasswordFile string `yaml:"password_file"`
	} `yaml:"basic_auth"`
	BearerToken     string `yaml:"bearer_token"`
	BearerTokenFile string `yaml:"bearer_token_file"`
	ProxyURL        string `yaml:"proxy_url"`
	TLS             struct {
		CAFile             string `yaml:"ca_file"`
		CertFile           string `yaml:"cert_file"`
		KeyFile            string `yaml:"key_file"`
		ServerName         string `yaml:"server_name"`
		InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
	} `yaml:"tls_config"`
	Transport struct {
		MaxIdleConns          int   `yaml:"max_idle_conns"`
		MaxIdleConnsPerHost   int   `yaml:"max_idle_conns_per_host"`
		IdleConnTimeout       int64 `yaml:"idle_conn_timeout"` // times are in nanoseconds
		ResponseHeaderTimeout int64 `yaml:"response_header_timeout"`
		ExpectContinueTimeout int64 `yaml:"expect_continue_timeout"`
		MaxConnsPerHost       int   `yaml:"max_conns_per_host"`
		DisableCompression    bool  `yaml:"disable_compression"`
		TLSHandshakeTimeout   int64 `yaml:"tls_handshake_timeout"`
		DialerTimeout         int64 `yaml:"dialer_timeout"`
	} `yaml:"transport_config"`
}

// ParseHTTPClient reads a configuration in YAML. An empty one is Thanos' default.
// Errors do not show what is secret.
func ParseHTTPClient(text []byte) (*HTTPClient, error) {
	c := &HTTPClient{}
	t := &c.Transport
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 100, 2
	t.IdleConnTimeout, t.ExpectContinueTimeout = int64(90*time.Second), int64(10*time.Second)
	t.TLSHandshakeTimeout, t.DialerTimeout = int64(10*time.Second), int64(5*time.Second)
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.SetStrict(true)
	if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("parse HTTP client configuration: %w", withoutValues(err))
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("check HTTP client configuration: %w", err)
	}
	return c, nil
}

// withoutValues returns an error of YAML without what it quotes of the text: values
// that are of another type, and what begins like an alias.
func withoutValues(err error) error {
	typed, ok := errors.AsType[*yaml.TypeError](err)
	switch {
	case !ok && strings.Contains(err.Error(), "anchor"):
		return errors.New("yaml: an alias, which is what begins with an asterisk and has no quotes, is not known")
	case !ok:
		return err
	}
	out := &yaml.TypeError{}
	for _, e := range typed.Errors {
		if first, last := strings.Index(e, "`"), strings.LastIndex(e, "`"); first >= 0 {
			e = e[:first] + "a value" + e[last+1:]
		}
		out.Errors = append(out.Errors, e)
	}
	return out
}

func (c *HTTPClient) check() error {
	var errs []error
	basic := c.BasicAuth.Username != "" || c.BasicAuth.Password != "" || c.BasicAuth.PasswordFile != ""
	bearer := c.BearerToken != "" || c.BearerTokenFile != ""
	if basic && bearer {
		errs = append(errs, errors.New("basic_auth and bearer tokens exclude each other"))
	}
	if c.BasicAuth.Password != "" && c.BasicAuth.PasswordFile != "" {
		errs = append(errs, errors.New("password and password_file exclude each other"))
	}
	if c.BearerToken != "" && c.BearerTokenFile != "" {
		errs = append(errs, errors.New("bearer_token and bearer_token_file exclude each other"))
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		errs = append(errs, errors.New("cert_file and key_file go together"))
	}
	if _, err := c.proxy(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// proxy returns the URL of the proxy; nil if there is none.
func (c *HTTPClient) proxy() (*url.URL, error) {
	if c.ProxyURL == "" {
		return nil, nil
	}
	u, err := url.Parse(c.ProxyURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("proxy_url is no URL") // it may have a password
	}
	return u, nil
}

// Client makes the client for a base URL, to which, and to whose host alone, it
// shows who it is. closeIdle is to be called when it is not used any more. Errors
// do not show the URL, which may have a password.
func (c *HTTPClient) Client(base string, log *slog.Logger) (client *http.Client, closeIdle func(), err error) {
	to, err := url.Parse(base)
	if err != nil {
		if parsed, ok := errors.AsType[*url.Error](err); ok {
			err = parsed.Err
		}
		return nil, nil, fmt.Errorf("make HTTP client: parse URL: %w", err)
	}
	proxy, err := c.proxy()
	if err != nil {
		return nil, nil, fmt.Errorf("make HTTP client: %w", err)
	}
	secure, err := tlsutil.NewClient(&tlsutil.ClientOptions{
		CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile, ServerName: c.TLS.ServerName,
		MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.TLS.InsecureSkipVerify, Logger: log,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make HTTP client: %w", err)
	}
	t := &c.Transport
	transport := &http.Transport{
		Proxy:                 http.ProxyURL(proxy),
		MaxIdleConns:          t.MaxIdleConns,
		MaxIdleConnsPerHost:   t.MaxIdleConnsPerHost,
		MaxConnsPerHost:       t.MaxConnsPerHost,
		DisableCompression:    t.DisableCompression,
		IdleConnTimeout:       time.Duration(t.IdleConnTimeout),
		ResponseHeaderTimeout: time.Duration(t.ResponseHeaderTimeout),
		ExpectContinueTimeout: time.Duration(t.ExpectContinueTimeout),
		TLSHandshakeTimeout:   time.Duration(t.TLSHandshakeTimeout),
		TLSClientConfig:       secure.Config(to.Hostname()),
		DialContext:           (&net.Dialer{Timeout: time.Duration(t.DialerTimeout)}).DialContext,
		ForceAttemptHTTP2:     true,
	}
	return &http.Client{Transport: &authorized{transport, c, to}}, transport.CloseIdleConnections, nil
}

// authorized says who the client is.
type authorized struct {
	next   http.RoundTripper
	config *HTTPClient
	base   *url.URL
}

// trusts reports whether a URL is of the host that may know who the client is, and
// what is sent there at least as safe as what is sent to the base URL.
func (a *authorized) trusts(u *url.URL) bool {
	return u.Host == a.base.Host && (u.Scheme == a.base.Scheme || u.Scheme == "https")
}

// RoundTrip implements http.RoundTripper.
func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	header, err := a.header()
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // the error is that of the file
		}
		return nil, err
	}
	if header != "" && a.trusts(r.URL) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", header)
	}
	return a.next.RoundTrip(r)
}

// header is that of authorization; empty if there is none.
func (a *authorized) header() (string, error) {
	c := a.config
	switch b := &c.BasicAuth; {
	case b.Username != "" || b.Password != "" || b.PasswordFile != "":
		password, err := secretOf(b.Password, b.PasswordFile)
		if err != nil {
			return "", err
		}
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(b.Username, password)
		return r.Header.Get("Authorization"), nil
	case c.BearerToken != "" || c.BearerTokenFile != "":
		token, err := secretOf(c.BearerToken, c.BearerTokenFile)
		if err != nil {
			return "", err
		}
		return "Bearer " + token, nil
	}
	return "", nil
}

// secretOf returns a secret, or what is in a file.
func secretOf(text, file string) (string, error) {
	if file == "" {
		return text, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
