package bucketstore

import (
	"bytes"
	"context"
	"errors"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// Bounds of the frames that come out of a merge. The series that crosses a bound
// is still in.
const (
	maxOutputSeries = 256
	maxOutputBytes  = 256 << 10
)

// errEnough says that as many series were sent as are wanted.
var errEnough = errors.New("enough series sent")

// merge merges the streams of the blocks of one call into one. It runs on the
// goroutine that runs the call, and it alone calls the writer.
//
// Series are compared and sent on as views of the pages that they were loaded
// into, which frames hold on to.
type merge struct {
	call  *call
	w     store.SeriesWriter
	limit int

	tree   tree
	group  []member // equal series, which become one
	passed []*page  // that no cursor stands in any more and the group needs
	merger encoded.ChunkMerger

	out   *outFrame // nil if empty
	outID uint64
	sent  int
}

// member is a series of a page that is in the group.
type member struct {
	series *encoded.Series
	page   *page
}

// cursor stands at a series of a stream.
type cursor struct {
	stream *stream
	batch  *batch // whose pages are owned, up to the one that it stands in
	page   *page
	pos    int
	labels []byte
	ended  bool
	place  int // in the tree
}

// run merges until all streams have ended or enough was sent, which is errEnough.
func (m *merge) run(ctx context.Context, streams []*stream) error {
	cursors := make([]*cursor, len(streams))
	for i, s := range streams {
		cursors[i] = &cursor{stream: s}
	}
	defer m.end(cursors)
	if len(streams) == 1 && m.limit == 0 {
		if alone, err := m.pass(ctx, cursors[0]); alone || err != nil {
			return err
		}
	}
	for _, c := range cursors {
		if err := m.nextPage(ctx, c); err != nil {
			return err
		}
	}
	m.tree.build(cursors)
	for c := m.tree.winner; !c.ended; c = m.tree.winner {
		if len(m.group) > 0 && !bytes.Equal(m.group[0].series.Labels, c.labels) {
			if err := m.finishSeries(); err != nil {
				return err
			}
		}
		m.group = append(m.group, member{&c.page.Series[c.pos], c.page})
		if err := m.advance(ctx, c); err != nil {
			return err
		}
		m.tree.fix(m.group[0].series.Labels)
	}
	if len(m.group) > 0 {
		if err := m.finishSeries(); err != nil {
			return err
		}
	}
	return m.flush()
}

// pass sends the pages of the only stream as they are, up to one that has chunks
// out of order, and none if series of it may have become equal.
func (m *merge) pass(ctx context.Context, c *cursor) (passed bool, err error) {
	for {
		if c.batch, err = m.nextBatch(ctx, c.stream); err != nil || c.batch == nil {
			return true, err
		}
		if c.stream.algebra.order.merges() {
			return false, nil
		}
		for len(c.batch.pages) > 0 {
			pg := c.batch.pages[0]
			if pg.disordered {
				return false, nil
			}
			c.batch.pages = c.batch.pages[1:]
			if err = m.sendPage(pg); err != nil {
				return true, err
			}
		}
	}
}

// sendPage sends a page and gives it up.
func (m *merge) sendPage(pg *page) error {
	defer pg.Release()
	if len(pg.Series) == 0 {
		return nil
	}
	m.call.count(pg.Frame)
	return wire.Send(m.w, pg.Frame)
}

// advance moves a cursor to its next series.
func (m *merge) advance(ctx context.Context, c *cursor) error {
	if c.pos++; c.pos < len(c.page.Series) {
		c.labels = c.page.Series[c.pos].Labels
		return nil
	}
	m.passed = append(m.passed, c.page)
	c.page = nil
	return m.nextPage(ctx, c)
}

// nextPage moves a cursor to the first series of its next page.
func (m *merge) nextPage(ctx context.Context, c *cursor) error {
	for {
		for c.batch != nil && len(c.batch.pages) > 0 {
			pg := c.batch.pages[0]
			if c.batch.pages = c.batch.pages[1:]; len(pg.Series) > 0 {
				c.page, c.pos, c.labels = pg, 0, pg.Series[0].Labels
				return nil
			}
			pg.Release()
		}
		b, err := m.nextBatch(ctx, c.stream)
		if err != nil {
			return err
		}
		if c.batch = b; b == nil {
			c.ended, c.labels = true, nil
			return nil
		}
	}
}

// nextBatch returns the next batch of a stream when it is loaded, or nil when the
// stream has ended, well or with what became a warning. What is merged already
// does not wait for it.
func (m *merge) nextBatch(ctx context.Context, s *stream) (*batch, error) {
	b, ok, err := m.receive(ctx, s)
	if err != nil {
		return nil, err
	}
	if !ok {
		if s.err != nil {
			return nil, m.call.failed(m.w, s.err)
		}
		return nil, m.tell(s)
	}
	if err := b.err; err != nil {
		b.release()
		s.stop()
		return nil, m.call.failed(m.w, err)
	}
	if err := m.tell(s); err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

// receive waits for the next batch to be loaded.
func (m *merge) receive(ctx context.Context, s *stream) (b *batch, ok bool, err error) {
	if s.stopped {
		return nil, false, nil
	}
	select {
	case b, ok = <-s.batches:
	default:
		if err := m.flush(); err != nil {
			return nil, false, err
		}
		select {
		case b, ok = <-s.batches:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
	if !ok {
		return nil, false, nil
	}
	select {
	case <-b.loaded:
	default:
		if err = m.flush(); err == nil {
			<-b.loaded // which the end of the context hastens
		}
	}
	if err != nil {
		<-b.loaded
		b.release()
		return nil, false, err
	}
	return b, true, nil
}

// tell warns of what a stream leaves out, once.
func (m *merge) tell(s *stream) error {
	damage := s.damage.Load()
	if damage == nil || s.told {
		return nil
	}
	s.told = true
	err := *damage
	if _, ok := errors.AsType[*BlockError](err); !ok {
		err = s.fail("read chunks", err)
	}
	return m.call.failed(m.w, err)
}

// finishSeries makes the group one series of the output.
func (m *merge) finishSeries() error {
	if m.out == nil {
		m.out = m.call.store.frames.get()
		m.outID++
		m.out.id = m.outID
	}
	out := encoded.Series{Labels: m.group[0].series.Labels, Chunks: m.group[0].series.Chunks}
	if len(m.group) > 1 || encoded.Ascending(out.Chunks) < len(out.Chunks) {
		for _, p := range m.group {
			m.merger.Add(p.series.Chunks)
		}
		out.Chunks, m.out.chunks = m.merger.Merge(m.out.chunks)
	}
	for _, p := range m.group {
		m.out.keep(p.page)
	}
	m.out.Series = append(m.out.Series, out)
	m.out.payload += out.Size()
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

// dropGroup lets go of the group and of the pages that were passed.
func (m *merge) dropGroup() {
	clear(m.group)
	m.group = m.group[:0]
	for i, pg := range m.passed {
		pg.Release()
		m.passed[i] = nil
	}
	m.passed = m.passed[:0]
}

// flush sends the output.
func (m *merge) flush() error {
	out := m.out
	if out == nil {
		return nil
	}
	m.out = nil
	defer out.Release()
	m.call.count(out.Frame)
	return wire.Send(m.w, out.Frame)
}

// end lets go of everything.
func (m *merge) end(cursors []*cursor) {
	m.dropGroup()
	if m.out != nil {
		m.out.Release()
		m.out = nil
	}
	for _, c := range cursors {
		if c.page != nil {
			c.page.Release()
		}
		if c.batch != nil {
			c.batch.release()
		}
	}
}
