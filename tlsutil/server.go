package tlsutil

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"
)

// ServerOptions are what a Server may be given. The zero value, and nil,
// are good.
type ServerOptions struct {
	// ClientCAFile is a bundle of CAs, in PEM form. Clients must show a
	// certificate that one of them has issued for client authentication. If it
	// is empty, clients are asked for none.
	ClientCAFile string
	// MinVersion is the least version of TLS that is spoken, as crypto/tls
	// numbers them; TLS 1.3 if 0. See ParseVersion.
	MinVersion uint16
	// CipherSuites and Curves restrict what crypto/tls chooses from; nothing if
	// empty. See ParseCipherSuites and ParseCurves.
	CipherSuites []uint16
	Curves       []tls.CurveID
	// MaxRevokedAge is how long a connection of Listener may go on after the CA of
	// its client's certificate was taken out of ClientCAFile; a minute if 0, for
	// ever if negative.
	MaxRevokedAge time.Duration
	// Logger hears of files that changed, for better or worse; silent if nil.
	Logger *slog.Logger
	// OnReload is called when files that changed are in use (err is nil), or are
	// not good and therefore not in use: once for each new reason. Handshakes call
	// it, several at a time perhaps, and wait for it. None if nil.
	OnReload func(files []string, err error)
}

// Server is the server side of TLS, whose files may change. It is safe for
// concurrent use.
type Server struct {
	opts ServerOptions
	pair *watched[*tls.Certificate]
	ca   *watched[*bundle] // nil: clients need no certificate

	tracker tracker
}

// NewServer makes a Server of a certificate, followed by those between it and the
// CA, and its key, each a file in PEM form. It reads all files.
//
// Errors: all that is wrong, joined: a *FileError for each file.
func NewServer(certFile, keyFile string, opts *ServerOptions) (*Server, error) {
	s := &Server{}
	if opts != nil {
		s.opts = *opts
	}
	s.opts.CipherSuites, s.opts.Curves = slices.Clone(s.opts.CipherSuites), slices.Clone(s.opts.Curves)
	if s.opts.MinVersion == 0 {
		s.opts.MinVersion = defaultMinVersion
	}
	report := reporter(s.opts.Logger, s.opts.OnReload)
	s.pair = watchPair(certFile, keyFile, report)
	if file := s.opts.ClientCAFile; file != "" {
		s.ca = watchBundle(file, report)
		s.tracker.init(s.ca, x509.ExtKeyUsageClientAuth, s.opts.MaxRevokedAge)
	}
	if err := s.Reload(); err != nil {
		return nil, fmt.Errorf("make TLS server: %w", err)
	}
	return s, nil
}

func watchPair(certFile, keyFile string, report func([]string, error)) *watched[*tls.Certificate] {
	return &watched[*tls.Certificate]{
		files:  []string{certFile, keyFile},
		report: report,
		parse: func(contents [][]byte) (*tls.Certificate, error) {
			return parsePair(certFile, keyFile, contents[0], contents[1])
		},
	}
}

func watchBundle(file string, report func([]string, error)) *watched[*bundle] {
	return &watched[*bundle]{
		files:  []string{file},
		report: report,
		parse:  func(contents [][]byte) (*bundle, error) { return parseBundle(file, contents[0]) },
	}
}

// Reload looks at the files, as each handshake does.
//
// Errors: a *FileError for each file that is not good, joined. The last good
// content stays in use.
func (s *Server) Reload() error {
	_, err := s.pair.get()
	if s.ca != nil {
		_, caErr := s.ca.get()
		err = errors.Join(err, caErr)
	}
	return err
}

// Config returns a configuration that follows the files, as do its clones. The
// protocols are offered in ALPN; gRPC adds its own.
func (s *Server) Config(protocols ...string) *tls.Config {
	protocols = slices.Clone(protocols)
	base := s.base(protocols)
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return s.current(protocols, hello.Conn), nil
	}
	return base
}

func (s *Server) base(protocols []string) *tls.Config {
	return &tls.Config{
		NextProtos:       protocols,
		MinVersion:       s.opts.MinVersion,
		CipherSuites:     s.opts.CipherSuites,
		CurvePreferences: s.opts.Curves,
		// A ticket would stand for a certificate that is not shown again.
		SessionTicketsDisabled: true,
	}
}

// current is the configuration of one handshake, on a connection.
func (s *Server) current(protocols []string, conn net.Conn) *tls.Config {
	out := s.base(protocols)
	pair, _ := s.pair.get() // errors were reported
	out.Certificates = []tls.Certificate{*pair}
	if s.ca != nil {
		ca, _ := s.ca.get()
		out.ClientCAs, out.ClientAuth = ca.pool, tls.RequireAndVerifyClientCert
		if conn, ok := conn.(*trackedConn); ok {
			out.VerifyConnection = func(cs tls.ConnectionState) error {
				conn.shown(cs.PeerCertificates)
				return nil
			}
		}
	}
	return out
}
