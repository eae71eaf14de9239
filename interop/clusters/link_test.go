package clusters

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// trouble is what is wrong with a link.
type trouble int

const (
	well    trouble = iota
	refuses         // Nobody listens, and connections have ended.
	stalls          // Connections are taken, and nothing passes.
	resets          // Connections are reset, those to come too.
)

func (x trouble) String() string { return [...]string{"well", "refuses", "stalls", "resets"}[x] }

// link is the network between the observer and the ingress of an observee: a TCP
// proxy that can be in trouble. It is safe for concurrent use.
type link struct {
	addr, target string

	mu       sync.Mutex
	is       trouble
	listener net.Listener // nil while it refuses
	conns    map[*net.TCPConn]struct{}
	passes   chan struct{} // closed unless it stalls
	running  sync.WaitGroup
}

// newLink starts a link to target that is well, until the test ends.
func newLink(t testing.TB, target string) *link {
	t.Helper()
	l := &link{addr: proc.FreeAddr(t), target: target, conns: map[*net.TCPConn]struct{}{}, passes: make(chan struct{})}
	close(l.passes)
	testutil.Ok(t, l.listen())
	t.Cleanup(func() {
		testutil.Ok(t, l.set(refuses))
		l.running.Wait()
	})
	return l
}

// set changes what is wrong.
func (l *link) set(x trouble) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is == x {
		return nil
	}
	was := l.is
	l.is = x
	if was == stalls {
		close(l.passes)
	}
	switch x {
	case refuses:
		err := l.listener.Close()
		l.listener = nil
		l.end(-1)
		return err
	case resets:
		l.end(0)
	case stalls:
		l.passes = make(chan struct{})
	case well:
	}
	if was == refuses {
		return l.listen()
	}
	return nil
}

// end closes all connections, with this time to linger. The caller holds mu.
func (l *link) end(linger int) {
	for c := range l.conns {
		_ = c.SetLinger(linger)
		_ = c.Close()
	}
	clear(l.conns)
}

// listen takes connections until the listener is closed. The caller holds mu, or
// nobody else has the link yet.
func (l *link) listen() error {
	listener, err := net.Listen("tcp", l.addr)
	if err != nil {
		return err
	}
	l.listener = listener
	l.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() { l.pass(conn.(*net.TCPConn)) })
		}
	})
	return nil
}

// pass passes on what comes in from either side, until one of them ends.
func (l *link) pass(in *net.TCPConn) {
	if !l.add(in) {
		return
	}
	defer l.remove(in)
	l.await()
	conn, err := net.DialTimeout("tcp", l.target, 5*time.Second)
	if err != nil {
		return
	}
	out := conn.(*net.TCPConn)
	if !l.add(out) {
		return
	}
	defer l.remove(out)
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{in, out}, {out, in}} {
		both.Go(func() {
			_, _ = io.Copy(gated{way[1], l}, way[0])
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	both.Wait()
}

// add is false if a connection is not to be, and ends it then.
func (l *link) add(c *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.is == refuses || l.is == resets {
		_ = c.SetLinger(0)
		_ = c.Close()
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *link) remove(c *net.TCPConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	_ = c.Close()
}

// await returns when something may pass.
func (l *link) await() {
	l.mu.Lock()
	passes := l.passes
	l.mu.Unlock()
	<-passes
}

// gated writes while the link does not stall.
type gated struct {
	to   io.Writer
	link *link
}

func (g gated) Write(p []byte) (int, error) {
	g.link.await()
	return g.to.Write(p)
}

func TestLink(t *testing.T) {
	t.Parallel()
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	testutil.Ok(t, err)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	defer served.Wait()
	defer echo.Close()
	l := newLink(t, echo.Addr().String())
	defer func() { testutil.Ok(t, l.set(refuses)) }() // lets go of the echo
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.addr)
		testutil.Ok(t, err)
		return c
	}
	// says returns what comes back within a while.
	says := func(c net.Conn, patience time.Duration) (string, error) {
		if _, err := c.Write([]byte("hello")); err != nil {
			return "", err
		}
		buf := make([]byte, 5)
		testutil.Ok(t, c.SetReadDeadline(time.Now().Add(patience)))
		n, err := io.ReadFull(c, buf)
		return string(buf[:n]), err
	}
	const patience = proc.Patience
	c := dial()
	defer c.Close()
	got, err := says(c, patience)
	testutil.Ok(t, err)
	testutil.Equals(t, "hello", got)

	testutil.Ok(t, l.set(stalls))
	var timeout net.Error
	_, err = says(c, 50*time.Millisecond)
	testutil.Assert(t, errors.As(err, &timeout) && timeout.Timeout(), "%v", err)
	testutil.Ok(t, l.set(well))
	testutil.Ok(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err = io.ReadFull(c, make([]byte, 5)) // What was held back.
	testutil.Ok(t, err)

	for _, x := range []trouble{resets, refuses} {
		testutil.Ok(t, l.set(x))
		_, err := says(c, patience)
		testutil.Assert(t, err != nil, x.String())
		if other, err := net.Dial("tcp", l.addr); err == nil {
			_, err = says(other, patience)
			testutil.Assert(t, err != nil && x == resets, "%s: %v", x, err)
			testutil.Ok(t, other.Close())
		}
		testutil.Ok(t, l.set(well))
		c = dial()
		defer c.Close()
		got, err := says(c, patience)
		testutil.Ok(t, err)
		testutil.Equals(t, "hello", got)
	}
}
