package program

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/tlsutil"
)

// versionNames are the values of flags for the least version of TLS.
var versionNames = []string{"1.3", "1.2", "1.1", "1.0"}

// serverTLS is Thanos' flags for the connections to a gRPC server.
type serverTLS struct {
	cert, key, clientCA string
	minVersion          *string
	ciphers, curves     *[]string
	maxConnectionAge    time.Duration
}

func newServerTLS(flags *flag.FlagSet) *serverTLS {
	s := &serverTLS{}
	flags.StringVar(&s.cert, "grpc-server-tls-cert", "", "file with the certificate of the gRPC server; no TLS if empty")
	flags.StringVar(&s.key, "grpc-server-tls-key", "", "file with the key of that certificate")
	flags.StringVar(&s.clientCA, "grpc-server-tls-client-ca", "", "file with the CAs whose certificates clients must show; none are asked for if empty")
	s.minVersion = enum(flags, "grpc-server-tls-min-version", "least version of TLS that the gRPC server speaks", versionNames...)
	s.ciphers = stringList(flags, "grpc-server-tls-ciphers", "cipher suite for TLS 1.2 and before, as Go names it")
	s.curves = stringList(flags, "grpc-server-tls-curves", "key exchange, as Go names it")
	Duration(flags, &s.maxConnectionAge, "grpc-server-max-connection-age", time.Hour, "age at which a connection is replaced, with a new TLS handshake; 0 is never")
	return s
}

// options returns what the flags say about a gRPC server. srv is nil without TLS.
func (s *serverTLS) options(log *slog.Logger) (out []grpc.ServerOption, srv *tlsutil.Server, err error) {
	if s.maxConnectionAge > 0 {
		out = append(out, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: s.maxConnectionAge}))
	}
	switch {
	case s.cert == "" && s.key == "" && s.clientCA == "":
		return out, nil, nil
	case s.cert == "" && s.key == "":
		return nil, nil, errors.New("--grpc-server-tls-client-ca needs --grpc-server-tls-cert and --grpc-server-tls-key")
	case s.key == "":
		return nil, nil, errors.New("--grpc-server-tls-cert needs --grpc-server-tls-key")
	case s.cert == "":
		return nil, nil, errors.New("--grpc-server-tls-key needs --grpc-server-tls-cert")
	}
	opts := tlsutil.ServerOptions{ClientCAFile: s.clientCA, Logger: log}
	if opts.MinVersion, err = tlsutil.ParseVersion(*s.minVersion); err != nil {
		return nil, nil, fmt.Errorf("--grpc-server-tls-min-version: %w", err)
	}
	if opts.CipherSuites, err = tlsutil.ParseCipherSuites(*s.ciphers); err != nil {
		return nil, nil, fmt.Errorf("--grpc-server-tls-ciphers: %w", err)
	}
	if opts.Curves, err = tlsutil.ParseCurves(*s.curves); err != nil {
		return nil, nil, fmt.Errorf("--grpc-server-tls-curves: %w", err)
	}
	if srv, err = tlsutil.NewServer(s.cert, s.key, &opts); err != nil {
		return nil, nil, err
	}
	return append(out, grpc.Creds(credentials.NewTLS(srv.Config()))), srv, nil
}

// ClientTLS is Thanos' flags for the connections to gRPC servers.
type ClientTLS struct {
	Secure, SkipVerify        bool
	Cert, Key, CA, ServerName string
	minVersion                *string
}

// NewClientTLS declares the flags --grpc-client-tls-* and
// --grpc-client-server-name.
func NewClientTLS(flags *flag.FlagSet) *ClientTLS {
	c := &ClientTLS{}
	flags.BoolVar(&c.Secure, "grpc-client-tls-secure", false, "speak TLS with gRPC servers")
	flags.BoolVar(&c.SkipVerify, "grpc-client-tls-skip-verify", false, "take any certificate of a gRPC server")
	flags.StringVar(&c.Cert, "grpc-client-tls-cert", "", "file with the certificate to show to gRPC servers")
	flags.StringVar(&c.Key, "grpc-client-tls-key", "", "file with the key of that certificate")
	flags.StringVar(&c.CA, "grpc-client-tls-ca", "", "file with the CAs of gRPC servers; those of the system if empty")
	flags.StringVar(&c.ServerName, "grpc-client-server-name", "", "name to ask gRPC servers for, and that their certificates must have; the host dialed if empty")
	c.minVersion = enum(flags, "grpc-client-tls-min-version", "least version of TLS that is spoken with gRPC servers", versionNames...)
	return c
}

// MinVersion is the least version of TLS, as the flag names it.
func (c *ClientTLS) MinVersion() string { return *c.minVersion }

// Check returns what is wrong with the flags as they are together. TLS flags
// without --grpc-client-tls-secure, which Thanos passes over in silence, are an
// error: who gives them does not expect plain text.
func (c *ClientTLS) Check() error {
	switch {
	case c.Cert != "" && c.Key == "":
		return errors.New("--grpc-client-tls-cert needs --grpc-client-tls-key")
	case c.Key != "" && c.Cert == "":
		return errors.New("--grpc-client-tls-key needs --grpc-client-tls-cert")
	case c.Secure:
		return nil
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--grpc-client-tls-skip-verify", c.SkipVerify},
		{"--grpc-client-tls-cert", c.Cert != ""},
		{"--grpc-client-tls-ca", c.CA != ""},
		{"--grpc-client-server-name", c.ServerName != ""},
	} {
		if f.given {
			return fmt.Errorf("%s needs --grpc-client-tls-secure", f.name)
		}
	}
	return nil
}

// Options returns what the flags say: nil, which is plain text, without
// --grpc-client-tls-secure.
func (c *ClientTLS) Options() (*tlsutil.ClientOptions, error) {
	if err := c.Check(); err != nil || !c.Secure {
		return nil, err
	}
	version, err := tlsutil.ParseVersion(*c.minVersion)
	if err != nil {
		return nil, fmt.Errorf("--grpc-client-tls-min-version: %w", err)
	}
	return &tlsutil.ClientOptions{
		CAFile: c.CA, CertFile: c.Cert, KeyFile: c.Key, ServerName: c.ServerName,
		MinVersion: version, InsecureSkipVerify: c.SkipVerify,
	}, nil
}

// DialOptions returns the options to dial a gRPC target with: none, which is
// plain text, without --grpc-client-tls-secure.
func (c *ClientTLS) DialOptions(target string, log *slog.Logger) ([]grpc.DialOption, error) {
	opts, err := c.Options()
	if err != nil || opts == nil {
		return nil, err
	}
	opts.Logger = log
	client, err := tlsutil.NewClient(opts)
	if err != nil {
		return nil, err
	}
	return []grpc.DialOption{grpc.WithTransportCredentials(grpcstore.TLS(client, hostOf(target)))}, nil
}

// hostOf returns the host of a gRPC target: "host:port", or that after a scheme.
func hostOf(target string) string {
	target = target[strings.LastIndex(target, "/")+1:]
	if host, _, err := net.SplitHostPort(target); err == nil {
		return host
	}
	return target
}
