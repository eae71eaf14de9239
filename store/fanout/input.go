package fanout

import (
	"sync"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// input is a sorted sequence of frames that a merge reads: the answer of a member,
// or what a branch has made of several. All but attach are called by the merge.
type input interface {
	// attach names the cursor that is to be rung for. It is called once, before
	// anything is in the input.
	attach(c *cursor)
	// take returns the next frame if there is one. If not, and one may come, the
	// input rings for its cursor when it does.
	take() taken
	// pass passes on warnings that were taken.
	pass(warnings []error, to warner) error
	// over is called when the input has ended, or was expelled. Its error ends the
	// merge.
	over(to sink) error
	// expel ends the input at the fault of its member.
	expel(status store.MemberStatus, cause error)
	// waitBudget is how long the merge waits for the input in all; 0 is no limit.
	waitBudget() time.Duration
	// await says that the merge begins to wait for the input, or that it no longer
	// does.
	await(waits bool)
}

// taken is what was found in an input.
type taken struct {
	frame    *held  // nil if there is none
	ended    bool   // and there will be none
	bound    []byte // if there is no frame: of those to come, if it is known
	warnings []error
}

// bell is rung by the inputs that a merge waits for.
type bell struct {
	heard chan struct{} // has room for one token

	mu   sync.Mutex
	rung []*cursor // since take
}

func (b *bell) init() { b.heard = make(chan struct{}, 1) }

// ring tells the merge that its input has something to take.
func (c *cursor) ring() {
	c.bell.mu.Lock()
	c.bell.rung = append(c.bell.rung, c)
	c.bell.mu.Unlock()
	c.bell.nudge()
}

// nudge wakes the merge up to look at its clock.
func (b *bell) nudge() {
	select {
	case b.heard <- struct{}{}:
	default:
	}
}

// take appends the cursors that were rung for since the last call to buf.
func (b *bell) take(buf []*cursor) []*cursor {
	b.mu.Lock()
	defer b.mu.Unlock()
	buf = append(buf, b.rung...)
	clear(b.rung)
	b.rung = b.rung[:0]
	return buf
}
