package tlsutil

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// CA is a certificate authority for development and tests: its key is never out
// of memory. It is safe for concurrent use.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// skew is how far before now things begin to be valid, for clocks that are late.
const skew = time.Minute

// NewCA makes a CA with this common name that is valid for a time from now on; a
// year if 0.
func NewCA(name string, validFor time.Duration) (*CA, error) {
	if validFor == 0 {
		validFor = 365 * 24 * time.Hour
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-skew), NotAfter: now.Add(validFor),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make CA %q: %w", name, err)
	}
	// A serial number is made up if there is none.
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make CA %q: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make CA %q: %w", name, err)
	}
	return &CA{cert: cert, key: key, pem: encode(blockCertificate, der)}, nil
}

// PEM returns the certificate of the CA in PEM form, which may be put one after
// the other to make a bundle.
func (ca *CA) PEM() []byte { return append([]byte(nil), ca.pem...) }

// WriteFile writes the certificate of the CA to a file. See Pair.WriteFiles.
func (ca *CA) WriteFile(file string) error { return writeFile(file, ca.pem) }

// Leaf is what a certificate to be issued says. The zero value is one without a
// name, valid for a day.
type Leaf struct {
	// CommonName is for people to read; nothing is decided by it. It is not that of
	// the CA: OpenSSL takes a certificate whose subject is its issuer's for one that
	// has signed itself, and refuses it.
	CommonName string
	// Hosts are DNS names, which may begin with "*.", and IP addresses.
	Hosts []string
	// URIs are identities such as "spiffe://example.org/observer".
	URIs []string
	// NotBefore and NotAfter are when it is valid, both inclusive; from a minute
	// ago, and for a day, if zero.
	NotBefore, NotAfter time.Time
}

// Pair is a certificate and its key, in PEM form.
type Pair struct{ CertPEM, KeyPEM []byte }

// IssueServer issues a certificate for a server, which it is good for by its Hosts.
//
// Errors: if a URI or date cannot be in a certificate, or the common name is the
// CA's.
func (ca *CA) IssueServer(l Leaf) (*Pair, error) { return ca.issue(&l, x509.ExtKeyUsageServerAuth) }

// IssueClient issues a certificate for a client.
//
// Errors: if a URI or date cannot be in a certificate, or the common name is the
// CA's.
func (ca *CA) IssueClient(l Leaf) (*Pair, error) { return ca.issue(&l, x509.ExtKeyUsageClientAuth) }

func (ca *CA) issue(l *Leaf, usage x509.ExtKeyUsage) (_ *Pair, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("issue certificate %q: %w", l.CommonName, err)
		}
	}()
	if l.CommonName == ca.cert.Subject.CommonName {
		return nil, errors.New("common name is that of the CA")
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: l.CommonName}, NotBefore: l.NotBefore, NotAfter: l.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, BasicConstraintsValid: true,
	}
	now := time.Now()
	if template.NotBefore.IsZero() {
		template.NotBefore = now.Add(-skew)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = now.Add(24 * time.Hour)
	}
	for _, h := range l.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	for _, s := range l.URIs {
		u, err := url.Parse(s)
		if err != nil {
			return nil, err
		}
		template.URIs = append(template.URIs, u)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &Pair{CertPEM: encode(blockCertificate, cert), KeyPEM: encode(blockKey, der)}, nil
}

// WriteFiles writes the certificate and the key, each to a file that only its
// owner can read, and that is replaced as a whole: who reads it meanwhile gets
// what was there before, or all of what is there now.
func (p *Pair) WriteFiles(certFile, keyFile string) error {
	return errors.Join(writeFile(certFile, p.CertPEM), writeFile(keyFile, p.KeyPEM))
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writeFile replaces a file by rename. Its mode is 0600.
func writeFile(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
