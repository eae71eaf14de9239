package bucketstore

import (
	"slices"
	"sync"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/encoded"
)

// batch is series of one block whose chunks are loaded together. Whoever holds it
// owns a reference on each page.
type batch struct {
	pages []*page
	// loaded is closed when the pages are filled; err is set then.
	loaded chan struct{}
	err    error
}

// release gives up the pages.
func (b *batch) release() {
	for _, pg := range b.pages {
		pg.Release()
	}
	b.pages = nil
}

// cut makes a batch of the first entries: as many as have bytes in about, at
// least one. It returns it and how many entries that were, and appends what is to
// be loaded to slots. What the batch has is its own.
func (e *entries) cut(pool *pagePool, slots *[]slot, bytes int, downsampled bool) (b *batch, n int) {
	b = &batch{loaded: make(chan struct{})}
	ready := e.all[e.dropped:e.group]
	for total := 0; n < len(ready) && (n == 0 || total < bytes); {
		from, size, chunks := n, 0, 0
		for n < len(ready) && n-from < pageSeries && size < pageBytes {
			x := &ready[n]
			size += x.labels.to - x.labels.from
			if !e.skipChunks {
				for i := range e.chunks[x.chunks.from:x.chunks.to] {
					size += int(e.chunks[x.chunks.from+i].size)
				}
				chunks += x.chunks.to - x.chunks.from
			}
			n++
		}
		pg := pool.get(size)
		b.pages = append(b.pages, pg)
		*slots = e.layOut(pg, ready[from:n], chunks, slices.Grow(*slots, chunks), downsampled)
		total += size
	}
	return b, n
}

// layOut puts labels in a page and makes a place for each chunk.
func (e *entries) layOut(pg *page, series []entry, chunks int, slots []slot, downsampled bool) []slot {
	pg.chunks = grow(pg.chunks, chunks)
	if downsampled {
		pg.aggrs = grow(pg.aggrs, chunks)
	}
	next := 0
	for _, x := range series {
		at := len(pg.mem)
		pg.mem = append(pg.mem, e.labels[x.labels.from:x.labels.to]...)
		pg.Series = append(pg.Series, encoded.Series{Labels: pg.mem[at:len(pg.mem):len(pg.mem)]})
		r := chunkRun{next, next}
		if !e.skipChunks {
			for i := x.chunks.from; i < x.chunks.to; i++ {
				c := &e.chunks[i]
				pg.chunks[next].MinTime, pg.chunks[next].MaxTime = c.mint, c.maxt
				slots = append(slots, slot{ref: c.ref, size: c.size, page: pg, chunk: next, at: len(pg.mem)})
				pg.mem = pg.mem[:len(pg.mem)+int(c.size)]
				next++
			}
		}
		r.to = next
		pg.runs = append(pg.runs, r)
	}
	return slots
}

// grow returns s with n elements, all of them zero. s is empty and its memory
// clear.
func grow[E any](s []E, n int) []E {
	if cap(s) < n {
		return make([]E, n, n+n/8)
	}
	return s[:n]
}

// isDownsampled reports whether a block has aggregates.
func isDownsampled(m *block.Meta) bool { return m.Resolution() > block.Raw }

// slotsPool recycles lists of slots. The zero value is ready for use, and safe
// for concurrent use.
type slotsPool struct{ pool sync.Pool }

func (p *slotsPool) get() *[]slot {
	if s, ok := p.pool.Get().(*[]slot); ok {
		return s
	}
	return new([]slot)
}

func (p *slotsPool) put(s *[]slot) {
	clear(*s) // of pages
	*s = (*s)[:0]
	p.pool.Put(s)
}
