package program

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v2"
	"golang.org/x/crypto/bcrypt"

	"github.com/thanoskit/thanoskit/tlsutil"
)

// webConfig is Prometheus' file for the HTTP side of a server: TLS, headers and
// users. What it says of users and headers holds from the next request on; other
// files that it names reload as package tlsutil has it.
//
// Not known, and an error, is what would be less safe than it looks (certificates
// of clients that nobody checks) or has no use here: certificates in the file
// itself, a greatest version, rate limits.
//
// Source: docs/web-configuration.md of prometheus/exporter-toolkit.
type webConfig struct {
	TLS   *webTLS           `yaml:"tls_server_config"`
	HTTP  webHTTP           `yaml:"http_server_config"`
	Users map[string]string `yaml:"basic_auth_users"` // bcrypt hashes, by name
}

type webTLS struct {
	CertFile     string   `yaml:"cert_file"`
	KeyFile      string   `yaml:"key_file"`
	ClientCAFile string   `yaml:"client_ca_file"`
	ClientAuth   string   `yaml:"client_auth_type"`
	AllowedSANs  []string `yaml:"client_allowed_sans"`
	MinVersion   string   `yaml:"min_version"`
	CipherSuites []string `yaml:"cipher_suites"`
	Curves       []string `yaml:"curve_preferences"`
	// PreferServer is taken and does nothing, as in Go.
	PreferServer bool `yaml:"prefer_server_cipher_suites"`
}

type webHTTP struct {
	HTTP2   *bool             `yaml:"http2"` // true if nil
	Headers map[string]string `yaml:"headers"`
}

// Values of client_auth_type.
const (
	noClientCert      = "NoClientCert"
	requireClientCert = "RequireAndVerifyClientCert"
)

// webHeaders are the headers that may be set, and to what; nil is to anything.
var webHeaders = map[string][]string{
	"Strict-Transport-Security": nil,
	"X-Content-Type-Options":    {"nosniff"},
	"X-Frame-Options":           {"deny", "sameorigin"},
	"X-XSS-Protection":          nil,
	"Content-Security-Policy":   nil,
}

// loadWebConfig reads the file, in which paths are relative to it.
func loadWebConfig(file string) (*webConfig, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load HTTP configuration: %w", err)
	}
	c := &webConfig{}
	if err := yaml.UnmarshalStrict(text, c); err != nil {
		return nil, fmt.Errorf("load HTTP configuration %s: %w", file, err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("load HTTP configuration %s: %w", file, err)
	}
	if t := c.TLS; t != nil {
		for _, path := range []*string{&t.CertFile, &t.KeyFile, &t.ClientCAFile} {
			if *path != "" && !filepath.IsAbs(*path) {
				*path = filepath.Join(filepath.Dir(file), *path)
			}
		}
	}
	return c, nil
}

func (c *webConfig) check() error {
	var errs []error
	for name, hash := range c.Users {
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			errs = append(errs, fmt.Errorf("password of user %q: %w", name, err))
		}
	}
	for name, value := range c.HTTP.Headers {
		values, ok := webHeaders[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("header %q may not be set", name))
		case values != nil && !slices.Contains(values, value):
			errs = append(errs, fmt.Errorf("header %s is %q, want one of %s", name, value, strings.Join(values, ", ")))
		}
	}
	if c.TLS != nil {
		errs = append(errs, c.TLS.check())
	}
	return errors.Join(errs...)
}

func (t *webTLS) check() error {
	switch {
	case t.CertFile == "" || t.KeyFile == "":
		return errors.New("tls_server_config needs cert_file and key_file")
	case t.ClientAuth != "" && t.ClientAuth != noClientCert && t.ClientAuth != requireClientCert:
		return fmt.Errorf("client_auth_type %q is not known, want %s or %s", t.ClientAuth, noClientCert, requireClientCert)
	case t.demands() && t.ClientCAFile == "":
		return errors.New("client_auth_type " + requireClientCert + " needs client_ca_file")
	case !t.demands() && (t.ClientCAFile != "" || len(t.AllowedSANs) > 0):
		return errors.New("client_ca_file and client_allowed_sans need client_auth_type " + requireClientCert)
	}
	return nil
}

func (t *webTLS) demands() bool { return t.ClientAuth == requireClientCert }

