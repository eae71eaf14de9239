package fanout

import (
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
)

func newTestBudget(size int64) *budget {
	return &budget{size: size, free: size, used: prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"})}
}

// frames makes one held frame of each size, all of one call.
func (b *budget) frames(sizes ...int64) []*held {
	a := &account{budget: b}
	out := make([]*held, len(sizes))
	for i, n := range sizes {
		out[i] = &held{size: n, wake: make(chan struct{}, 1), account: a}
	}
	return out
}

// woken reports for each frame whether the member that put it was woken, and
// takes the token.
func woken(t *testing.T, hs []*held) []bool {
	out := make([]bool, len(hs))
	for i, h := range hs {
		testutil.Equals(t, h.state == loanWaiting, h.blocked())
		out[i] = len(h.wake) == 1
		if out[i] {
			<-h.wake
		}
	}
	return out
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := newTestBudget(10) // of which one call gets 8
	h := b.frames(5, 4, 3, 9, 1)
	testutil.Assert(t, h[0].borrow())
	testutil.Assert(t, !h[1].borrow(), "more than is left to the call")
	testutil.Assert(t, !h[2].borrow(), "it would fit, but came later")
	testutil.Assert(t, !h[3].borrow(), "more than there ever is")
	testutil.Assert(t, !h[4].borrow(), "the oversized one is not in its way, the others are")
	testutil.Equals(t, []bool{false, false, false, false, false}, woken(t, h))
	testutil.Equals(t, 5.0, promtest.ToFloat64(b.used))

	h[0].settle()
	testutil.Equals(t, []bool{false, true, true, false, true}, woken(t, h))
	h[0].settle()
	testutil.Equals(t, 8.0, promtest.ToFloat64(b.used))
	h[3].settle() // the merge is done with it
	testutil.Equals(t, []bool{false, false, false, true, false}, woken(t, h))
	for _, h := range h {
		h.settle()
	}
	testutil.Equals(t, int64(10), b.free)
	testutil.Equals(t, 0.0, promtest.ToFloat64(b.used))
	testutil.Assert(t, b.first == nil && b.last == nil)
}

// Calls leave something to others, and take turns at it.
func TestBudgetOfCalls(t *testing.T) {
	t.Parallel()
	b := newTestBudget(100)
	var calls [][]*held
	for range 3 {
		sizes := make([]int64, 100)
		for i := range sizes {
			sizes[i] = 1
		}
		calls = append(calls, b.frames(sizes...))
	}
	granted := func() (out []int) {
		for _, hs := range calls {
			n := 0
			for _, h := range hs {
				if h.state == loanGranted {
					n++
				}
			}
			out = append(out, n)
		}
		return out
	}
	for i, want := range [][]int{{80, 0, 0}, {80, 16, 0}, {80, 16, 3}} {
		for _, h := range calls[i] {
			h.borrow()
		}
		testutil.Equals(t, want, granted())
	}
	for _, h := range calls[0][:64] { // its reader goes on
		h.settle()
	}
	testutil.Equals(t, []int{28, 32, 32}, granted())
}

func TestBudgetSettleWhileWaiting(t *testing.T) {
	t.Parallel()
	b := newTestBudget(100)
	h := b.frames(80, 64, 64, 16)
	for _, h := range h {
		h.borrow()
	}
	h[1].settle() // from the head of the queue
	testutil.Equals(t, []bool{false, true, false, false}, woken(t, h))
	h[0].settle()
	testutil.Equals(t, []bool{false, false, true, true}, woken(t, h))
}

func TestBudgetNeverOverdrawn(t *testing.T) {
	t.Parallel()
	for seed := range int64(50) {
		r := rand.New(rand.NewSource(seed))
		b := newTestBudget(int64(r.Intn(50)))
		accounts := make([]account, 3)
		for i := range accounts {
			accounts[i].budget = b
		}
		var open []*held
		for range 1000 {
			if r.Intn(2) == 0 {
				h := b.frames(int64(r.Intn(60)))[0]
				h.account = &accounts[r.Intn(len(accounts))]
				h.borrow()
				open = append(open, h)
			} else if len(open) > 0 {
				i := r.Intn(len(open))
				open[i].settle()
				open = append(open[:i], open[i+1:]...)
			}
			lent := map[*account]int64{nil: 0}
			for _, h := range open {
				if h.state == loanGranted {
					lent[nil] += h.size
					lent[h.account] += h.size
				}
			}
			if b.size-b.free != lent[nil] || b.free < 0 {
				t.Fatalf("%d of %d bytes are free, %d are lent", b.free, b.size, lent[nil])
			}
			waiting := 0
			for a := b.first; a != nil; a = a.next {
				waiting++
				if a.affords(a.first.size) {
					t.Fatal("somebody waits for what is there")
				}
			}
			for i := range accounts {
				if a := &accounts[i]; a.used != lent[a] || (a.first != nil) != (waiting > 0 && a.waits(b)) {
					t.Fatalf("account %d: %d bytes used, %d lent", i, a.used, lent[a])
				}
			}
		}
	}
}

// waits reports whether the account is among those in which somebody waits.
func (a *account) waits(b *budget) bool {
	for x := b.first; x != nil; x = x.next {
		if x == a {
			return true
		}
	}
	return false
}
