package fanout

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// budget is a number of bytes that all members of all calls share for frames
// that they send ahead of the merge.
//
// A frame that was put borrows its size. When that is not to be had, the member
// that put it waits, either for the bytes or for the merge to be done with the
// frame. So a member has at most one frame that is not paid for, and while it
// has it, it makes no other: all frames together are within the budget, and one
// for each member. A merge that waits for a member has settled the frame that
// the member waits with, so that neither waits for the other.
//
// Members wait in the order in which they came. One with a frame larger than
// the whole budget waits outside of that order, only for the merge.
type budget struct {
	used prometheus.Gauge

	mu          sync.Mutex
	size, free  int64
	first, last *held // those that wait for bytes
}

// held is a frame that one member put, with what it borrowed for it.
type held struct {
	frame *encoded.Frame
	size  int64
	wake  chan struct{} // of the member; has room for one token

	// What of the merge refers to the frame; see merge.
	output, group uint64

	// Guarded by the budget's lock.
	state      loan
	queued     bool
	prev, next *held
}

// loan is the state of what a frame borrowed. It moves downwards only.
type loan uint8

const (
	loanNone    loan = iota
	loanWaiting      // the member is blocked
	loanGranted
	loanSettled // nothing is owed, the member is not blocked
)

// borrow asks for the bytes of h and reports whether they were granted. If not,
// one token is sent to h.wake when they are, or when h is settled.
func (b *budget) borrow(h *held) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == nil && h.size <= b.free {
		b.grant(h)
		return true
	}
	h.state = loanWaiting
	if h.size <= b.size {
		b.enqueue(h)
	}
	return false
}

// blocked reports whether the member that put h waits for it.
func (b *budget) blocked(h *held) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return h.state == loanWaiting
}

// settle gives back what h borrowed, or ends the wait for it. It may be called
// again.
func (b *budget) settle(h *held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch h.state {
	case loanGranted:
		b.free += h.size
		b.used.Sub(float64(h.size))
	case loanWaiting:
		if h.queued {
			b.dequeue(h)
		}
		h.wakeUp()
	case loanNone, loanSettled:
	}
	h.state = loanSettled
	for b.first != nil && b.first.size <= b.free {
		w := b.first
		b.dequeue(w)
		b.grant(w)
		w.wakeUp()
	}
}

// wakeUp sends a token. There can be one already only if the member did not wait
// for the last, because it was stopped.
func (h *held) wakeUp() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (b *budget) grant(h *held) {
	h.state = loanGranted
	b.free -= h.size
	b.used.Add(float64(h.size))
}

func (b *budget) enqueue(h *held) {
	h.queued, h.prev = true, b.last
	if b.last != nil {
		b.last.next = h
	} else {
		b.first = h
	}
	b.last = h
}

func (b *budget) dequeue(h *held) {
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		b.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else {
		b.last = h.prev
	}
	h.queued, h.prev, h.next = false, nil, nil
}
