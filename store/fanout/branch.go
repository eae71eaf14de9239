package fanout

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

const (
	// branchMembers is how many members a branch has at least. With fewer, to merge
	// its output once more costs more than a second processor gains.
	branchMembers = 8
	// branchFrames is how many frames of a branch there are at a time: the merge
	// stands in one, and may need another one for the series that it gathers, so that
	// with three the branch always can make the next. The fourth is made ahead.
	branchFrames = 4
)

// branch merges some of the members of a call in a goroutine of its own. The merge
// that reads it, in the call's goroutine, has that much less to compare: with two
// branches for two processors, a call to members in process takes little more than
// half the time.
//
// It is an input of that merge, and the sink of its own. What it made ahead holds on
// to what it was made of, loans included. And where a member is blocked until its
// frame is dropped, nothing is made ahead: the branch waits until the merge has come
// to need it. So a call needs no more memory for its branches.
type branch struct {
	call   *call
	merge  *merge
	places chan struct{} // taken by frames until they are dropped
	done   chan struct{} // closed when the goroutine has ended
	crash  any           // what it panicked with
	cursor *cursor       // of the merge that reads it
	// limited says that a member has a wait budget, for which time is kept.
	limited bool

	mu       sync.Mutex
	queue    []*held
	next     []byte // a bound of what follows the queue; nil if none is known
	warnings []error
	losses   []error // to be told of after the queue
	wanted   bool    // the merge waits for this branch
	draining bool    // the branch waits for the merge
	ended    bool
	failed   bool // and the call with it
	awaited  bool // the call stands still until more is known of this branch
	since    time.Time
	waited   time.Duration // in all, before since
}

// branchesOf returns how many branches so many members are divided among.
func branchesOf(members int) int { return min(runtime.GOMAXPROCS(0), members/branchMembers) }

// branch divides streams among branches if there is something to be gained by it.
// Neighbors stay together, since replicas mostly are.
func (c *call) branch(streams []*stream) []*branch {
	n := c.fanout.branches(len(streams))
	if n < 2 {
		return nil
	}
	out := make([]*branch, n)
	for i := range out {
		b := &branch{call: c, places: make(chan struct{}, branchFrames), done: make(chan struct{})}
		of := streams[i*len(streams)/n : (i+1)*len(streams)/n]
		b.limited = slices.ContainsFunc(of, func(s *stream) bool { return s.waitBudget() > 0 })
		b.merge = newMerge(c, b, inputs(of))
		out[i] = b
	}
	return out
}

func inputs[I input](of []I) []input {
	out := make([]input, len(of))
	for i, in := range of {
		out[i] = in
	}
	return out
}

// run is the branch's goroutine. It returns soon when the call has ended.
func (b *branch) run() {
	defer close(b.done)
	err := errExited // unless it comes to its end
	defer func() {
		if b.crash = recover(); b.crash != nil {
			b.crash = fmt.Sprintf("%v\n\n%s", b.crash, debug.Stack())
		}
		b.end(err)
	}()
	if err = b.merge.run(); errors.Is(err, errEnough) {
		err = nil
	}
}

// end ends the branch. An error is that of the call, which ends as soon as there is
// one.
func (b *branch) end(err error) {
	if err != nil {
		b.call.cancel(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended, b.failed = true, b.failed || err != nil
	b.announce()
}

// announce tells a merge that waits for the branch. It is called with the lock held.
func (b *branch) announce() {
	if b.wanted {
		b.wanted = false
		b.cursor.ring()
	}
}

// send is that of a sink. It waits for a place.
func (b *branch) send(out *ownFrame, passed []*held) error {
	select {
	case b.places <- struct{}{}:
	case <-b.call.ctx.Done():
		out.Release()
		for _, h := range passed {
			h.drop()
		}
		return b.call.err()
	}
	h := &held{frame: out.Frame, size: int64(out.Size), inputs: slices.Clone(passed), branch: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue, b.next = append(b.queue, h), nil
	b.announce()
	return nil
}

// bound is that of a sink.
func (b *branch) bound(key []byte) {
	if len(key) == 0 {
		return // at the beginning
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = slices.Clone(key)
	b.announce()
}

// drain is that of a sink.
func (b *branch) drain() error {
	b.setDraining(true)
	defer b.setDraining(false)
	for range branchFrames {
		select {
		case b.places <- struct{}{}:
		case <-b.call.ctx.Done():
			return b.call.err()
		}
	}
	for range branchFrames {
		<-b.places
	}
	return nil
}

func (b *branch) setDraining(v bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.draining = v
	b.announce()
}

// drains reports whether the branch waits until its frames are dropped.
func (b *branch) drains() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.draining
}

// clock is that of a sink. A branch is ahead of the call most of the time, and what
// its members take then is not held against them.
func (b *branch) clock() (now time.Duration, runs bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.awaited {
		return b.waited + time.Since(b.since), true
	}
	return b.waited, false
}

// Warn is that of a sink.
func (b *branch) Warn(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.warnings = append(b.warnings, err)
	return nil
}

// lost is that of a sink. A merge that has enough does not come to what follows the
// queue.
func (b *branch) lost(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.losses = append(b.losses, err)
	return nil
}

// attach is that of an input.
func (b *branch) attach(c *cursor) { b.cursor = c }

// take is that of an input.
func (b *branch) take() taken {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := taken{warnings: b.warnings}
	b.warnings = nil
	if len(b.queue) > 0 {
		t.frame = b.queue[0]
		b.queue = slices.Delete(b.queue, 0, 1)
		return t
	}
	t.warnings = append(t.warnings, b.losses...)
	b.losses = nil
	t.ended, b.wanted = b.ended, !b.ended
	t.bound, b.next = b.next, nil
	return t
}

// pass is that of an input. Who warned is named already.
func (b *branch) pass(warnings []error, to warner) error {
	for _, err := range warnings {
		if err := to.Warn(err); err != nil {
			return err
		}
	}
	return nil
}

// over is that of an input.
func (b *branch) over(sink) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed {
		return b.call.err()
	}
	return nil
}

// expel is that of an input: the call ends with what must not be.
func (b *branch) expel(_ store.MemberStatus, cause error) { b.end(cause) }

// waitBudget is that of an input. Members have theirs in the branch.
func (b *branch) waitBudget() time.Duration { return 0 }

// await is that of an input.
func (b *branch) await(waits bool) {
	if !b.limited {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case waits == b.awaited:
		return
	case waits:
		b.since = time.Now()
		b.merge.bell.nudge()
	default:
		b.waited += time.Since(b.since)
	}
	b.awaited = waits
}

// close waits for the goroutine, whose call has ended, and drops what nobody has
// taken.
func (b *branch) close() {
	<-b.done
	for _, h := range b.queue {
		h.drop()
	}
	b.queue, b.losses = nil, nil
}

// rethrow panics with what the goroutine panicked with.
func (b *branch) rethrow() {
	if b.crash != nil {
		panic(b.crash) //nolint:forbidigo // The call would have, without branches.
	}
}
