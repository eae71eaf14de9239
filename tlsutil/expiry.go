package tlsutil

import (
	"crypto/tls"
	"crypto/x509"
	"time"
)

// Expiry is when a certificate is valid, for metrics and for a warning while
// there is time.
type Expiry struct {
	// File is where the certificate comes from.
	File string
	// Subject is whose it is, as crypto/x509 writes it.
	Subject string
	// CA says that it is one of a bundle of CAs, which may have others beside it
	// that are valid for longer.
	CA bool
	// NotBefore and NotAfter are when it is valid, both inclusive.
	NotBefore, NotAfter time.Time
}

// Left is how long from now on the certificate is valid: negative if it has
// expired.
func (e *Expiry) Left(now time.Time) time.Duration { return e.NotAfter.Sub(now) }

// Expiry returns the dates of all certificates that are in use: the server's,
// those between it and the CA, the CAs of clients. The files are looked at first,
// as by a handshake; what is in them and not in use is not told.
func (s *Server) Expiry() []Expiry {
	pair, _ := s.pair.get() // errors were reported
	out := pairExpiry(s.pair.files[0], pair)
	if s.ca != nil {
		ca, _ := s.ca.get()
		out = append(out, bundleExpiry(s.ca.files[0], ca)...)
	}
	return out
}

// Expiry is Server.Expiry for a Client. The CAs of the system are not told.
func (c *Client) Expiry() []Expiry {
	var out []Expiry
	if c.pair != nil {
		pair, _ := c.pair.get() // errors were reported
		out = pairExpiry(c.pair.files[0], pair)
	}
	if c.ca != nil {
		ca, _ := c.ca.get()
		out = append(out, bundleExpiry(c.ca.files[0], ca)...)
	}
	return out
}

func pairExpiry(file string, pair *tls.Certificate) []Expiry {
	out := []Expiry{expiryOf(file, pair.Leaf)}
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil { // which it was when the file was read
			out = append(out, expiryOf(file, c))
		}
	}
	return out
}

func bundleExpiry(file string, b *bundle) []Expiry {
	out := make([]Expiry, len(b.certs))
	for i, c := range b.certs {
		out[i] = expiryOf(file, c)
		out[i].CA = true
	}
	return out
}

func expiryOf(file string, c *x509.Certificate) Expiry {
	return Expiry{File: file, Subject: c.Subject.String(), NotBefore: c.NotBefore, NotAfter: c.NotAfter}
}
