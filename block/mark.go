package block

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// MarkKind says what a mark asks for.
type MarkKind uint8

// The marks that Thanos knows.
const (
	// DeletionMark asks for the block to be deleted after a delay, which readers
	// use to turn to its successor.
	DeletionMark MarkKind = iota
	// NoCompactMark excludes the block from compaction.
	NoCompactMark
	// NoDownsampleMark excludes the block from downsampling.
	NoDownsampleMark

	markKinds = iota
)

// Reasons of no-compact and no-downsample marks.
const (
	ReasonManual              = "manual"
	ReasonIndexSize           = "index-size-exceeding"
	ReasonOutOfOrderChunks    = "block-index-out-of-order-chunk"
	ReasonDownsampledVertical = "downsample-vertical-compaction"
)

// File returns the name of the mark's file in the block.
func (k MarkKind) File() string {
	switch k {
	case DeletionMark:
		return DeletionMarkFile
	case NoCompactMark:
		return NoCompactMarkFile
	case NoDownsampleMark:
		return NoDownsampleMarkFile
	}
	return fmt.Sprintf("mark-%d.json", uint8(k))
}

// String returns "deletion", "no-compact" or "no-downsample".
func (k MarkKind) String() string {
	switch k {
	case DeletionMark:
		return "deletion"
	case NoCompactMark:
		return "no-compact"
	case NoDownsampleMark:
		return "no-downsample"
	}
	return fmt.Sprintf("mark %d", uint8(k))
}

// Mark is what is said about a block beside it.
type Mark struct {
	Kind  MarkKind
	Block ulid.ULID
	// Time is when the block was marked, to the second. PutMark takes zero as now.
	Time time.Time
	// Reason is one of those above; marks for deletion have none.
	Reason string
	// Details is for people.
	Details string
}

// PutMark marks a block. A mark of that kind which is there already stays as it
// is, with its time: put is then false. One that cannot be read is replaced.
//
// Errors: *UnsupportedError if there is one of a version that is not known,
// which stays; the bucket's.
func PutMark(ctx context.Context, bkt objstore.Bucket, m Mark) (put bool, err error) {
	return false, errors.ErrUnsupported
}

// ReadMark returns a block's mark.
//
// Errors: ErrNotFound, *MetaError, *UnsupportedError, the bucket's.
func ReadMark(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID, kind MarkKind) (*Mark, error) {
	return nil, errors.ErrUnsupported
}

// RemoveMark takes a mark away. It is no error if there is none: removed is then
// false.
func RemoveMark(ctx context.Context, bkt objstore.Bucket, id ulid.ULID, kind MarkKind) (removed bool, err error) {
	return false, errors.ErrUnsupported
}
