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
// A call uses at most maxGreed times what it leaves free. So one whose reader
// stalls does not take from others what they need in order to send ahead at all:
// with n such calls, a part of 1/(1 + n × maxGreed) stays free.
//
// Members of one call wait in the order in which they came, and calls take turns.
// One with a frame larger than it can ever be granted waits outside of that order,
// only for the merge.
type budget struct {
	used prometheus.Gauge

	mu          sync.Mutex
	size, free  int64
	first, last *account // those in which somebody waits
}

// maxGreed is how many times what it leaves free a call may use.
const maxGreed = 4

// account is what one call borrowed of a budget. Its fields are guarded by the
// budget's lock.
type account struct {
	budget      *budget
	used        int64
	first, last *held // those that wait
	prev, next  *account
}

// held is a frame that one member put, with what it borrowed for it.
type held struct {
	frame   *encoded.Frame
	size    int64
	wake    chan struct{} // of the member; has room for one token
	account *account      // nil if it is the frame of a branch

	// Of the frame of a branch: those that it was made of.
	inputs []*held
	branch *branch

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

// drop lets go of a frame, and only then of what it borrowed.
func (h *held) drop() {
	h.frame.Release()
	if h.account != nil {
		h.settle()
		return
	}
	for _, in := range h.inputs {
		in.drop()
	}
	<-h.branch.places
}

// borrow asks for the bytes of h and reports whether they were granted. If not,
// one token is sent to h.wake when they are, or when h is settled.
func (h *held) borrow() bool {
	a := h.account
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.first == nil && a.affords(h.size) {
		a.grant(h)
		return true
	}
	h.state = loanWaiting
	if h.size <= maxGreed*(b.size-h.size) {
		a.enqueue(h)
	}
	return false
}

// blocked reports whether who put h waits for it to be dropped.
func (h *held) blocked() bool {
	if h.account == nil {
		return h.branch.drains()
	}
	b := h.account.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return h.state == loanWaiting
}

// settle gives back what h borrowed, or ends the wait for it. It may be called
// again.
func (h *held) settle() {
	a := h.account
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	state := h.state
	h.state = loanSettled
	switch state {
	case loanGranted:
		b.free += h.size
		a.used -= h.size
		b.used.Sub(float64(h.size))
	case loanWaiting:
		if h.queued {
			a.dequeue(h)
		}
		h.wakeUp()
	case loanNone, loanSettled:
		return
	}
	b.lend()
}

// lend grants what can be granted to those that wait. The call that gets it is
// the last in turn after that.
func (b *budget) lend() {
	for a := b.first; a != nil; {
		h := a.first
		if !a.affords(h.size) {
			a = a.next
			continue
		}
		a.dequeue(h)
		a.grant(h)
		h.wakeUp()
		if a.first != nil {
			a.leave()
			a.join()
		}
		a = b.first
	}
}

// wakeUp sends a token. There can be one already only if the member did not wait
// for the last, because it was stopped. Nobody waits if there is no channel.
func (h *held) wakeUp() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (a *account) affords(n int64) bool { return a.used+n <= maxGreed*(a.budget.free-n) }

func (a *account) grant(h *held) {
	h.state = loanGranted
	a.budget.free -= h.size
	a.used += h.size
	a.budget.used.Add(float64(h.size))
}

func (a *account) enqueue(h *held) {
	if a.first == nil {
		a.join()
	}
	h.queued, h.prev = true, a.last
	if a.last != nil {
		a.last.next = h
	} else {
		a.first = h
	}
	a.last = h
}

func (a *account) dequeue(h *held) {
	if h.prev != nil {
		h.prev.next = h.next
	} else {
		a.first = h.next
	}
	if h.next != nil {
		h.next.prev = h.prev
	} else {
		a.last = h.prev
	}
	h.queued, h.prev, h.next = false, nil, nil
	if a.first == nil {
		a.leave()
	}
}

// join adds the account to those in which somebody waits.
func (a *account) join() {
	b := a.budget
	if a.prev = b.last; a.prev != nil {
		a.prev.next = a
	} else {
		b.first = a
	}
	b.last = a
}

// leave is called when nobody waits any more.
func (a *account) leave() {
	b := a.budget
	if a.prev != nil {
		a.prev.next = a.next
	} else {
		b.first = a.next
	}
	if a.next != nil {
		a.next.prev = a.prev
	} else {
		b.last = a.prev
	}
	a.prev, a.next = nil, nil
}
