package promstore

import (
	"sync"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

const (
	// arenaSize is the memory of one run of frames, unless a frame is larger.
	arenaSize = 64 << 10
	// maxPooled is the memory above which an arena is left to the collector.
	maxPooled = 128 << 10
	// chunkSize and seriesSize are the memory of the view of a chunk and of a
	// series, about.
	chunkSize  = 80
	seriesSize = 48
)

// arena is the memory of a run of series: an encoded.Frame whose views point
// into buf. It returns to its pool with the last reference on the frame.
type arena struct {
	frame  *encoded.Frame
	buf    []byte // all of it is usable
	chunks []encoded.Chunk
}

// arenaPool recycles arenas. It is safe for concurrent use.
type arenaPool struct{ pool sync.Pool }

func newArenaPool() *arenaPool {
	p := &arenaPool{}
	p.pool.New = func() any {
		a := &arena{}
		a.frame = encoded.NewFrame(func(*encoded.Frame) { p.put(a) })
		return a
	}
	return p
}

// get returns an arena of at least n bytes, with one reference on its frame.
func (p *arenaPool) get(n int) *arena {
	a := p.pool.Get().(*arena)
	a.frame.Reset()
	if len(a.buf) < n {
		a.buf = make([]byte, n)
	}
	return a
}

func (p *arenaPool) put(a *arena) {
	clear(a.chunks)
	clear(a.frame.Series)
	a.chunks, a.frame.Series = a.chunks[:0], a.frame.Series[:0]
	if a.size() > maxPooled {
		a.buf, a.chunks, a.frame.Series = nil, nil, nil
	}
	p.pool.Put(a)
}

// size is about the memory of the arena.
func (a *arena) size() int {
	return len(a.buf) + chunkSize*cap(a.chunks) + seriesSize*cap(a.frame.Series)
}
