package bucketstore

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// Bounds of a page. The series that crosses a bound is still in.
const (
	pageSeries = 256
	pageBytes  = 128 << 10
)

// Memory above these is not kept for the next page.
const (
	maxKeptBytes  = 4 * pageBytes
	maxKeptChunks = 16 << 10
)

// What the parts of a page take beside their bytes.
const (
	seriesOverhead = 64
	chunkOverhead  = 80
)

// page is a run of series of one block, with the memory of all that they point
// to: a frame that is filled in place. It goes back to its pool with the last
// reference.
type page struct {
	*encoded.Frame
	mem    []byte // labels, and behind them a place for each chunk
	chunks []encoded.Chunk
	aggrs  []encoded.Aggregates // by chunk; empty for raw blocks
	runs   []chunkRun           // by series
	// disordered says that a series has chunks that do not ascend. It is set when
	// the page is finished.
	disordered bool
	// keeper is the outFrame of the merge that was the last to hold on to the page.
	keeper uint64
}

// chunkRun is the chunks of one series in its page.
type chunkRun struct{ from, to int }

// pagePool recycles pages with their memory. The zero value is ready for use. It
// is safe for concurrent use.
type pagePool struct {
	pool   sync.Pool
	onFree func(*page) // for tests; nil for nothing
}

// get returns an empty page with room for so many bytes.
func (p *pagePool) get(size int) *page {
	pg, ok := p.pool.Get().(*page)
	if !ok {
		pg = &page{}
		pg.Frame = encoded.NewFrame(func(*encoded.Frame) { p.free(pg) })
	} else {
		pg.Reset()
		pg.keeper, pg.disordered = 0, false
	}
	pg.mem = slices.Grow(pg.mem[:0], size)
	return pg
}

func (p *pagePool) free(pg *page) {
	if p.onFree != nil {
		p.onFree(pg)
	}
	clear(pg.Series)
	clear(pg.chunks)
	clear(pg.aggrs)
	pg.Series, pg.chunks, pg.aggrs, pg.runs = pg.Series[:0], pg.chunks[:0], pg.aggrs[:0], pg.runs[:0]
	if cap(pg.mem) > maxKeptBytes {
		pg.mem = nil
	}
	if cap(pg.chunks) > maxKeptChunks {
		pg.chunks, pg.aggrs = nil, nil
	}
	p.pool.Put(pg)
}

// finish makes the series of what was filled in. Chunks without data are left
// out, and series without chunks unless they were meant to have none.
func (pg *page) finish(skipChunks bool) {
	kept := pg.Series[:0]
	for i := range pg.Series {
		s, run := pg.Series[i], pg.runs[i]
		to := run.from
		for j := run.from; j < run.to; j++ {
			if c := &pg.chunks[j]; c.Aggregates == nil && c.Raw.Encoding == chunkenc.EncNone {
				continue
			}
			pg.chunks[to] = pg.chunks[j] // its aggregates stay where they are
			to++
		}
		if s.Chunks = pg.chunks[run.from:to:to]; to > run.from || skipChunks {
			kept = append(kept, s)
			pg.disordered = pg.disordered || encoded.Ascending(s.Chunks) < len(s.Chunks)
		}
	}
	clear(pg.Series[len(kept):])
	pg.Series = kept
	pg.Size = cap(pg.mem) + seriesOverhead*cap(pg.Series) + chunkOverhead*cap(pg.chunks)
}
