package fanout

import (
	"slices"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

// fill waits until of each cursor in need more is known: its next frame, that it
// has ended, or that it waits further on. They are all waited for at the same time,
// since nothing can follow without any of them.
//
// What was merged before is sent first: a reader does not wait for what is
// there. And a member that is blocked because its frame was not granted is
// unblocked: what the merge still needs of the frame is copied.
func (m *merge) fill() error {
	now, _ := m.to.clock()
	for _, c := range m.need {
		c.since = now
		if err := m.next(c); err != nil { // what came in the meantime
			return err
		}
	}
	if m.relieve(now); len(m.need) == 0 {
		return nil
	}
	if err := m.flush(); err != nil {
		return err
	}
	m.to.bound(m.need[0].key) // that of all of them
	blocked := func(c *cursor) bool { return c.cur != nil && c.cur.blocked() }
	if slices.ContainsFunc(m.need, blocked) {
		// Or they would be unblocked while what they sent is still there.
		if err := m.to.drain(); err != nil {
			return err
		}
	}
	for _, c := range m.need {
		m.yield(c)
	}
	return m.listen()
}

// relieve takes out of need those of whom more is known by now.
func (m *merge) relieve(now time.Duration) {
	m.need = slices.DeleteFunc(m.need, func(c *cursor) bool {
		if c.news {
			c.waited += now - c.since
			c.in.await(false)
		}
		return c.news
	})
}

// yield lets go of the frame that a cursor has come to the end of if the member,
// or the branch, is blocked until then.
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
	h.drop()
}

// listen waits for the cursors in need, each for as long as its wait budget lasts.
func (m *merge) listen() error {
	now, runs := m.to.clock()
	for _, c := range m.need {
		c.since = now
		c.in.await(true)
	}
	var clock waitClock
	defer clock.stop()
	for len(m.need) > 0 {
		clock.set(m.need, now, runs)
		select {
		case <-m.call.ctx.Done():
			return m.call.err()
		case <-m.bell.heard:
			m.ready = m.bell.take(m.ready[:0])
			for _, c := range m.ready {
				if !c.now.waits {
					continue // it was expelled, or announced itself before it was waited for
				}
				if err := m.next(c); err != nil {
					return err
				}
				if c.now.waits {
					m.yield(c) // a branch may have come to need it
				}
			}
			now, runs = m.to.clock()
		case <-clock.expired():
			now, runs = m.to.clock()
			for _, c := range m.need {
				if c.outOfTime(now) {
					if err := m.expel(c, store.TimedOut, errWaitBudget); err != nil {
						return err
					}
				}
			}
		}
		m.relieve(now)
	}
	return nil
}

// remaining is how much longer a cursor that is waited for may take, if there is
// a limit.
func (c *cursor) remaining(now time.Duration) (d time.Duration, limited bool) {
	budget := c.in.waitBudget()
	return budget - c.waited - (now - c.since), budget > 0
}

func (c *cursor) outOfTime(now time.Duration) bool {
	d, limited := c.remaining(now)
	return limited && d <= 0
}

// waitClock fires when the wait budget of a cursor is used up; never, if none
// has one.
type waitClock struct{ timer *time.Timer }

// set makes the clock fire for the first of the cursors that are still waited
// for, if time runs.
func (w *waitClock) set(need []*cursor, now time.Duration, runs bool) {
	var least time.Duration
	found := false
	for _, c := range need {
		if d, limited := c.remaining(now); limited && (!found || d < least) {
			least, found = d, true
		}
	}
	switch {
	case !found || !runs:
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
