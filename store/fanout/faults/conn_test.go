package faults_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// sentBefore is how many series the bad member sends before what is bad happens,
// every other of which is its own.
const sentBefore = 20

// stalls is a faulty member that sends some of its series and then nothing until
// its call ends.
func stalls(t testing.TB) faulty {
	t.Helper()
	bad := badData(t)
	bad.series = func(ctx context.Context, ss []*store.Series, w store.SeriesWriter) error {
		if err := sendAll(ss[:sentBefore], w); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	return bad
}

// conns is a listener that keeps what it accepted.
type conns struct {
	net.Listener
	gone     atomic.Bool // for those who dial
	mu       sync.Mutex
	accepted []net.Conn
}

func (l *conns) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.accepted = append(l.accepted, c)
	}
	return c, err
}

// dial dials it for as long as it is there.
func (l *conns) dial(ctx context.Context, _ string) (net.Conn, error) {
	addr := l.Addr().String()
	if l.gone.Load() {
		addr = nobody
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

// each does something to every connection, once and for all.
func (l *conns) each(f func(net.Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.accepted {
		f(c)
	}
	l.accepted = nil
}

// TestConnectionFaults break a connection of loopback TCP in the midst of an
// answer. The member is well but for that, and back for the next query.
func TestConnectionFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		breaks func(l *conns, stop func())
		text   []string
		gone   bool // for good
	}{
		"server killed": {breaks: func(l *conns, stop func()) {
			l.gone.Store(true)
			stop()
		}, text: []string{"Unavailable"}, gone: true},
		"connection reset": {breaks: func(l *conns, _ func()) {
			l.each(func(c net.Conn) {
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			})
		}, text: []string{"Unavailable"}},
		"connection closed": {breaks: func(l *conns, _ func()) {
			l.each(func(c net.Conn) { _ = c.Close() })
		}, text: []string{"Unavailable"}},
		"garbage in between": {breaks: func(l *conns, _ func()) {
			l.each(func(c net.Conn) {
				_, _ = c.Write([]byte("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"))
			})
		}, text: []string{"Unavailable"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &conns{Listener: listen(t)}
			stop := serve(t, stalls(t), l)
			c := dial(t, "passthrough:///bad", grpc.WithContextDialer(l.dial))
			r := newRig(t, patient, fanout.Member{Store: c}, overLoopback)
			// It is the break that ends the call: nothing else would.
			breaks := func(do func()) {
				ctx, over := context.WithCancel(t.Context())
				var work sync.WaitGroup
				work.Go(func() {
					if r.await(ctx, sentBefore) {
						tc.breaks(l, stop)
					}
				})
				do()
				over()
				work.Wait()
			}
			want := fate{status: store.Failed, is: store.ErrUnavailable, text: append(tc.text, "store bad: series: "), arrived: sentBefore / 2, anyTime: true}
			breaks(func() { r.checkWarn(t, want) })
			if tc.gone { // it described itself a moment ago, and counts as healthy
				want.arrived, want.text = 0, []string{"connection refused"}
				r.check(t, want)
				return
			}
			breaks(func() { r.checkAbort(t, want) })
			breaks(func() { r.checkWarn(t, want) })
		})
	}
}

// TestDeadAddress: nobody listens, or who does speaks no gRPC, or never a word.
func TestDeadAddress(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer func(net.Conn) // nil: nobody listens
		budget time.Duration
		want   fate
	}{
		"nobody listens": {want: fate{status: store.Failed, is: store.ErrUnavailable, text: []string{"info: ", "connection refused"}, anyTime: true}},
		"not gRPC": {
			answer: func(c net.Conn) {
				_, _ = c.Write([]byte("220 mail.example ESMTP\r\n"))
				_ = c.Close()
			},
			want: fate{status: store.Failed, is: store.ErrUnavailable, text: []string{"info: "}, anyTime: true},
		},
		"never a word": {
			answer: func(net.Conn) {}, budget: 100 * time.Millisecond,
			want: fate{status: store.TimedOut, is: context.DeadlineExceeded, text: []string{"wait budget used up"}, anyTime: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := nobody
			if tc.answer != nil {
				l := &conns{Listener: listen(t)}
				addr = l.Addr().String()
				var work sync.WaitGroup
				work.Go(func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						tc.answer(c)
					}
				})
				t.Cleanup(func() { _ = l.Close(); work.Wait(); l.each(func(c net.Conn) { _ = c.Close() }) })
			}
			bad := fanout.Member{Store: dial(t, addr), WaitBudget: tc.budget}
			r := newRig(t, patient, bad, overLoopback)
			r.check(t, tc.want)
			r.checkLabels(t)
		})
	}
}

// checkLabels asks for label values: the others' are there, and the bad member
// is missed.
func (r *rig) checkLabels(t testing.TB) {
	t.Helper()
	for _, strategy := range []store.PartialResponseStrategy{store.Warn, store.Abort} {
		req := &store.LabelValuesRequest{Label: "cluster", MaxTime: dataEnd, Strategy: strategy, Outcome: &store.Outcome{}}
		values, err := r.LabelValues(t.Context(), req)
		want := fate{}
		if strategy == store.Abort {
			want.blames(t, err)
			continue
		}
		testutil.Ok(t, err)
		testutil.Equals(t, []string{"ap", "eu", "us"}, values)
		m := req.Outcome.Members()
		testutil.Equals(t, 4, len(m))
		want.blames(t, m[0].Err)
		for _, m := range m[1:] {
			testutil.Equals(t, store.Answered, m.Status)
		}
	}
}

// hole is a connection whose bytes stop arriving once cut is closed.
type hole struct {
	net.Conn
	cut    <-chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (h *hole) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	select {
	case <-h.cut:
		<-h.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (h *hole) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Conn.Close()
}

// TestSilentNetwork: the network between is gone, without a word, in the midst of
// an answer. Without a wait budget it is gRPC's pings that find out.
func TestSilentNetwork(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		budget time.Duration
		want   fate
	}{
		"wait budget": {waitBudget, fate{
			status: store.TimedOut, is: context.DeadlineExceeded, text: []string{"wait budget used up"}, arrived: sentBefore / 2, took: waitBudget,
		}},
		"pings": {0, fate{
			status: store.Failed, is: store.ErrUnavailable, text: []string{"keepalive ping failed"}, arrived: sentBefore / 2, took: 15 * time.Second,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := bufconn.Listen(64 << 10)
				serve(t, stalls(t), l)
				cut := make(chan struct{})
				c := dial(t, "passthrough:///memory", grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
					conn, err := l.DialContext(ctx)
					return &hole{Conn: conn, cut: cut, closed: make(chan struct{})}, err
				}))
				r := newRig(t, fanout.Options{WaitBudget: tc.budget}, fanout.Member{Store: c}, inMemory)
				testutil.Ok(t, r.Sync(t.Context()))
				go func() {
					if r.await(t.Context(), sentBefore) {
						close(cut)
					}
				}()
				r.checkWarn(t, tc.want)
			})
		})
	}
}
