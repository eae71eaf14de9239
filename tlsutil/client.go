package tlsutil

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ClientOptions are what a Client may be given. The zero value, and nil, are
// good: servers are checked against the CAs of the system, and shown no certificate.
type ClientOptions struct {
	// CAFile is a bundle of CAs, in PEM form, one of which must have issued the
	// server's certificate; those of the system if empty.
	CAFile string
	// CertFile and KeyFile are the certificate that is shown to servers that ask
	// for one, and its key, in PEM form. Neither or both.
	CertFile, KeyFile string
	// ServerName is what servers are asked for (SNI) and what their certificates
	// must be for; the host that is dialed if empty.
	ServerName string
	// MinVersion is the least version of TLS that is spoken, as crypto/tls
	// numbers them; TLS 1.3 if 0. See ParseVersion.
	MinVersion uint16
	// InsecureSkipVerify accepts any certificate, and so anybody in the middle.
	InsecureSkipVerify bool
	// MaxRevokedAge is how long a connection given to Track may go on after the CA
	// of the server's certificate was taken out of CAFile; a minute if 0, for ever
	// if negative.
	MaxRevokedAge time.Duration
	// Logger hears of files that changed, for better or worse; silent if nil.
	Logger *slog.Logger
	// OnReload is called when files that changed are in use (err is nil), or are
	// not good and therefore not in use: once for each new reason. Handshakes call
	// it, several at a time perhaps, and wait for it. None if nil.
	OnReload func(files []string, err error)
}

// Client is the client side of TLS, whose files may change. It is safe for
// concurrent use.
type Client struct {
	opts ClientOptions
	pair *watched[*tls.Certificate] // nil: no certificate to show
	ca   *watched[*bundle]          // nil: those of the system, or anybody

	tracker tracker
}

// NewClient makes a Client. It reads all files.
//
// Errors: all that is wrong, joined: a *FileError for each file.
func NewClient(opts *ClientOptions) (*Client, error) {
	c := &Client{}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.MinVersion == 0 {
		c.opts.MinVersion = defaultMinVersion
	}
	report := reporter(c.opts.Logger, c.opts.OnReload)
	switch cert, key := c.opts.CertFile, c.opts.KeyFile; {
	case cert != "" && key != "":
		c.pair = watchPair(cert, key, report)
	case cert != "":
		return nil, fmt.Errorf("make TLS client: certificate %s has no key file", cert)
	case key != "":
		return nil, fmt.Errorf("make TLS client: key %s has no certificate file", key)
	}
	if file := c.opts.CAFile; file != "" && !c.opts.InsecureSkipVerify {
		c.ca = watchBundle(file, report)
		c.tracker.init(c.ca, x509.ExtKeyUsageServerAuth, c.opts.MaxRevokedAge)
	}
	if err := c.Reload(); err != nil {
		return nil, fmt.Errorf("make TLS client: %w", err)
	}
	return c, nil
}

// Reload looks at the files, as each handshake does.
//
// Errors: a *FileError for each file that is not good, joined. The last good
// content stays in use.
func (c *Client) Reload() error {
	var errs []error
	if c.pair != nil {
		_, err := c.pair.get()
		errs = append(errs, err)
	}
	if c.ca != nil {
		_, err := c.ca.get()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Config returns a configuration that follows the files, as do its clones, for
// connections to host: a name or an IP address, without a port.
//
// The server's certificate must be for the options' ServerName; else for the name
// that the transport asked for, which gRPC, net/http and crypto/tls's Dial all
// do; else for host. The last is for IP addresses, which a transport does not ask
// for: with neither, the handshake fails.
//
// The InsecureSkipVerify of the configuration is set if the CA is a file. Its
// VerifyConnection then checks all that crypto/tls would have, against the
// bundle of now.
func (c *Client) Config(host string) *tls.Config {
	out := &tls.Config{
		MinVersion: c.opts.MinVersion, ServerName: c.opts.ServerName,
		InsecureSkipVerify: c.opts.InsecureSkipVerify, //nolint:gosec // It is what the option is for, and what it costs stands there.
	}
	if c.opts.ServerName != "" {
		host = c.opts.ServerName
	}
	if c.ca != nil {
		// crypto/tls takes RootCAs once; VerifyConnection is asked every time.
		out.InsecureSkipVerify = true
		out.VerifyConnection = func(cs tls.ConnectionState) error { return c.verify(&cs, host) }
	}
	if c.pair != nil {
		out.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, _ := c.pair.get() // errors were reported
			return pair, nil
		}
	}
	return out
}

// errNoHost is a peer that cannot be told from others with a good certificate.
var errNoHost = errors.New("server was asked for without a name, and Config was given no host")

// verify checks the server's certificates.
//
// Source: verifyServerCertificate of crypto/tls.
func (c *Client) verify(cs *tls.ConnectionState, host string) error {
	name := cs.ServerName
	if name == "" {
		name = host
	}
	if name == "" {
		return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: errNoHost}
	}
	ca, _ := c.ca.get() // errors were reported
	opts := x509.VerifyOptions{Roots: ca.pool, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, cert := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	if _, err := cs.PeerCertificates[0].Verify(opts); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: err}
	}
	return nil
}
