package bucketstore

import (
	"context"
	"sync"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// indexSource is what reading the indexes of all blocks shares.
//
// Concurrency: safe.
type indexSource struct {
	ranger  *ranger
	cache   *sealedCache // May be nil.
	matches *matchCache  // May be nil.
	lazy    lazyOptions
	scratch sync.Pool // Of *seriesScratch.
}

// indexBlock is the index of one block in the bucket.
//
// Concurrency: safe; nothing in it is changed.
type indexBlock struct {
	id     ulid.ULID
	header *indexheader.Lazy
	// largestSeries is the size of the largest series entry in bytes, 0 if it is
	// not known.
	largestSeries int64
}

func newIndexBlock(meta *block.Meta, header *indexheader.Lazy) *indexBlock {
	return &indexBlock{id: meta.ULID, header: header, largestSeries: meta.Thanos.IndexStats.SeriesMaxSize}
}

// indexReader reads the index of one block for one call.
//
// Concurrency: not safe.
type indexReader struct {
	*indexSource
	block  *indexBlock
	header *indexheader.Header
	st     *callStats
	*seriesScratch
}

// newIndexReader opens the index header of a block until close.
//
// Errors: those of indexheader.Build, and of the context.
func newIndexReader(ctx context.Context, s *indexSource, b *indexBlock, st *callStats) (*indexReader, error) {
	h, err := b.header.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	scratch, ok := s.scratch.Get().(*seriesScratch)
	if !ok {
		scratch = new(seriesScratch)
	}
	return &indexReader{indexSource: s, block: b, header: h, st: st, seriesScratch: scratch}, nil
}

// close ends the use of the reader and of all symbols that are from it.
func (x *indexReader) close() {
	x.block.header.Release()
	x.header = nil
	if scratch := x.seriesScratch; cap(scratch.arena) <= maxKeptArena {
		clear(scratch.found[:cap(scratch.found)]) // Cached values are not kept by it.
		x.scratch.Put(scratch)
	}
	x.seriesScratch = nil
}

// symbol returns the string that a series refers to. It is valid until close, and
// must not be written to.
func (x *indexReader) symbol(ref uint32) ([]byte, error) {
	s, err := x.header.Symbol(ref)
	if err != nil {
		return nil, x.corrupt(err)
	}
	return s, nil
}

// corrupt returns the error of an index that does not hold what it must.
func (x *indexReader) corrupt(err error) error {
	o := indexObject(x.block.id, kindSeries)
	return o.corrupt(err)
}

// labelNames returns the names of all labels, ascending.
func (x *indexReader) labelNames() []string {
	out := make([]string, x.header.Names())
	for i := range out {
		out[i] = string(x.header.Name(i))
	}
	return out
}

// labelValues returns the values of a label that are not among known ones. Both
// ascend.
func (x *indexReader) labelValues(name string, known []string) []string {
	v, _ := x.header.Values(name)
	return copyValues(v, known)
}
