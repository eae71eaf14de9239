package fanout

import (
	"sync"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

// Bounds of the frames that are made here: of plain series on their way into
// the merge, and of what comes out of it. The series that crosses a bound is
// still in.
const (
	maxInputSeries  = 64
	maxInputBytes   = 64 << 10
	maxOutputSeries = 128
	maxOutputBytes  = 128 << 10
)

// Memory above these is not kept for the next frame.
const (
	maxKeptLabels = 4 * maxInputBytes
	maxKeptChunks = 8 << 10
)

// ownFrame is a frame with memory of its own for labels and lists of chunks. The
// rest are views: of plain series, or of input frames, on which it holds
// references.
type ownFrame struct {
	*encoded.Frame
	inputs  []*encoded.Frame
	labels  []byte
	chunks  []encoded.Chunk
	payload int // bytes of labels and chunks, of the series
}

// framePool recycles ownFrames. The zero value is ready for use, and safe for
// concurrent use.
type framePool struct{ pool sync.Pool }

// get returns an empty frame with one reference.
func (p *framePool) get() *ownFrame {
	if o, ok := p.pool.Get().(*ownFrame); ok {
		o.Reset()
		return o
	}
	o := &ownFrame{}
	o.Frame = encoded.NewFrame(func(*encoded.Frame) { p.free(o) })
	return o
}

func (p *framePool) free(o *ownFrame) {
	for _, f := range o.inputs {
		f.Release()
	}
	clear(o.inputs)
	clear(o.Series)
	clear(o.chunks)
	o.inputs, o.labels, o.chunks, o.payload = o.inputs[:0], o.labels[:0], o.chunks[:0], 0
	if cap(o.labels) > maxKeptLabels {
		o.labels = nil
	}
	if cap(o.chunks) > maxKeptChunks {
		o.chunks = nil
	}
	p.pool.Put(o)
}

// addPlain adds a plain series, which belongs to the frame from then on.
func (o *ownFrame) addPlain(s *store.Series) {
	v, lset := wire.View(o.labels, s)
	o.labels = lset
	o.Series = append(o.Series, v)
	n := v.Size()
	o.payload += n
	o.Size += n
}

// retain makes the frame hold a reference on f, of which it has views.
func (o *ownFrame) retain(f *encoded.Frame, size int) {
	f.Retain()
	o.inputs = append(o.inputs, f)
	o.Size += size
}

// copySeries returns a frame with a copy of one series that shares nothing with
// it.
func copySeries(s *encoded.Series) *encoded.Frame {
	size := s.Size()
	buf := make([]byte, 0, size)
	own := func(b []byte) []byte {
		from := len(buf)
		buf = append(buf, b...)
		return buf[from:len(buf):len(buf)]
	}
	out := encoded.Series{Labels: own(s.Labels), Chunks: make([]encoded.Chunk, len(s.Chunks))}
	for i := range s.Chunks {
		c := s.Chunks[i]
		c.Wire = nil // says the same as the rest
		c.Raw.Bytes = own(c.Raw.Bytes)
		if c.Aggregates != nil {
			a := *c.Aggregates
			for _, d := range []*encoded.Data{&a.Count, &a.Sum, &a.Min, &a.Max, &a.Counter} {
				d.Bytes = own(d.Bytes)
			}
			c.Aggregates = &a
		}
		out.Chunks[i] = c
	}
	f := encoded.NewFrame(nil)
	f.Series, f.Size = []encoded.Series{out}, size
	return f
}
