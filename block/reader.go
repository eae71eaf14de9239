package block

import (
	"context"
	"errors"
	"iter"
	"path/filepath"

	"github.com/prometheus/prometheus/model/labels"
)

// Reader reads a block on disk: symbols, series and chunks, in order and
// unchanged.
//
// Tombstones, which Prometheus may have beside the index, are not looked at, as
// in Thanos.
//
// Files are mapped into memory. Nothing is read into the heap but the places of
// symbols once one is asked for by place, as labels are, and the symbols
// themselves once a label is asked for as a string.
//
// Errors: CorruptError with the file and, wrapped as an OffsetError, the place of
// what does not hold; UnsupportedError for versions and encodings that are not
// known. What is damaged in one place does not keep from reading others.
//
// Concurrency: safe, but for Close.
type Reader struct {
	meta   *Meta
	index  *indexFile
	chunks *segments
}

// Open opens the block in a directory, which has meta.json, index and chunks.
//
// It reads the table of contents and the symbols. Series, chunks and segments
// are looked at when they are read.
//
// Errors: of ReadMeta, of the file system, CorruptError, and UnsupportedError for
// an index of a version other than 1 and 2.
func Open(dir string) (*Reader, error) {
	meta, err := ReadMeta(dir)
	if err != nil {
		return nil, err
	}
	return open(dir, meta)
}

func open(dir string, meta *Meta) (*Reader, error) {
	x, err := openIndex(filepath.Join(dir, IndexFile), meta.ULID)
	if err != nil {
		return nil, err
	}
	s, err := openSegments(dir, meta)
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return &Reader{meta: meta, index: x, chunks: s}, nil
}

// Meta returns what meta.json says. It must not be changed.
func (r *Reader) Meta() *Meta { return r.meta }

// IndexVersion returns 1 or 2.
func (r *Reader) IndexVersion() int { return r.index.version }

// Symbols returns the table that LabelRefs refer to.
func (r *Reader) Symbols() *Symbols { return r.index.symbols }

// Series returns an iterator before the first series.
func (r *Reader) Series() *SeriesIter {
	return &SeriesIter{x: r.index, next: r.index.toc.Series}
}

// Chunk reads a chunk and checks it against its checksum; it is not decoded. Its
// range is that of the index. Its bytes are the mapped file's: valid until Close
// and not to be changed.
//
// Errors: CorruptError; UnsupportedError for an encoding that is not known, and
// then the chunk is there all the same.
func (r *Reader) Chunk(m ChunkMeta) (Chunk, error) { return r.chunks.chunk(m) }

// AppendChunks reads the chunks of a series and appends them to dst, as Chunk
// does.
func (r *Reader) AppendChunks(dst []Chunk, metas []ChunkMeta) ([]Chunk, error) {
	for _, m := range metas {
		c, err := r.Chunk(m)
		if err != nil {
			return dst, err
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// Series is a series with its labels, without external labels, and its chunks
// ascending in time.
type Series struct {
	Labels labels.Labels
	Chunks []Chunk
}

// All goes through all series with labels and chunks.
//
//	for series, err := range r.All(ctx) {
//		if err != nil {
//			return err
//		}
//		...
//	}
//
// Output: labels are the caller's; the slice of chunks is valid until the next
// series, and their bytes until Close. The first error is the last thing that
// comes.
func (r *Reader) All(ctx context.Context) iter.Seq2[Series, error] {
	return func(yield func(Series, error) bool) {
		var s Series
		var err error
		sb := labels.NewScratchBuilder(0)
		it := r.Series()
		for i := 0; it.Next(); i++ {
			if i%256 == 0 && ctx.Err() != nil {
				yield(Series{}, ctx.Err())
				return
			}
			if s.Chunks, err = r.AppendChunks(s.Chunks[:0], it.Chunks()); err != nil {
				yield(Series{}, err)
				return
			}
			s.Labels = it.Labels(&sb)
			if !yield(s, nil) {
				return
			}
		}
		if err := it.Err(); err != nil {
			yield(Series{}, err)
		}
	}
}

// Size returns the bytes of index and chunks.
func (r *Reader) Size() int64 { return int64(len(r.index.b)) + r.chunks.size() }

// Close unmaps the files: what was read without being copied is gone, and a
// program that touches it dies. More than once does no harm.
func (r *Reader) Close() error {
	if r.index.Closer == nil {
		return nil
	}
	err := errors.Join(r.index.Close(), r.chunks.Close())
	r.index.mapped = mapped{}
	r.index.end = 0
	return err
}
