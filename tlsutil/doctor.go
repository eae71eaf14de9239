package tlsutil

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// probeTimeout bounds what is tried with one address.
const probeTimeout = 10 * time.Second

// Problem is a kind of thing that keeps a client from talking gRPC to a server.
type Problem string

// What Doctor finds.
const (
	ProblemFiles              Problem = "own files"                        // of the client, before it dials
	ProblemResolve            Problem = "name does not resolve"            // DNS
	ProblemConnect            Problem = "no connection"                    // TCP
	ProblemPlainText          Problem = "plain text on the server's port"  // the client speaks TLS
	ProblemTLS                Problem = "TLS on the server's port"         // the client speaks plain text
	ProblemHandshake          Problem = "TLS handshake"                    // fails for a reason that is none of the others
	ProblemVersion            Problem = "TLS version"                      // none in common
	ProblemNoHTTP2            Problem = "no HTTP/2"                        // ALPN does not agree on h2
	ProblemHTTP1              Problem = "HTTP/1.1"                         // is what is answered
	ProblemNoServerName       Problem = "no server name"                   // SNI is empty
	ProblemServerName         Problem = "server name"                      // is not one of the certificate's
	ProblemUnknownCA          Problem = "unknown CA"                       // of the server's certificate
	ProblemExpired            Problem = "expired certificate"              // of the server
	ProblemNotYetValid        Problem = "certificate not yet valid"        // of the server
	ProblemNoClientCert       Problem = "no client certificate"            // is shown, and one is demanded
	ProblemClientCert         Problem = "client certificate is refused"    // by the server or an ingress
	ProblemNotGRPC            Problem = "answer is not gRPC"               // but HTTP of another kind
	ProblemDenied             Problem = "denied"                           // by the gRPC server
	ProblemClockSkew          Problem = "clocks differ"                    // by more than a minute
	ProblemCertificateInvalid Problem = "certificate that does not verify" // for a reason that is none of the others
)

// Finding is something that is wrong, and what to do about it.
type Finding struct {
	Problem Problem
	// Address is where it was seen, "10.0.0.7:443"; empty if it is none of a
	// server's.
	Address string
	// Detail is what was seen, and Advice what to look at, in words.
	Detail, Advice string
}

// String returns "ADDRESS: PROBLEM: DETAIL. ADVICE".
func (f Finding) String() string {
	var b strings.Builder
	if f.Address != "" {
		b.WriteString(f.Address + ": ")
	}
	fmt.Fprintf(&b, "%s: %s", f.Problem, f.Detail)
	if f.Advice != "" {
		b.WriteString(". " + f.Advice)
	}
	return b.String()
}

// Diagnosis is what Doctor found out.
type Diagnosis struct {
	// Target is what was dialed, and ServerName the name that was asked for (SNI);
	// empty for plain text, and for an IP address without a ClientOptions.ServerName.
	Target, ServerName string
	// Seen are facts, a line each: addresses, versions, certificates, answers.
	Seen []string
	// Findings are what is wrong; none means that a gRPC call came through to each
	// address.
	Findings []Finding
}

// Has reports whether a problem was found.
func (d *Diagnosis) Has(p Problem) bool {
	for _, f := range d.Findings {
		if f.Problem == p {
			return true
		}
	}
	return false
}

// String returns what was seen and what is wrong, line by line.
func (d *Diagnosis) String() string {
	var b strings.Builder
	for _, s := range d.Seen {
		fmt.Fprintf(&b, "     %s\n", s)
	}
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "FAIL %s\n", f)
	}
	if len(d.Findings) == 0 {
		fmt.Fprintf(&b, "ok   %s answers gRPC\n", d.Target)
	}
	return b.String()
}

func (d *Diagnosis) seef(address, format string, args ...any) {
	d.Seen = append(d.Seen, address+": "+fmt.Sprintf(format, args...))
}

func (d *Diagnosis) find(p Problem, address, detail, advice string) {
	d.Findings = append(d.Findings, Finding{Problem: p, Address: address, Detail: detail, Advice: advice})
}

// Doctor finds out why a gRPC client cannot talk to target, "host:port" as it is
// dialed, and says it in words. Each address of the host is looked at: it is
// connected to, shakes hands, has its certificate checked, and gets a gRPC health
// check, whose answer may be any gRPC status.
//
// Input: profile is how the client speaks TLS; nil is plain text. Its Logger and
// OnReload are not used.
// Output: never nil if the error is nil. Two runs may differ, as servers do.
// Errors: a target without a port; the context's. What is wrong with the profile's
// files or with the server is a Finding.
// Cost: up to three connections and one call for each address, at most 10 s each.
func Doctor(ctx context.Context, target string, profile *ClientOptions) (*Diagnosis, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("diagnose %q: it is not host:port", target)
	}
	p := &prober{d: &Diagnosis{Target: target}, host: host}
	if profile != nil && !p.useProfile(profile) {
		return p.d, nil
	}
	for _, address := range p.resolve(ctx, port) {
		probe, cancel := context.WithTimeout(ctx, probeTimeout)
		if p.client == nil {
			p.plain(probe, address)
		} else {
			p.tls(probe, address)
		}
		cancel()
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("diagnose %s: %w", target, err)
	}
	return p.d, nil
}

// prober looks at the addresses of one target.
type prober struct {
	d      *Diagnosis
	host   string
	client *Client // nil: plain text
}

// useProfile reads the profile's files; it is false if they are no good.
func (p *prober) useProfile(profile *ClientOptions) bool {
	o := *profile
	o.Logger, o.OnReload = nil, nil
	client, err := NewClient(&o)
	if err != nil {
		advice := "Repair the file; nothing was dialed"
		if errors.Is(err, ErrNotYetValid) {
			advice = "Is the clock of this machine right?"
		}
		p.d.find(ProblemFiles, "", err.Error(), advice)
		return false
	}
	p.client = client
	if p.d.ServerName = o.ServerName; p.d.ServerName == "" {
		if _, err := netip.ParseAddr(p.host); err != nil {
			p.d.ServerName = strings.TrimSuffix(p.host, ".")
		}
	}
	return true
}

func (p *prober) resolve(ctx context.Context, port string) []string {
	if _, err := netip.ParseAddr(p.host); err == nil {
		return []string{net.JoinHostPort(p.host, port)}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", p.host)
	if err != nil {
		p.d.find(ProblemResolve, "", err.Error(), "Is the name right, and known where this runs?")
		return nil
	}
	out := make([]string, len(ips))
	for i, ip := range ips {
		out[i] = net.JoinHostPort(ip.Unmap().String(), port)
	}
	p.d.seef(p.host, "resolves to %s", strings.Join(out, ", "))
	return out
}

func (p *prober) dial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		p.d.find(ProblemConnect, address, err.Error(), "Does the server run and listen there, and may one get there from here?")
		return nil, err
	}
	if t, ok := ctx.Deadline(); ok {
		err = conn.SetDeadline(t)
	}
	return conn, err
}
