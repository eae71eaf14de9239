package bucketstore

import (
	"sync"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// outFrame is a frame whose series are views of pages, on which it holds
// references. Where blocks have chunks of the same series, the list of them is
// its own.
type outFrame struct {
	*encoded.Frame
	id      uint64 // among those of its merge, from 1
	pages   []*page
	chunks  []encoded.Chunk
	payload int // bytes of labels and chunks
}

// framePool recycles outFrames. The zero value is ready for use, and safe for
// concurrent use.
type framePool struct{ pool sync.Pool }

// get returns an empty frame with one reference.
func (p *framePool) get() *outFrame {
	if o, ok := p.pool.Get().(*outFrame); ok {
		o.Reset()
		return o
	}
	o := &outFrame{}
	o.Frame = encoded.NewFrame(func(*encoded.Frame) { p.free(o) })
	return o
}

func (p *framePool) free(o *outFrame) {
	for _, pg := range o.pages {
		pg.Release()
	}
	clear(o.pages)
	clear(o.Series)
	clear(o.chunks)
	o.pages, o.chunks, o.payload = o.pages[:0], o.chunks[:0], 0
	if cap(o.chunks) > maxKeptChunks {
		o.chunks = nil
	}
	p.pool.Put(o)
}

// keep holds on to a page. All of its memory counts, because all of it is kept.
func (o *outFrame) keep(pg *page) {
	if pg.keeper == o.id {
		return
	}
	pg.keeper = o.id
	pg.Retain()
	o.pages = append(o.pages, pg)
	o.Size += pg.Size
}
