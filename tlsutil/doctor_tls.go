package tlsutil

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"
)

// alert is by what a server says why it does not want to talk.
//
// Source: RFC 8446, section 6.
type alert uint8

const (
	alertHandshakeFailure    alert = 40
	alertBadCertificate      alert = 42
	alertUnsupportedCert     alert = 43
	alertRevokedCertificate  alert = 44
	alertExpiredCertificate  alert = 45
	alertUnknownCertificate  alert = 46
	alertUnknownCA           alert = 48
	alertAccessDenied        alert = 49
	alertProtocolVersion     alert = 70
	alertUnrecognizedName    alert = 112
	alertCertificateRequired alert = 116
	alertNoProtocol          alert = 120
)

const (
	adviceHTTP2   = "gRPC needs h2 in ALPN: switch HTTP/2 on where TLS ends, at the server or at the ingress before it"
	adviceVersion = "Let the server speak a newer version, or set the least version of the client lower"
)

// tls looks at an address with a client that speaks TLS.
func (p *prober) tls(ctx context.Context, address string) {
	h := &handshake{prober: p, address: address, protocols: []string{"h2"}}
	conn, err := h.do(ctx)
	if err != nil {
		h.failed(ctx, err)
		return
	}
	defer hangUp(conn)
	cs := conn.ConnectionState()
	h.see(&cs)
	trusted := h.checkCertificates(&cs)
	if cs.NegotiatedProtocol != "h2" {
		p.d.find(ProblemNoHTTP2, address, fmt.Sprintf("the server speaks TLS and has not agreed to h2, but to %q", cs.NegotiatedProtocol), adviceHTTP2)
		return
	}
	if !trusted && !p.client.opts.InsecureSkipVerify {
		return // a client would not go on, and what it would be told is not to be believed
	}
	p.call(ctx, address, "https", conn, h)
}

// handshake is one with an address, in which any certificate is accepted.
type handshake struct {
	*prober
	address   string
	protocols []string
	minimum   uint16 // in place of the profile's, if not 0

	// asked says that the server asked for a certificate, accepts whose it said that
	// it wants, and shown that it got one.
	asked, shown bool
	accepts      [][]byte
}

// errFound is an error of which a finding tells already.
var errFound = errors.New("found already")

func (h *handshake) do(ctx context.Context) (*tls.Conn, error) {
	raw, err := h.dial(ctx, h.address)
	if err != nil {
		return nil, errFound
	}
	cfg := &tls.Config{
		ServerName: h.d.ServerName, NextProtos: h.protocols, MinVersion: h.client.opts.MinVersion,
		InsecureSkipVerify: true, //nolint:gosec // It is looked at afterwards, and told what is wrong with it.
		GetClientCertificate: func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			h.asked, h.accepts = true, r.AcceptableCAs
			if h.client.pair == nil {
				return &tls.Certificate{}, nil
			}
			h.shown = true
			pair, _ := h.client.pair.get()
			return pair, nil
		},
	}
	if h.minimum != 0 {
		cfg.MinVersion = h.minimum
	}
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		hangUp(raw)
		return nil, err
	}
	return conn, nil
}

// see tells what a server has shown.
func (h *handshake) see(cs *tls.ConnectionState) {
	leaf := cs.PeerCertificates[0]
	h.d.seef(h.address, "%s, ALPN %q, asked for %q", tls.VersionName(cs.Version), cs.NegotiatedProtocol, h.d.ServerName)
	h.d.seef(h.address, "certificate of %q for %s, issued by %q, valid from %s to %s", leaf.Subject, namesOf(leaf), leaf.Issuer, date(leaf.NotBefore), date(leaf.NotAfter))
	switch {
	case h.asked && h.shown:
		pair, _ := h.client.pair.get()
		h.d.seef(h.address, "client certificate asked for, and that of %q shown", pair.Leaf.Subject)
	case h.asked:
		h.d.seef(h.address, "client certificate asked for, and there is none to show")
	}
}

// checkCertificates finds what is wrong with the server's, and reports whether
// nothing is.
func (h *handshake) checkCertificates(cs *tls.ConnectionState) bool {
	d, before, now := h.d, len(h.d.Findings), time.Now()
	leaf := cs.PeerCertificates[0]
	for _, c := range cs.PeerCertificates {
		switch {
		case now.After(c.NotAfter):
			d.find(ProblemExpired, h.address, fmt.Sprintf("the certificate of %q has expired on %s", c.Subject, date(c.NotAfter)), "Renew it; or is the clock of this machine ahead?")
		case now.Before(c.NotBefore):
			d.find(ProblemNotYetValid, h.address, fmt.Sprintf("the certificate of %q is valid from %s on, and it is %s", c.Subject, date(c.NotBefore), date(now)), "Are the clocks of this machine and of the CA right?")
		}
	}
	if d.ServerName == "" && h.client.opts.ServerName == "" {
		if leaf.VerifyHostname(h.host) != nil {
			d.find(ProblemNoServerName, h.address, fmt.Sprintf("%s is an address, so no name is asked for, and the certificate is for %s", h.host, namesOf(leaf)),
				"Dial by name or set a server name: an ingress finds its backend by it")
		}
	} else if err := leaf.VerifyHostname(d.ServerName); err != nil {
		d.find(ProblemServerName, h.address, fmt.Sprintf("the certificate is for %s and not for %q", namesOf(leaf), d.ServerName),
			"Set the server name to one of them; or has an ingress answered with its default certificate, because it does not know the name?")
	}
	h.checkIssuer(cs)
	return len(d.Findings) == before
}

