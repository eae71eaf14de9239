package fanout

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// cancelGrace is how long a call waits, once it is over, for members that it
// has stopped. Those that heed their context need none of it.
const cancelGrace = time.Second

// maxAbandoned is how many calls to one member may go on although they were
// stopped. A member that has so many is not asked: each is a goroutine, and
// whatever the member itself holds for it.
const maxAbandoned = 16

// errAbandoned is the failure of a member that is not asked because of that.
var errAbandoned = fmt.Errorf("%w: %d calls do not end although they were canceled", store.ErrUnavailable, maxAbandoned)

// errExited is the failure of a member that ends its goroutine.
var errExited = errors.New("goroutine exited")

// stint is one call to a member, in a goroutine of its own. Its fields are
// guarded by the member's lock.
type stint struct {
	member     *member
	over, left bool
}

// start begins a call to the member. It is nil if the member may not be asked.
func (m *member) start() *stint {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.abandoned >= maxAbandoned {
		return nil
	}
	m.running++
	return &stint{member: m}
}

// end is called by the goroutine itself.
func (s *stint) end() {
	m := s.member
	m.mu.Lock()
	defer m.mu.Unlock()
	s.over = true
	m.running--
	if s.left {
		m.abandoned--
		m.fanout.metrics.abandoned.Dec()
	}
}

// leave is called by who waits for the end no longer.
func (s *stint) leave() {
	m := s.member
	m.mu.Lock()
	defer m.mu.Unlock()
	if !s.over && !s.left {
		s.left = true
		m.abandoned++
		m.fanout.metrics.abandoned.Inc()
	}
}

// crew is the goroutines of one call. The zero value is ready for use.
type crew struct {
	mu      sync.Mutex
	running int
	waits   chan struct{} // closed when none runs; nil while nobody waits
}

// run runs f in a goroutine of the crew.
func (c *crew) run(f func()) {
	c.mu.Lock()
	c.running++
	c.mu.Unlock()
	go func() {
		defer c.leave()
		f()
	}()
}

func (c *crew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running--; c.running == 0 && c.waits != nil {
		close(c.waits)
		c.waits = nil
	}
}

// join waits until all have ended, but not for longer than cancelGrace. It is
// called once, when no more are started but by those that run.
func (c *crew) join() {
	c.mu.Lock()
	if c.running == 0 {
		c.mu.Unlock()
		return
	}
	done := make(chan struct{})
	c.waits = done
	c.mu.Unlock()
	grace := time.NewTimer(cancelGrace)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	}
}
