package tlsutil

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

const (
	blockCertificate = "CERTIFICATE"
	blockKey         = "PRIVATE KEY" // or ends in it
)

// parsePair makes a certificate, with those that follow it in its file, and a key
// one.
func parsePair(certFile, keyFile string, certPEM, keyPEM []byte) (*tls.Certificate, error) {
	certs, err := parseCertificates(certPEM)
	if err != nil {
		return nil, &FileError{certFile, err}
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, &FileError{keyFile, err}
	}
	leaf := certs[0]
	if public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return nil, &FileError{keyFile, fmt.Errorf("%w %s", ErrKeyMismatch, certFile)}
	}
	if err := checkValidity(leaf, time.Now()); err != nil {
		return nil, &FileError{certFile, err}
	}
	out := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, c := range certs {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}

// bundle is the certificates of some CAs.
type bundle struct {
	certs []*x509.Certificate
	pool  *x509.CertPool
}

// parseBundle makes the certificates in a file a bundle. Some may be out of date,
// as they are in bundles that grow, but not all.
func parseBundle(file string, text []byte) (*bundle, error) {
	certs, err := parseCertificates(text)
	if err != nil {
		return nil, &FileError{file, err}
	}
	out := &bundle{certs: certs, pool: x509.NewCertPool()}
	var invalid error
	valid := 0
	for _, c := range certs {
		if !maySign(c) {
			return nil, &FileError{file, fmt.Errorf("%w: %q", ErrNotCA, c.Subject)}
		}
		if err := checkValidity(c, time.Now()); err != nil {
			invalid = err
		} else {
			valid++
		}
		out.pool.AddCert(c)
	}
	if valid == 0 {
		return nil, &FileError{file, invalid}
	}
	return out, nil
}

// maySign reports whether a certificate has a place in a bundle: it is that of a
// CA, or it vouches for nobody but itself, as one that its owner has signed.
func maySign(c *x509.Certificate) bool {
	return c.IsCA || c.Version < 3 || bytes.Equal(c.RawSubject, c.RawIssuer)
}

func checkValidity(c *x509.Certificate, now time.Time) error {
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return &ValidityError{Subject: c.Subject.String(), NotBefore: c.NotBefore, NotAfter: c.NotAfter, Now: now}
	}
	return nil
}

// parseCertificates returns the certificates in a text; at least one. Blocks of
// other kinds are passed over.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	err := blocks(text, func(b *pem.Block) error {
		if b.Type != blockCertificate {
			return nil
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return fmt.Errorf("%w certificate %d: %w", ErrMalformed, len(out)+1, err)
		}
		out = append(out, c)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = ErrNoCertificate
	}
	return out, err
}

// parseKey returns the first private key in a text: RSA, ECDSA or Ed25519, as
// PKCS #8, PKCS #1 or SEC 1, not encrypted.
func parseKey(text []byte) (crypto.Signer, error) {
	var out crypto.Signer
	err := blocks(text, func(b *pem.Block) (err error) {
		if out == nil && strings.HasSuffix(b.Type, blockKey) {
			out, err = parseKeyBlock(b)
		}
		return err
	})
	if err == nil && out == nil {
		err = ErrNoKey
	}
	return out, err
}

func parseKeyBlock(b *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch b.Type {
	case "RSA " + blockKey:
		key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC " + blockKey:
		key, err = x509.ParseECPrivateKey(b.Bytes)
	case blockKey:
		key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	default:
		return nil, fmt.Errorf("%w private key: %q is not supported", ErrMalformed, b.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%w private key: %w", ErrMalformed, err)
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return k, nil
	case *ecdsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	}
	return nil, fmt.Errorf("%w private key: a %T signs nothing", ErrMalformed, key)
}

// blocks calls f with each PEM block. A block that begins but cannot be read is an
// error, since a file that is cut off must not pass for a shorter one.
func blocks(text []byte, f func(*pem.Block) error) error {
	begun := bytes.Count(text, []byte("-----BEGIN "))
	for {
		var b *pem.Block
		b, text = pem.Decode(text)
		if b == nil {
			break
		}
		begun--
		if err := f(b); err != nil {
			return err
		}
	}
	if begun > 0 {
		return fmt.Errorf("%w PEM: a block does not end, or is not base64", ErrMalformed)
	}
	return nil
}
