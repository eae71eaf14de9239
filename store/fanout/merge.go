package fanout

import (
	"bytes"
	"slices"
	"time"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// merge merges inputs into one. It runs in the goroutine that runs the call, or
// in that of a branch.
//
// Series are compared, grouped and sent on as the views that they are. A frame
// is held for as long as a view of it may be needed, in three places: by the
// cursor that stands in it, by the group of equal series that is being gathered,
// and by the output frame that is being filled.
type merge struct {
	call  *call
	to    sink
	limit int
	bell  bell // of the inputs

	cursors []*cursor
	tree    tree
	need    []*cursor // of whom more must be known before anything follows
	bounds  bool      // some input has said one

	bound     encoded.Departure // of the last bound of an input from the series before
	group     []part            // equal series, which become one
	groupFrom encoded.Departure // of them from the series before
	groupID   uint64
	twin      *cursor // the first of the group that moved on
	moves     uint64  // of twins

	out   *ownFrame // nil if empty
	outID uint64
	sent  int

	passed []*held // that no cursor stands in any more, since the last flush
	merger encoded.ChunkMerger
	ready  []*cursor // scratch space
}

// sink is where a merge sends to.
type sink interface {
	// send takes over a frame and, to be dropped when the frame is done with, those
	// that no cursor of the merge stands in any more. The slice is the merge's.
	send(out *ownFrame, passed []*held) error
	// bound says that the merge is about to wait, and that no series which is less
	// will be sent. The key is the merge's.
	bound(key []byte)
	// drain waits until all frames that were sent have been dropped.
	drain() error
	// clock is the time in which the call waits for the merge, so far. It stands
	// still while what runs is false, and a merge that listens is nudged when it
	// goes on.
	clock() (now time.Duration, runs bool)
	// lost warns of the failure of a member, which ends what it sent.
	lost(err error) error
	warner
}

// warner is the part of a store.SeriesWriter that takes warnings.
type warner interface{ Warn(err error) error }

// reader is the sink of the merge that runs in the call's own goroutine.
type reader struct {
	store.SeriesWriter
	began time.Time
}

func (r reader) send(out *ownFrame, passed []*held) error {
	err := r.sendOut(out)
	for _, h := range passed { // which lets members send more
		h.drop()
	}
	return err
}

func (r reader) sendOut(out *ownFrame) error {
	defer out.Release() // also if the reader panics
	return wire.Send(r.SeriesWriter, out.Frame)
}

func (reader) bound([]byte) {}

func (reader) drain() error { return nil }

func (r reader) lost(err error) error { return r.Warn(err) }

func (r reader) clock() (time.Duration, bool) { return time.Since(r.began), true }

// part is a series of a frame that is held. The frame is an own copy of the
// series if from is nil.
type part struct {
	series *encoded.Series
	from   *held
	frame  *encoded.Frame
}

func newMerge(c *call, to sink, inputs []input) *merge {
	m := &merge{call: c, to: to, limit: c.req.Limit, bound: same(), groupID: 1, outID: 1}
	m.bell.init()
	m.cursors = make([]*cursor, len(inputs))
	for i, in := range inputs {
		m.cursors[i] = &cursor{in: in, index: i, bell: &m.bell}
		m.cursors[i].now = waiting()
		m.cursors[i].seen = m.cursors[i].now
		in.attach(m.cursors[i])
	}
	m.need = append(m.need, m.cursors...)
	m.tree.build(m.cursors)
	return m
}

// run merges until all inputs have ended or enough was sent, which is
// errEnough.
func (m *merge) run() error {
	for len(m.cursors) > 0 {
		c := m.tree.first()
		if len(m.group) > 0 && (c.seen.ended || c.seen.from.Code != encoded.Equal) {
			if err := m.finishSeries(); err != nil {
				return err
			}
		}
		if c.seen.ended {
			break
		}
		if c.seen.waits {
			if err := m.await(c); err != nil {
				return err
			}
			continue
		}
		if len(m.group) == 0 {
			m.groupFrom, m.bound = earlier(m.bound, c.seen.from), same()
		}
		c.cur.group = m.groupID
		m.group = append(m.group, part{&c.cur.frame.Series[c.pos], c.cur, c.cur.frame})
		if err := m.advance(c); err != nil {
			return err
		}
		m.lead(c)
		m.moved(c)
	}
	return m.flush()
}

// await waits until more is known of the first cursor's input.
func (m *merge) await(c *cursor) error {
	if !c.news {
		if m.bounds {
			m.needBounded(c.key)
		}
		if err := m.fill(); err != nil {
			return err
		}
	}
	m.bound = earlier(m.bound, c.seen.from)
	m.moved(c)
	return nil
}

// needBounded needs all cursors that have come to a bound, which is the key.
func (m *merge) needBounded(key []byte) {
	for _, c := range m.cursors {
		if c.bounded && c.now.waits && bytes.Equal(c.key, key) && !slices.Contains(m.need, c) {
			m.need = append(m.need, c)
		}
	}
}

// lead makes a cursor of the group that has moved on the one that others are
// compared with, if it is the first.
func (m *merge) lead(c *cursor) {
	if m.twin != nil && m.twin != c {
		return
	}
	m.twin = c
	if m.moves++; !c.now.waits && !c.now.ended {
		c.now.same = m.moves
	}
}

// finishSeries makes the group one series of the output.
func (m *merge) finishSeries() error {
	if m.out == nil {
		m.out = m.call.fanout.frames.get()
		m.out.Departs = true
	}
	s := encoded.Series{Labels: m.group[0].series.Labels, Chunks: m.group[0].series.Chunks, From: m.groupFrom}
	parts := m.group[:1]
	if !m.sameChunks() {
		parts = m.group
		for i := range parts {
			m.merger.Add(parts[i].series.Chunks)
		}
		s.Chunks, m.out.chunks = m.merger.Merge(m.out.chunks)
	}
	for i := range parts {
		m.keep(&parts[i])
	}
	m.out.Series = append(m.out.Series, s)
	m.out.payload += s.Size()
	m.dropGroup()

	m.sent++
	enough := m.limit > 0 && m.sent >= m.limit
	if enough || len(m.out.Series) >= maxOutputSeries || m.out.payload >= maxOutputBytes {
		if err := m.flush(); err != nil {
			return err
		}
	}
	if enough {
		return errEnough
	}
	return nil
}

// sameChunks reports whether all parts have the chunks of the first, in order.
func (m *merge) sameChunks() bool {
	first := m.group[0].series.Chunks
	if encoded.Ascending(first) < len(first) {
		return false
	}
	for _, p := range m.group[1:] {
		if !sameChunks(first, p.series.Chunks) {
			return false
		}
	}
	return true
}

// keep makes the output hold the frame that a part is in.
func (m *merge) keep(p *part) {
	switch {
	case p.from == nil:
		m.out.retain(p.frame, p.frame.Size)
	case p.from.output != m.outID:
		p.from.output = m.outID
		m.out.retain(p.frame, int(p.from.size))
	}
}

func (m *merge) dropGroup() {
	for i := range m.group {
		if m.group[i].from == nil {
			m.group[i].frame.Release()
		}
	}
	clear(m.group)
	m.group = m.group[:0]
	m.groupID++
	m.twin = nil
}

// flush sends the output, and with it the frames that were passed but for those
// that the group needs.
func (m *merge) flush() error {
	out := m.out
	if out == nil {
		return nil
	}
	kept := 0
	for i, h := range m.passed {
		if h.group == m.groupID {
			m.passed[kept], m.passed[i] = h, m.passed[kept]
			kept++
		}
	}
	m.out = nil
	m.outID++
	err := m.to.send(out, m.passed[kept:])
	clear(m.passed[kept:])
	m.passed = m.passed[:kept]
	return err
}

// release lets go of everything.
func (m *merge) release() {
	m.dropGroup()
	if m.out != nil {
		m.out.Release()
	}
	for _, h := range m.passed {
		h.drop()
	}
	for _, c := range m.cursors {
		if c.cur != nil {
			c.cur.drop()
		}
	}
}
