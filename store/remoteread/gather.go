package remoteread

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// emitFunc takes a whole series: its labels in canonical form, and the raw
// chunks that overlap the range, which it may reorder. All is borrowed.
type emitFunc func(lset []byte, chunks []encoded.Chunk) error

// errDownsampled is a chunk that was not asked for.
var errDownsampled = errors.New("store sent downsampled data for a request for raw data")

// gatherer is a writer that puts the parts of series together. It holds back one
// series, and the frame that the last part of it came in.
type gatherer struct {
	req  *store.SeriesRequest
	emit emitFunc
	warn func(error) error

	labels []byte
	chunks []encoded.Chunk
	begun  bool
	frames []*encoded.Frame // that chunks point into
	view   []byte           // labels of plain series
	err    error            // after which nothing is taken any more
}

var (
	_ store.SeriesWriter = (*gatherer)(nil)
	_ encoded.Writer     = (*gatherer)(nil)
)

func (g *gatherer) Warn(err error) error {
	if g.err == nil {
		g.err = g.warn(err)
	}
	return g.err
}

// Send takes a plain series, which is ours with its chunks.
func (g *gatherer) Send(s *store.Series) error {
	if g.err == nil {
		var v encoded.Series
		v, g.view = wire.View(g.view[:0], s)
		g.err = g.add(&v)
	}
	return g.err
}

// SendFrame takes a frame. It is held if the series that it ends with may
// continue.
func (g *gatherer) SendFrame(f *encoded.Frame) error {
	for i := range f.Series {
		if g.err == nil {
			g.err = g.add(&f.Series[i])
		}
	}
	if g.err != nil {
		return g.err
	}
	if len(g.chunks) > 0 {
		f.Retain()
		g.frames = append(g.frames, f)
	}
	return nil
}

// add adds a part of a series, after emitting the one before if it is another.
func (g *gatherer) add(s *encoded.Series) error {
	if !g.begun || string(g.labels) != string(s.Labels) {
		if g.begun && encoded.CompareLabels(g.labels, s.Labels) > 0 {
			return fmt.Errorf("%w: %s after %s", store.ErrUnsorted, decoded(s.Labels), decoded(g.labels))
		}
		if err := g.flush(); err != nil {
			return err
		}
		g.labels, g.begun = append(g.labels[:0], s.Labels...), true
	}
	for i := range s.Chunks {
		c := &s.Chunks[i]
		switch {
		case c.Aggregates != nil:
			return fmt.Errorf("series %s: %w", decoded(s.Labels), errDownsampled)
		case c.MaxTime >= g.req.MinTime && c.MinTime <= g.req.MaxTime:
			g.chunks = append(g.chunks, *c)
		}
	}
	return nil
}

// flush emits the series that is held back.
func (g *gatherer) flush() error {
	if !g.begun || (len(g.chunks) == 0 && !g.req.SkipChunks) {
		return nil
	}
	err := g.emit(g.labels, g.chunks)
	g.release()
	if err != nil {
		return fmt.Errorf("series %s: %w", decoded(g.labels), err)
	}
	return nil
}

// release lets go of what is held.
func (g *gatherer) release() {
	for _, f := range g.frames {
		f.Release()
	}
	clear(g.frames)
	clear(g.chunks)
	g.frames, g.chunks = g.frames[:0], g.chunks[:0]
}

func decoded(lset []byte) labels.Labels {
	sb := labels.NewScratchBuilder(0)
	return encoded.Labels(lset, &sb)
}
