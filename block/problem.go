package block

import (
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// ProblemKind says what is wrong with a block: what Verify looks for, and what a
// Writer refuses.
type ProblemKind string

// What can be wrong with the series of a block.
const (
	// UnsortedLabels are labels of a series that do not ascend by name, as
	// Prometheus up to 2.8.0 wrote them.
	UnsortedLabels ProblemKind = "unsorted labels"
	// InvalidLabels is a series without labels, or a label whose name or value is
	// empty or whose name comes twice.
	InvalidLabels ProblemKind = "invalid labels"
	// UnsortedSeries is a series whose labels are less than those of the one
	// before it.
	UnsortedSeries ProblemKind = "unsorted series"
	// DuplicateSeries is a series with the labels of the one before it.
	DuplicateSeries ProblemKind = "duplicate series"
	// NoChunks is a series without chunks.
	NoChunks ProblemKind = "series without chunks"
	// EmptyChunk is a chunk without samples.
	EmptyChunk ProblemKind = "chunk without samples"
	// ChunkTimes is a chunk that ends before it begins, or whose samples are not
	// those of the range that the index gives it, or do not ascend.
	ChunkTimes ProblemKind = "chunk with wrong times"
	// UnsortedChunks is a chunk that ends before the one before it begins.
	UnsortedChunks ProblemKind = "unsorted chunks"
	// DuplicateChunks is a chunk of the same range as the one before it.
	DuplicateChunks ProblemKind = "duplicate chunks"
	// OverlappingChunks is a chunk that begins before the one before it has
	// ended.
	OverlappingChunks ProblemKind = "overlapping chunks"
	// OutsideChunks is a chunk of which a part is outside of the block's range.
	OutsideChunks ProblemKind = "chunk partly outside of the block"
	// CompletelyOutsideChunks is a chunk all of which is outside of the block's
	// range: nobody will ever read it.
	CompletelyOutsideChunks ProblemKind = "chunk completely outside of the block"
	// BoundaryChunks is a chunk that begins where the block ends and goes on from
	// there. It is in the next block too, where it belongs: the doing of
	// prometheus/tsdb issue 347.
	BoundaryChunks ProblemKind = "chunk that begins where the block ends"
)

// What can be wrong with the files of a block.
const (
	// MissingFile is a file that must be there: meta.json, index, a segment that
	// meta.json names or that chunks refer to.
	MissingFile ProblemKind = "missing file"
	// CorruptMeta is a meta.json that cannot hold.
	CorruptMeta ProblemKind = "corrupt meta.json"
	// CorruptIndex is an index that is damaged: header, table of contents, symbols
	// or a series.
	CorruptIndex ProblemKind = "corrupt index"
	// CorruptPostings are lists of series by label that are damaged, or that are
	// not those of the series: selecting by labels finds the wrong ones.
	CorruptPostings ProblemKind = "corrupt postings"
	// CorruptChunk is a chunk that is damaged or not there, a segment that is
	// damaged, or a chunk that does not decode.
	CorruptChunk ProblemKind = "corrupt chunk"
	// Unsupported is a version or a chunk encoding that is not known here.
	Unsupported ProblemKind = "not supported"
	// WrongFiles are sizes or hashes in meta.json that are not those of the files.
	WrongFiles ProblemKind = "wrong files in meta.json"
	// WrongStats are numbers in meta.json that are not those of the block.
	WrongStats ProblemKind = "wrong stats in meta.json"
)

// Unreadable reports whether readers fail at such a problem, or miss data. What
// is left is data that is read, but is not as it should be.
func (k ProblemKind) Unreadable() bool {
	return slices.Contains([]ProblemKind{MissingFile, CorruptMeta, CorruptIndex, CorruptPostings, CorruptChunk, Unsupported, UnsortedSeries}, k)
}

// SeriesError is a series that a Writer does not take, or that two series cannot
// be merged to.
type SeriesError struct {
	Labels labels.Labels
	Kind   ProblemKind
	// Detail is what is so, with numbers, or empty.
	Detail string
}

// Error returns "series {...}: KIND: DETAIL".
func (e *SeriesError) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("series %s: %s", e.Labels, e.Kind)
	}
	return fmt.Sprintf("series %s: %s: %s", e.Labels, e.Kind, e.Detail)
}

// chunkOrder judges a chunk by the one before it in its series, nil for none.
func chunkOrder(prev *ChunkMeta, c ChunkMeta) (ProblemKind, bool) {
	switch {
	case c.MaxTime < c.MinTime:
		return ChunkTimes, false
	case prev == nil || c.MinTime > prev.MaxTime:
		return "", true
	case c.MinTime == prev.MinTime && c.MaxTime == prev.MaxTime:
		return DuplicateChunks, false
	case c.MaxTime < prev.MinTime:
		return UnsortedChunks, false
	}
	return OverlappingChunks, false
}

// chunkRange judges a chunk by the range of its block, maxTime exclusive. A
// sample at maxTime itself is what Thanos lets pass, and so do we.
func chunkRange(c ChunkMeta, minTime, maxTime int64) (ProblemKind, bool) {
	switch {
	case c.MinTime >= minTime && c.MaxTime <= maxTime:
		return "", true
	case c.MinTime > maxTime || c.MaxTime < minTime:
		return CompletelyOutsideChunks, false
	case c.MinTime == maxTime:
		return BoundaryChunks, false
	}
	return OutsideChunks, false
}
