package tlsutil

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"
)

// defaultMaxRevokedAge is that of the options.
const defaultMaxRevokedAge = time.Minute

// Listener returns l with connections that end once the CA of their client's
// certificate has been taken out of ClientCAFile: within MaxRevokedAge, half of
// which calls that run have to come to their end. It serves for whatever accepts
// from it and uses Config: a gRPC server, an http.Server.
//
// That a certificate has expired since its handshake ends nothing; let the
// server give connections an age.
func (s *Server) Listener(l net.Listener) net.Listener {
	if s.ca == nil || s.opts.MaxRevokedAge < 0 {
		return l
	}
	return &listener{l, s}
}

type listener struct {
	net.Listener
	server *Server
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &trackedConn{Conn: conn, of: &l.server.tracker}, nil
}

// Track returns conn, of which cs is the state after the handshake, as a
// connection that ends once the CA of the server's certificate has been taken out
// of CAFile, within MaxRevokedAge. It has to be used in place of conn, so that it
// is known when it is closed.
func (c *Client) Track(conn net.Conn, cs tls.ConnectionState) net.Conn {
	if c.ca == nil || c.opts.MaxRevokedAge < 0 {
		return conn
	}
	out := &trackedConn{Conn: conn, of: &c.tracker}
	out.shown(cs.PeerCertificates)
	return out
}

// trackedConn is a connection that its tracker may close.
type trackedConn struct {
	net.Conn
	of *tracker

	// The rest is guarded by the tracker's mutex.
	certs   []*x509.Certificate // that the peer has shown
	since   time.Time           // when it has
	revoked time.Time           // when it was found that they are good no more; zero if they are
	closed  bool
}

// shown begins to track the connection.
func (c *trackedConn) shown(certs []*x509.Certificate) {
	t := c.of
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.closed || len(certs) == 0 {
		return
	}
	c.certs, c.since = certs, time.Now()
	if t.conns == nil {
		t.conns = map[*trackedConn]struct{}{}
	}
	t.conns[c] = struct{}{}
	if t.timer == nil {
		t.timer = time.AfterFunc(t.period(), t.look)
	}
}

// Close implements net.Conn. It is no error if the tracker came first.
func (c *trackedConn) Close() error {
	t := c.of
	t.mu.Lock()
	if c.closed {
		t.mu.Unlock()
		return nil
	}
	c.closed = true
	delete(t.conns, c)
	if len(t.conns) == 0 && t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	t.mu.Unlock()
	return c.Conn.Close()
}

// tracker ends connections whose peers were let in by a CA that is no more. There
// is a timer as long as there are connections, and no goroutine.
type tracker struct {
	ca     *watched[*bundle]
	usage  x509.ExtKeyUsage // of the peers' certificates
	maxAge time.Duration

	mu     sync.Mutex
	conns  map[*trackedConn]struct{}
	timer  *time.Timer // nil: not running
	bundle *bundle     // that the connections were looked at with last
}

func (t *tracker) init(ca *watched[*bundle], usage x509.ExtKeyUsage, maxAge time.Duration) {
	if maxAge == 0 {
		maxAge = defaultMaxRevokedAge
	}
	t.ca, t.usage, t.maxAge = ca, usage, maxAge
}

// period is how often connections are looked at: with the half of maxAge that
// they have left then, they end in good time.
func (t *tracker) period() time.Duration { return max(t.maxAge/4, time.Millisecond) }

// look checks all connections against the CAs of now.
func (t *tracker) look() {
	ca, _ := t.ca.get() // errors were reported
	now := time.Now()
	var end []*trackedConn
	t.mu.Lock()
	for c := range t.conns {
		if ca != t.bundle || c.revoked.IsZero() && c.since.After(now.Add(-2*t.period())) {
			c.judge(ca, now)
		}
		if !c.revoked.IsZero() && now.Sub(c.revoked) >= t.maxAge/2 {
			end = append(end, c)
		}
	}
	t.bundle = ca
	if t.timer != nil {
		t.timer = time.AfterFunc(t.period(), t.look)
	}
	t.mu.Unlock()
	for _, c := range end {
		// The error is the peer's loss; whoever reads from the connection gets one.
		_ = c.Close()
	}
}

// judge sets or clears revoked. Certificates are looked at as of the handshake.
func (c *trackedConn) judge(ca *bundle, now time.Time) {
	opts := x509.VerifyOptions{
		Roots: ca.pool, Intermediates: x509.NewCertPool(), CurrentTime: c.since,
		KeyUsages: []x509.ExtKeyUsage{c.of.usage},
	}
	for _, cert := range c.certs[1:] {
		opts.Intermediates.AddCert(cert)
	}
	switch _, err := c.certs[0].Verify(opts); {
	case err == nil:
		c.revoked = time.Time{}
	case c.revoked.IsZero():
		c.revoked = now
	}
}
