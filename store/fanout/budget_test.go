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

// frames makes one held frame of each size.
func frames(sizes ...int64) []*held {
	out := make([]*held, len(sizes))
	for i, n := range sizes {
		out[i] = &held{size: n, wake: make(chan struct{}, 1)}
	}
	return out
}

// woken reports for each frame whether the member that put it was woken, and
// takes the token.
func woken(t *testing.T, b *budget, hs []*held) []bool {
	out := make([]bool, len(hs))
	for i, h := range hs {
		testutil.Equals(t, h.state == loanWaiting, b.blocked(h))
		out[i] = len(h.wake) == 1
		if out[i] {
			<-h.wake
		}
	}
	return out
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := newTestBudget(10)
	h := frames(6, 5, 4, 11, 1)
	testutil.Assert(t, b.borrow(h[0]))
	testutil.Assert(t, !b.borrow(h[1]), "more than is free")
	testutil.Assert(t, !b.borrow(h[2]), "it would fit, but came later")
	testutil.Assert(t, !b.borrow(h[3]), "more than there ever is")
	testutil.Assert(t, !b.borrow(h[4]), "the oversized one is not in its way, the others are")
	testutil.Equals(t, []bool{false, false, false, false, false}, woken(t, b, h))
	testutil.Equals(t, 6.0, promtest.ToFloat64(b.used))

	b.settle(h[0])
	testutil.Equals(t, []bool{false, true, true, false, true}, woken(t, b, h))
	b.settle(h[0])
	testutil.Equals(t, 10.0, promtest.ToFloat64(b.used))
	b.settle(h[3]) // the merge is done with it
	testutil.Equals(t, []bool{false, false, false, true, false}, woken(t, b, h))
	for _, h := range h {
		b.settle(h)
	}
	testutil.Equals(t, int64(10), b.free)
	testutil.Equals(t, 0.0, promtest.ToFloat64(b.used))
}

func TestBudgetSettleWhileWaiting(t *testing.T) {
	t.Parallel()
	b := newTestBudget(10)
	h := frames(10, 8, 8, 2)
	for _, h := range h {
		b.borrow(h)
	}
	b.settle(h[1]) // from the head of the queue
	testutil.Equals(t, []bool{false, true, false, false}, woken(t, b, h))
	b.settle(h[0])
	testutil.Equals(t, []bool{false, false, true, true}, woken(t, b, h))
}

func TestBudgetNeverOverdrawn(t *testing.T) {
	t.Parallel()
	for seed := range int64(50) {
		r := rand.New(rand.NewSource(seed))
		b := newTestBudget(int64(r.Intn(50)))
		var open []*held
		for range 1000 {
			if r.Intn(2) == 0 {
				h := frames(int64(r.Intn(60)))[0]
				b.borrow(h)
				open = append(open, h)
			} else if len(open) > 0 {
				i := r.Intn(len(open))
				b.settle(open[i])
				open = append(open[:i], open[i+1:]...)
			}
			lent := int64(0)
			for _, h := range open {
				if h.state == loanGranted {
					lent += h.size
				}
			}
			if b.size-b.free != lent || b.free < 0 {
				t.Fatalf("%d of %d bytes are free, %d are lent", b.free, b.size, lent)
			}
			if b.first != nil && b.first.size <= b.free {
				t.Fatal("somebody waits for what is there")
			}
		}
	}
}
