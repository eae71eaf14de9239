package dedup

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/recode"
)

// Chunk is a chunk of one replica in encoded form.
type Chunk struct {
	MinTime, MaxTime int64 // of the first and the last sample in ms
	// Encoding is one of chunkenc's, or 0xff: the aggregates of downsampled data.
	Encoding chunkenc.Encoding
	// Data is the chunk without length, encoding and checksum. It is borrowed.
	Data []byte
	// Ref is the caller's own. A chunk that is passed on keeps it, of several
	// identical ones that of the first replica; one that is encoded anew has 0.
	Ref uint64
}

// ChunkMerger merges the chunks of the replicas of one series after another. The
// zero value is ready for use: it merges by Follow. Its memory is used again from
// series to series.
//
// Concurrency: not safe.
type ChunkMerger struct {
	// Algorithm is what merges; nil is Follow. Values are Untyped to it: what is
	// written for ever is not altered on a guess.
	Algorithm Algorithm
	// Resolution is that of aggregate chunks, 0 is five minutes. Windows of this
	// length, aligned to the epoch, are what is chosen among replicas.
	Resolution time.Duration

	// What follows is about the series being merged, in memory that is used again.
	alg       Algorithm
	lists     [][]Chunk // of the replicas
	present   int       // how many of them have chunks
	pieces    []piece
	stretches []stretch
	ranges    [][2]int
	sources   []*chunkSource // of pool
	pool      []*chunkSource
	relays    []*relay
	iterables []chunkenc.Iterable
	reuse     chunkenc.Iterator
	encoder   recode.Encoder
	h         *histogram.Histogram
	fh        *histogram.FloatHistogram

	// For tests: how many chunks were decoded, and whether all have to be.
	decoded   int
	decodeAll bool
}

// ChunkError says which chunk could not be merged, and with ErrMalformedChunk or
// ErrUnknownEncoding why.
type ChunkError struct {
	Replica          int   // Index among the arguments of Merge.
	MinTime, MaxTime int64 // The chunk's range in ms, both inclusive.
	Err              error
}

// Error implements error.
func (e *ChunkError) Error() string {
	return fmt.Sprintf("merge chunk [%d, %d] of replica %d: %v", e.MinTime, e.MaxTime, e.Replica, e.Err)
}

// Unwrap returns the cause.
func (e *ChunkError) Unwrap() error { return e.Err }

// What is wrong with the chunk of a *ChunkError.
var (
	// ErrMalformedChunk says that the bytes of a chunk are not what its encoding and
	// its range say, or that chunks overlap that cannot.
	ErrMalformedChunk = errors.New("malformed chunk")
	// ErrUnknownEncoding says that what is in a chunk is not known.
	ErrUnknownEncoding = errors.New("unknown chunk encoding")
)

// errAltered says that an algorithm returned what no replica has.
var errAltered = errors.New("the algorithm altered a value")

// newChunkError says which chunk err is about, and what is wrong with it in terms of
// this package.
func newChunkError(replica int, c *Chunk, err error) error {
	switch {
	case errors.Is(err, ErrMalformedChunk):
	case errors.Is(err, recode.ErrEncoding) && c.Encoding == aggr.Encoding:
		err = fmt.Errorf("%w: %w", ErrUnknownEncoding, err)
	case errors.Is(err, recode.ErrEncoding):
		err = fmt.Errorf("%w: %d", ErrUnknownEncoding, c.Encoding)
	default:
		err = fmt.Errorf("%w: %w", ErrMalformedChunk, err)
	}
	return &ChunkError{Replica: replica, MinTime: c.MinTime, MaxTime: c.MaxTime, Err: err}
}