// checkIssuer finds whether a CA of the profile vouches for the certificate. Dates
// and names are looked at elsewhere.
func (h *handshake) checkIssuer(cs *tls.ConnectionState) {
	leaf := cs.PeerCertificates[0]
	opts := x509.VerifyOptions{CurrentTime: leaf.NotBefore, Intermediates: x509.NewCertPool()}
	for _, c := range cs.PeerCertificates {
		opts.Intermediates.AddCert(c)
		if c.NotBefore.After(opts.CurrentTime) {
			opts.CurrentTime = c.NotBefore
		}
	}
	have := "the CAs of the system"
	if h.client.ca != nil {
		ca, _ := h.client.ca.get()
		opts.Roots = ca.pool
		subjects := make([]string, len(ca.certs))
		for i, c := range ca.certs {
			subjects[i] = fmt.Sprintf("%q", c.Subject)
		}
		have = h.client.opts.CAFile + " with " + strings.Join(subjects, ", ")
	}
	_, err := leaf.Verify(opts)
	if err == nil || h.client.opts.InsecureSkipVerify {
		return
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		last := cs.PeerCertificates[len(cs.PeerCertificates)-1]
		h.d.find(ProblemUnknownCA, h.address, fmt.Sprintf("the certificate was issued by %q, which is none of %s", last.Issuer, have),
			"Give the client the CA that the server's certificate is of; and let the server send those in between")
		return
	}
	h.d.find(ProblemCertificateInvalid, h.address, err.Error(), "")
}

// failed finds why there was no handshake.
func (h *handshake) failed(ctx context.Context, err error) {
	if errors.Is(err, errFound) {
		return
	}
	if a, ok := alertOf(err); ok {
		h.failedBy(ctx, a)
		return
	}
	if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
		h.d.find(ProblemHandshake, h.address, "the server does not answer the handshake", "Does something else than a TLS server listen there?")
		return
	}
	// A server of HTTP/2 in plain text hangs up on what it takes for nonsense.
	switch said := speaks(ctx, h.address); said {
	case saysHTTP1, saysHTTP2, saysElse:
		h.d.find(ProblemPlainText, h.address, "the client speaks TLS, and the server "+said.String(),
			"Dial the port that has TLS, or speak plain text to this one")
	default:
		h.d.find(ProblemHandshake, h.address, err.Error(), "")
	}
}

// failedBy finds why a server has ended the handshake with an alert.
func (h *handshake) failedBy(ctx context.Context, a alert) {
	switch {
	case a == alertNoProtocol:
		h.d.find(ProblemNoHTTP2, h.address, "the server knows protocols by ALPN, and h2 is none of them", adviceHTTP2)
	case a == alertUnrecognizedName:
		h.d.find(ProblemServerName, h.address, fmt.Sprintf("the server does not know the name %q", h.d.ServerName), "Set the server name to one that it knows")
	case a == alertProtocolVersion:
		h.d.find(ProblemVersion, h.address, h.versions(ctx), adviceVersion)
	case h.asked && h.refused(a):
	default:
		h.d.find(ProblemHandshake, h.address, "the server ends it: "+a.String(), "")
	}
}

// alertOf returns the alert that a server has sent. crypto/tls tells alerts by
// their text, unless they are those of QUIC.
func alertOf(err error) (alert, bool) {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" {
		return 0, false
	}
	text := strings.TrimPrefix(remote.Err.Error(), "tls: ")
	for a := range alert(math.MaxUint8) {
		if a.String() == text {
			return a, true
		}
	}
	return 0, false
}

// String returns the alert as crypto/tls names it.
func (a alert) String() string { return strings.TrimPrefix(tls.AlertError(a).Error(), "tls: ") }

// refused finds what a server says about the client's certificate, and reports
// whether the alert says anything about it.
func (h *handshake) refused(a alert) bool {
	advice := "Is it of the CA that the server has for clients?"
	switch a {
	case alertExpiredCertificate:
		advice = "Is the server's clock right?"
	case alertUnsupportedCert:
		advice = "It must be issued for client authentication"
	case alertBadCertificate, alertRevokedCertificate, alertUnknownCertificate, alertUnknownCA, alertAccessDenied, alertCertificateRequired, alertHandshakeFailure:
	default:
		return false
	}
	if !h.shown {
		h.d.find(ProblemNoClientCert, h.address, "the server demands a certificate of the client ("+a.String()+")", "Give the client a certificate and its key")
		return true
	}
	pair, _ := h.client.pair.get()
	h.d.find(ProblemClientCert, h.address, fmt.Sprintf("the server refuses the certificate of %q, issued by %q: %s", pair.Leaf.Subject, pair.Leaf.Issuer, a), advice)
	return true
}

// refusedLater finds what a server says about the client's certificate after the
// handshake, as it is in TLS 1.3. Who writes meanwhile may have got an error of
// that in place of the alert: a second handshake only listens.
func (h *handshake) refusedLater(ctx context.Context, err error) bool {
	a, ok := alertOf(err)
	if !ok {
		conn, err := h.do(ctx)
		for err == nil {
			_, err = conn.Read(make([]byte, maxAnswer))
		}
		if conn != nil {
			hangUp(conn)
		}
		a, ok = alertOf(err)
	}
	return ok && h.refused(a)
}

// versions tries whether the server speaks a version that the profile does not.
func (h *handshake) versions(ctx context.Context) string {
	least := h.client.opts.MinVersion
	text := "the server does not speak " + tls.VersionName(least) + " or newer"
	older := &handshake{prober: h.prober, address: h.address, protocols: h.protocols, minimum: tls.VersionTLS10}
	if conn, err := older.do(ctx); err == nil {
		text += ", but " + tls.VersionName(conn.ConnectionState().Version)
		hangUp(conn)
	}
	return text
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func namesOf(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	return strings.Join(names, ", ")
}