// server makes the TLS side.
func (t *webTLS) server(log *slog.Logger) (*tlsutil.Server, error) {
	opts := &tlsutil.ServerOptions{ClientCAFile: t.ClientCAFile, MinVersion: tls.VersionTLS12, Logger: log}
	var err error
	if name, ok := strings.CutPrefix(t.MinVersion, "TLS1"); t.MinVersion != "" {
		if opts.MinVersion, err = tlsutil.ParseVersion("1." + name); err != nil || !ok {
			return nil, fmt.Errorf("min_version %q is not known, want TLS10, TLS11, TLS12 or TLS13", t.MinVersion)
		}
	}
	if opts.CipherSuites, err = tlsutil.ParseCipherSuites(t.CipherSuites); err != nil {
		return nil, fmt.Errorf("cipher_suites: %w", err)
	}
	if opts.Curves, err = tlsutil.ParseCurves(t.Curves); err != nil {
		return nil, fmt.Errorf("curve_preferences: %w", err)
	}
	return tlsutil.NewServer(t.CertFile, t.KeyFile, opts)
}

// web is the HTTP side as its file says. The zero value is plain HTTP for anybody.
type web struct {
	file string // empty if there is none
	tls  *tlsutil.Server
	sans []string
	alpn []string
	log  *slog.Logger
	// demandsCertificates says that every client has shown one.
	demandsCertificates bool

	mu sync.Mutex // one password at a time, since it takes a while
	// known are digests of passwords that were right.
	known map[[sha256.Size]byte]struct{}
}

// maxKnown bounds the passwords that are known.
const maxKnown = 128

func newWeb(file string, log *slog.Logger) (*web, error) {
	w := &web{file: file, log: log, known: map[[sha256.Size]byte]struct{}{}}
	if file == "" {
		return w, nil
	}
	c, err := loadWebConfig(file)
	if err != nil {
		return nil, err
	}
	if c.TLS == nil {
		return w, nil
	}
	w.demandsCertificates = c.TLS.demands()
	w.sans, w.alpn = c.TLS.AllowedSANs, []string{"h2", "http/1.1"}
	if c.HTTP.HTTP2 != nil && !*c.HTTP.HTTP2 {
		w.alpn = w.alpn[1:]
	}
	if w.tls, err = c.TLS.server(log); err != nil {
		return nil, fmt.Errorf("load HTTP configuration %s: %w", file, err)
	}
	return w, nil
}

// serve serves on l until the server is closed.
func (w *web) serve(s *http.Server, l net.Listener) error {
	if w.tls == nil {
		return s.Serve(l)
	}
	s.TLSConfig = w.tls.Config(w.alpn...)
	return s.ServeTLS(w.tls.Listener(l), "", "")
}

// handler lets in who may.
func (w *web) handler(next http.Handler) http.Handler {
	if w.file == "" {
		return next
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c, err := loadWebConfig(w.file)
		if err != nil {
			w.log.Error("HTTP configuration is not good", slog.Any("err", err))
			http.Error(rw, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
			return
		}
		for name, value := range c.HTTP.Headers {
			rw.Header().Set(name, value)
		}
		switch {
		case !w.named(r.TLS):
			http.Error(rw, http.StatusText(http.StatusForbidden), http.StatusForbidden)
		case len(c.Users) > 0 && !w.knows(c.Users, r):
			rw.Header().Set("WWW-Authenticate", "Basic")
			http.Error(rw, http.StatusText(http.StatusUnauthorized), http.StatusUnauthorized)
		default:
			next.ServeHTTP(rw, r)
		}
	})
}

// named reports whether the client's certificate has one of the names that are
// allowed.
func (w *web) named(cs *tls.ConnectionState) bool {
	if len(w.sans) == 0 {
		return true
	}
	if cs == nil {
		return false
	}
	id, ok := tlsutil.PeerIdentity(cs)
	names := slices.Concat(id.DNSNames, id.IPAddresses, id.URIs)
	return ok && slices.ContainsFunc(w.sans, func(s string) bool { return slices.Contains(names, s) })
}

// nobody is the hash of no password, so that a user who is not known takes as long
// as one who is.
const nobody = "$2a$10$7EqJtq98hPqEX7fNZaFWoOhi5mOYvD0tWgR8gDRgYyQ8S7Wk4r5mG"

// knows reports whether the request has the name of a user and their password.
func (w *web) knows(users map[string]string, r *http.Request) bool {
	name, password, ok := r.BasicAuth()
	if !ok {
		return false
	}
	hash, isUser := users[name]
	if !isUser {
		hash = nobody
	}
	var said bytes.Buffer
	for _, s := range []string{name, hash, password} {
		_, _ = fmt.Fprintf(&said, "%q", s) // to a buffer, which takes anything
	}
	digest := sha256.Sum256(said.Bytes())
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.known[digest]; ok {
		return true
	}
	if bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil || !isUser {
		return false
	}
	if len(w.known) >= maxKnown {
		clear(w.known)
	}
	w.known[digest] = struct{}{}
	return true
}
