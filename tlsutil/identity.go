package tlsutil

import (
	"crypto/tls"
	"net/url"
	"slices"
	"time"
)

// Identity is who a peer is, by the certificate that it has shown. What it is
// allowed is for others to say; decide by a name, never by CommonName alone where
// the CA does not vouch for it.
type Identity struct {
	// CommonName is that of the subject, for people to read.
	CommonName string
	// DNSNames, IPAddresses and URIs are the alternative names, in the order of the
	// certificate.
	DNSNames, IPAddresses, URIs []string
	// SPIFFE is the SPIFFE ID, "spiffe://trust-domain/path". It is empty unless it
	// is the certificate's only URI, as its standard demands.
	SPIFFE string
	// NotAfter is the last moment at which the certificate is valid.
	NotAfter time.Time
}

// PeerIdentity returns who is at the other end of a connection.
//
// Output: ok is false for a peer that has shown no certificate, or one that
// crypto/tls has not checked. A Server made here has checked it if it has
// ClientCAFile. For servers, which a Client with CAFile checks by itself, see
// Client.PeerIdentity.
// Source: the SPIFFE X.509-SVID standard, section 2.
func PeerIdentity(cs *tls.ConnectionState) (id Identity, ok bool) {
	if len(cs.PeerCertificates) == 0 || len(cs.VerifiedChains) == 0 {
		return Identity{}, false
	}
	return identityOf(cs), true
}

// PeerIdentity returns who the server at the other end of a connection of this
// Client is. The certificate is checked, now, as in a handshake; ok is false if
// it does not pass, or if nothing is checked because of InsecureSkipVerify.
func (c *Client) PeerIdentity(cs *tls.ConnectionState) (id Identity, ok bool) {
	if c.ca == nil {
		return PeerIdentity(cs)
	}
	if len(cs.PeerCertificates) == 0 || c.verify(cs, c.opts.ServerName) != nil {
		return Identity{}, false
	}
	return identityOf(cs), true
}

func identityOf(cs *tls.ConnectionState) Identity {
	leaf := cs.PeerCertificates[0]
	id := Identity{CommonName: leaf.Subject.CommonName, DNSNames: slices.Clone(leaf.DNSNames), NotAfter: leaf.NotAfter}
	for _, ip := range leaf.IPAddresses {
		id.IPAddresses = append(id.IPAddresses, ip.String())
	}
	for _, u := range leaf.URIs {
		id.URIs = append(id.URIs, u.String())
	}
	if len(leaf.URIs) == 1 && isSPIFFE(leaf.URIs[0]) {
		id.SPIFFE = id.URIs[0]
	}
	return id
}

// isSPIFFE reports whether a URI can be a SPIFFE ID: a trust domain and a path.
func isSPIFFE(u *url.URL) bool {
	return u.Scheme == "spiffe" && u.Host != "" && u.Port() == "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}
