package fanout

import (
	"bytes"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// cursor is where in a stream the merge is.
type cursor struct {
	stream *stream
	index  int // among the cursors of the merge

	cur *held // the frame that it stands in; nil before the first
	pos int   // of the series in it
	// key is the labels of that series, or of the last one if the next is not
	// known.
	key  []byte
	last []byte // memory of key where its frame is gone

	now  standing
	seen standing // by the tree, which sees a change of its first cursor only

	since  time.Time     // when the merge began to wait for it
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
func waiting() standing {
	return standing{from: encoded.Departure{Code: encoded.Equal}, waits: true}
}

// moved makes the tree see where the first cursor is.
func (m *merge) moved(c *cursor) {
	c.seen = c.now
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
	c.now = standing{from: next.From}
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
	if m.twins(c, next) {
		c.key, c.now = next, m.twin.now
		return nil
	}
	order, from := encoded.Depart(c.key, next, 0)
	if order > 0 {
		return m.expel(c, store.Failed, unsorted(c.key, next))
	}
	c.key = next
	c.now = standing{from: from}
	return nil
}

func unsorted(key, next []byte) error {
	sb := labels.NewScratchBuilder(0)
	return fmt.Errorf("%w: %s after %s", store.ErrUnsorted, encoded.Labels(next, &sb), encoded.Labels(key, &sb))
}

// next moves a cursor into the next frame of its stream, if there is one
// already, or to its end. If not, it waits.
func (m *merge) next(c *cursor) error {
	if m.call.ctx.Err() != nil {
		return m.call.err()
	}
	t := c.stream.take()
	if err := m.call.pass(c.stream, t.warnings, m.w); err != nil {
		return err
	}
	switch {
	case t.frame != nil:
		return m.enter(c, t.frame)
	case t.ended:
		return m.end(c)
	case !c.now.waits:
		c.last = append(c.last[:0], c.key...)
		c.key = c.last
		c.now = waiting()
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

// end is called when a stream has ended, for whatever reason.
func (m *merge) end(c *cursor) error {
	c.now = standing{ended: true}
	if c.cur != nil {
		m.passed = append(m.passed, c.cur)
		c.cur = nil
	}
	if c.stream.verdict().status == store.Canceled {
		return m.call.err()
	}
	return m.call.report(c.stream, m.w)
}

// expel ends a stream at the fault of its member.
func (m *merge) expel(c *cursor, status store.MemberStatus, cause error) error {
	c.stream.expel(status, cause)
	return m.end(c)
}
