package fanout

import (
	"bytes"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// cursor is where in an input the merge is.
type cursor struct {
	in    input
	index int   // among the cursors of the merge
	bell  *bell // of the merge

	cur *held // the frame that it stands in; nil before the first
	pos int   // of the series in it
	// key is the labels of that series. If the next is not known, it is those of the
	// last one, or a bound of those to come.
	key     []byte
	last    []byte // memory of key where its frame is gone
	bounded bool   // key is a bound

	now  standing
	seen standing // by the tree, which sees a change of its first cursor only
	news bool     // now has changed since

	since  time.Duration // when the merge began to wait for it, by its clock
	waited time.Duration // in all, before that
}

// standing is what the order of cursors depends on.
type standing struct {
	// from is how the cursor's key departs from the key before it in the merge.
	from encoded.Departure
	// same, if not 0, is of all cursors that have it the same key.
	same uint64
	// waits says that the next series is not known. It cannot be less than the
	// last one, and that is where the cursor stands.
	waits bool
	ended bool
}

// waiting is the standing of a cursor whose next series is not known.
func waiting() standing { return standing{from: same(), waits: true} }

// same is how a key departs from itself.
func same() encoded.Departure { return encoded.Departure{Code: encoded.Equal} }

// earlier returns how the last of three ascending keys departs from the first: as
// the second does, or as it departs from the second.
func earlier(a, b encoded.Departure) encoded.Departure {
	if a.Code < b.Code {
		return a
	}
	return b
}

// moved makes the tree see where the first cursor is.
func (m *merge) moved(c *cursor) {
	c.seen, c.news = c.now, false
	m.tree.fix()
}

// advance moves a cursor past its series.
func (m *merge) advance(c *cursor) error {
	c.pos++
	if c.pos == len(c.cur.frame.Series) {
		return m.next(c)
	}
	next := &c.cur.frame.Series[c.pos]
	if !c.cur.frame.Departs {
		return m.moveTo(c, next.Labels)
	}
	c.key = next.Labels
	c.stand(standing{from: next.From})
	if m.twins(c, next.Labels) {
		c.now.same = m.twin.now.same
	}
	return nil
}

// twins reports whether next, to which c moves from a key of the group, is where
// the first of the group moved already. With replicas it mostly is.
func (m *merge) twins(c *cursor, next []byte) bool {
	t := m.twin
	return t != nil && t != c && t.now.same != 0 && bytes.Equal(t.key, next)
}

// moveTo makes next the cursor's key. The order of a member's series is checked
// here, by the comparison that the merge needs anyway, unless the member has made
// it already.
func (m *merge) moveTo(c *cursor, next []byte) error {
	if !c.bounded && m.twins(c, next) {
		c.key = next
		c.stand(m.twin.now)
		return nil
	}
	order, from := encoded.Depart(c.key, next, 0)
	if order > 0 {
		return m.expel(c, store.Failed, unsorted(c.key, next))
	}
	c.stand(standing{from: c.sinceSeen(from)})
	c.key, c.bounded = next, false
	return nil
}

// moveToBound makes a bound the key of a cursor that waits. It reports whether the
// bound is news.
func (c *cursor) moveToBound(bound []byte) bool {
	order, from := encoded.Depart(c.key, bound, 0)
	if order >= 0 {
		return false
	}
	c.stand(standing{from: c.sinceSeen(from), waits: true})
	c.last = append(c.last[:0], bound...)
	c.key, c.bounded = c.last, true
	return true
}

// sinceSeen returns how the next key departs from the one that the tree knows, if
// it departs so from the present one.
func (c *cursor) sinceSeen(from encoded.Departure) encoded.Departure {
	if c.bounded && c.news {
		return earlier(c.now.from, from)
	}
	return from
}

// stand changes where the cursor is.
func (c *cursor) stand(s standing) { c.now, c.news = s, true }

func unsorted(key, next []byte) error {
	sb := labels.NewScratchBuilder(0)
	return fmt.Errorf("%w: %s after %s", store.ErrUnsorted, encoded.Labels(next, &sb), encoded.Labels(key, &sb))
}

// next moves a cursor into the next frame of its input, if there is one
// already, or to its end. If not, it waits.
func (m *merge) next(c *cursor) error {
	if m.call.ctx.Err() != nil {
		return m.call.err()
	}
	t := c.in.take()
	if err := c.in.pass(t.warnings, m.to); err != nil {
		return err
	}
	switch {
	case t.frame != nil:
		return m.enter(c, t.frame)
	case t.ended:
		return m.end(c)
	}
	begins := !c.now.waits
	if begins {
		c.last = append(c.last[:0], c.key...)
		c.key = c.last
		c.stand(waiting())
	}
	bounded := t.bound != nil && c.moveToBound(t.bound)
	if m.bounds = m.bounds || bounded; begins && !bounded {
		m.need = append(m.need, c)
	}
	return nil
}

// enter moves a cursor to the first series of a frame.
func (m *merge) enter(c *cursor, h *held) error {
	prev := c.cur
	c.cur, c.pos = h, 0
	err := m.moveTo(c, h.frame.Series[0].Labels)
	if prev != nil {
		m.passed = append(m.passed, prev)
	}
	return err
}

// end is called when an input has ended, for whatever reason.
func (m *merge) end(c *cursor) error {
	c.stand(standing{ended: true})
	if c.cur != nil {
		m.passed = append(m.passed, c.cur)
		c.cur = nil
	}
	return c.in.over(m.to)
}

// expel ends an input at the fault of its member.
func (m *merge) expel(c *cursor, status store.MemberStatus, cause error) error {
	c.in.expel(status, cause)
	return m.end(c)
}
