package fanout

import (
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// fill waits until each cursor that needs a frame has one, or has ended. They
// are all waited for at the same time, since nothing can follow without any of
// them.
//
// What was merged before is sent first: a reader does not wait for what is
// there. And a member that is blocked because its frame was not granted is
// unblocked: what the merge still needs of the frame is copied.
func (m *merge) fill() error {
	need := m.need[:0]
	for _, c := range m.need { // what came in the meantime
		if err := m.next(c); err != nil {
			return err
		}
		if c.now.waits {
			need = append(need, c)
		}
	}
	m.need = need
	if len(need) == 0 {
		return nil
	}
	if err := m.flush(); err != nil {
		return err
	}
	for _, c := range need {
		m.yield(c)
	}
	if err := m.await(need); err != nil {
		return err
	}
	m.need = m.need[:0]
	return nil
}

// yield lets go of the frame that a cursor has come to the end of if the member
// is blocked until then.
func (m *merge) yield(c *cursor) {
	h := c.cur
	if h == nil || !h.blocked() {
		return
	}
	for i := range m.group {
		if p := &m.group[i]; p.from == h {
			f := copySeries(p.series)
			*p = part{series: &f.Series[0], frame: f}
		}
	}
	c.cur = nil
	m.let(h)
}

// await waits for the cursors, each for as long as its wait budget lasts.
func (m *merge) await(need []*cursor) error {
	left := len(need)
	now := time.Now()
	for _, c := range need {
		c.since = now
	}
	var clock waitClock
	defer clock.stop()
	clock.set(need, now)
	for left > 0 {
		select {
		case <-m.call.ctx.Done():
			return m.call.err()
		case <-m.call.notify:
			m.ready = m.call.announced(m.ready[:0])
			for _, s := range m.ready {
				c := s.cursor
				if !c.now.waits {
					continue // it was expelled, or announced itself before it was waited for
				}
				if err := m.next(c); err != nil {
					return err
				}
				if !c.now.waits {
					c.waited += time.Since(c.since)
					left--
				}
			}
		case <-clock.expired():
			now := time.Now()
			for _, c := range need {
				if c.now.waits && c.outOfTime(now) {
					if err := m.expel(c, store.TimedOut, errWaitBudget); err != nil {
						return err
					}
					left--
				}
			}
			clock.set(need, now)
		}
	}
	return nil
}

// remaining is how much longer a cursor that is waited for may take, if there is
// a limit.
func (c *cursor) remaining(now time.Time) (d time.Duration, limited bool) {
	budget := c.stream.of.budget
	return budget - c.waited - now.Sub(c.since), budget > 0
}

func (c *cursor) outOfTime(now time.Time) bool {
	d, limited := c.remaining(now)
	return limited && d <= 0
}

// waitClock fires when the wait budget of a cursor is used up; never, if none
// has one.
type waitClock struct{ timer *time.Timer }

// set makes the clock fire for the first of the cursors that are still waited
// for.
func (w *waitClock) set(need []*cursor, now time.Time) {
	var least time.Duration
	found := false
	for _, c := range need {
		if !c.now.waits {
			continue
		}
		if d, limited := c.remaining(now); limited && (!found || d < least) {
			least, found = d, true
		}
	}
	switch {
	case !found:
		w.stop()
	case w.timer == nil:
		w.timer = time.NewTimer(least)
	default:
		w.timer.Reset(least)
	}
}

func (w *waitClock) expired() <-chan time.Time {
	if w.timer == nil {
		return nil
	}
	return w.timer.C
}

func (w *waitClock) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}
