package main

import (
	"net"
	"sync"
)

// link is the network between the observer and an observee, which can be cut: what
// a listener accepts.
type link struct {
	net.Listener

	mu    sync.Mutex
	isCut bool
	conns map[net.Conn]struct{}
}

func newLink(l net.Listener) *link { return &link{Listener: l, conns: map[net.Conn]struct{}{}} }

// cut ends all connections, and those to come, until it is mended.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for c := range l.conns {
		_ = c.Close() // Whoever uses it hears of it.
	}
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

// Accept accepts connections while the link is not cut.
func (l *link) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.add(conn) {
			return &linkConn{Conn: conn, link: l}, nil
		}
		_ = conn.Close()
	}
}

func (l *link) add(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isCut {
		l.conns[conn] = struct{}{}
	}
	return !l.isCut
}

// linkConn leaves its link when it is closed.
type linkConn struct {
	net.Conn
	link *link
}

func (c *linkConn) Close() error {
	c.link.mu.Lock()
	delete(c.link.conns, c.Conn)
	c.link.mu.Unlock()
	return c.Conn.Close()
}
