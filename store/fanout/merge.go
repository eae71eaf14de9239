package fanout

import (
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// merge merges the streams of one call into one. It runs in the goroutine that
// runs the call.
//
// Series are compared, grouped and sent on as the views that they are. A frame
// is held for as long as a view of it may be needed, in three places: by the
// cursor that stands in it, by the group of equal series that is being gathered,
// and by the output frame that is being filled.
type merge struct {
	call  *call
	w     store.SeriesWriter
	limit int

	cursors []*cursor
	tree    tree
	need    []*cursor // that must have a frame, or end, before anything follows

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
	ready  []*stream // scratch space
}

// part is a series of a frame that is held. The frame is an own copy of the
// series if from is nil.
type part struct {
	series *encoded.Series
	from   *held
	frame  *encoded.Frame
}

func newMerge(c *call, w store.SeriesWriter, streams []*stream) *merge {
	m := &merge{call: c, w: w, limit: c.req.Limit, groupID: 1, outID: 1}
	m.cursors = make([]*cursor, len(streams))
	for i, s := range streams {
		m.cursors[i] = &cursor{stream: s, index: i}
		m.cursors[i].now = waiting()
		m.cursors[i].seen = m.cursors[i].now
		s.cursor = m.cursors[i]
	}
	m.need = append(m.need, m.cursors...)
	m.tree.build(m.cursors)
	return m
}

// run merges until all streams have ended or enough was sent, which is
// errEnough.
func (m *merge) run() error {
	for len(m.cursors) > 0 {
		c := m.tree.first()
		if c.seen.waits {
			if c.now.waits {
				if err := m.fill(); err != nil {
					return err
				}
			}
			m.moved(c)
			continue
		}
		if len(m.group) > 0 && (c.seen.ended || c.seen.from.Code != encoded.Equal) {
			if err := m.finishSeries(); err != nil {
				return err
			}
		}
		if c.seen.ended {
			break
		}
		if len(m.group) == 0 {
			m.groupFrom = c.seen.from
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

// flush sends the output and lets go of the frames that were passed, but for
// those that the group needs.
func (m *merge) flush() error {
	if m.out == nil {
		return nil
	}
	err := m.send()
	kept := m.passed[:0]
	for _, h := range m.passed {
		if h.group == m.groupID {
			kept = append(kept, h)
			continue
		}
		m.let(h)
	}
	clear(m.passed[len(kept):])
	m.passed = kept
	return err
}

func (m *merge) send() error {
	out := m.out
	defer out.Release()
	m.out = nil
	m.outID++
	return wire.Send(m.w, out.Frame)
}

// let lets go of a frame, and only then of what it borrowed.
func (m *merge) let(h *held) {
	h.frame.Release()
	h.settle()
}

// release lets go of everything.
func (m *merge) release() {
	m.dropGroup()
	if m.out != nil {
		m.out.Release()
	}
	for _, h := range m.passed {
		m.let(h)
	}
	for _, c := range m.cursors {
		if c.cur != nil {
			m.let(c.cur)
		}
	}
}
