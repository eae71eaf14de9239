package main

import (
	"fmt"
	"net"
	"sync"
)

// state is that of a link.
type state int

const (
	mended    state = iota
	refusing        // nobody listens
	resetting       // connections end as soon as they are made
	stalling        // nothing that is sent arrives
)

// link is the network in front of what serves on an address: a listener that can
// be cut. It is safe for concurrent use.
type link struct {
	addr net.Addr

	mu       sync.Mutex
	listener net.Listener // nil while refusing
	state    state
	changed  chan struct{} // closed, and replaced, with each change
	closed   bool
	conns    map[*linkConn]struct{}
}

func newLink(addr string) (*link, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &link{addr: l.Addr(), listener: l, changed: make(chan struct{}), conns: map[*linkConn]struct{}{}}, nil
}

// Addr implements net.Listener.
func (l *link) Addr() net.Addr { return l.addr }

// set makes the link as it is to be, for connections that there are, too. But for
// stalling, these end, with a reset.
func (l *link) set(to state) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.state == to {
		return nil
	}
	var err error
	switch {
	case to == refusing:
		err = l.listener.Close()
		l.listener = nil
	case l.state == refusing:
		if l.listener, err = net.Listen("tcp", l.addr.String()); err != nil {
			return fmt.Errorf("listen again: %w", err)
		}
	}
	if to == refusing || to == resetting {
		for c := range l.conns {
			c.reset()
		}
	}
	l.state = to
	close(l.changed)
	l.changed = make(chan struct{})
	return err
}

// cut ends all connections, and those to come, until the link is mended.
func (l *link) cut() { _ = l.set(resetting) } // It listens on.

func (l *link) mend() error { return l.set(mended) }

// Accept implements net.Listener: it returns connections while the link is not cut.
func (l *link) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		listener, changed, closed := l.listener, l.changed, l.closed
		l.mu.Unlock()
		switch {
		case closed:
			return nil, net.ErrClosed
		case listener == nil:
			<-changed
			continue
		}
		conn, err := listener.Accept()
		if err == nil {
			if c := l.add(conn); c != nil {
				return c, nil
			}
			continue
		}
		l.mu.Lock()
		same := l.listener == listener && !l.closed
		l.mu.Unlock()
		if same {
			return nil, err
		}
	}
}

// add returns the connection, or nil if it was ended.
func (l *link) add(conn net.Conn) *linkConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &linkConn{Conn: conn, link: l, closed: make(chan struct{})}
	if l.closed || l.state == refusing || l.state == resetting {
		c.reset()
		return nil
	}
	l.conns[c] = struct{}{}
	return c
}

// Close implements net.Listener. Connections stay.
func (l *link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.changed)
	l.changed = make(chan struct{})
	if l.listener == nil {
		return nil
	}
	return l.listener.Close()
}

// await waits while the link stalls.
func (l *link) await(closed <-chan struct{}) {
	for {
		l.mu.Lock()
		stalls, changed := l.state == stalling && !l.closed, l.changed
		l.mu.Unlock()
		if !stalls {
			return
		}
		select {
		case <-changed:
		case <-closed:
			return
		}
	}
}

// linkConn is a connection through a link.
type linkConn struct {
	net.Conn
	link   *link
	once   sync.Once
	closed chan struct{}
}

// Read implements net.Conn. What has arrived is not handed on while the link stalls.
func (c *linkConn) Read(b []byte) (int, error) {
	c.link.await(c.closed)
	n, err := c.Conn.Read(b)
	c.link.await(c.closed)
	return n, err
}

// Write implements net.Conn.
func (c *linkConn) Write(b []byte) (int, error) {
	c.link.await(c.closed)
	return c.Conn.Write(b)
}

// Close implements net.Conn, and takes leave of the link.
func (c *linkConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.link.mu.Lock()
	delete(c.link.conns, c)
	c.link.mu.Unlock()
	return c.Conn.Close()
}

// reset ends the connection as the end of a process does that has not read
// everything: the peer hears of it at once. Who uses the connection is still to
// close it.
func (c *linkConn) reset() {
	c.once.Do(func() { close(c.closed) })
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // At worst it is closed like any other.
	}
	_ = c.Conn.Close()
}
