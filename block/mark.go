package block

import (
	"bytes"
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
// is, with its time: put is then false. One that is corrupt, as an upload that
// ended early leaves it, is replaced.
//
// Errors: *UnsupportedError if there is one of a version that is not known,
// which stays; the bucket's.
// Cost: two requests, one if it is there.
func PutMark(ctx context.Context, bkt objstore.Bucket, m Mark) (put bool, err error) {
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	b, err := m.Encode()
	if err != nil {
		return false, err
	}
	_, err = ReadMark(ctx, bkt, m.Block, m.Kind)
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return false, fmt.Errorf("put %s mark: %w", m.Kind, err)
	}
	name := ObjectName(m.Block, m.Kind.File())
	if err := bkt.Upload(ctx, name, bytes.NewReader(b)); err != nil {
		return false, objectError(bkt, "upload", name, err)
	}
	return true, nil
}

// ReadMark returns a block's mark.
//
// Errors: ErrNotFound, *MetaError, *UnsupportedError, the bucket's.
// Cost: one request.
func ReadMark(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID, kind MarkKind) (*Mark, error) {
	if kind >= markKinds {
		return nil, fmt.Errorf("read mark of block %s: %s: %w", id, kind, ErrUnsupported)
	}
	b, err := getObject(ctx, bkt, ObjectName(id, kind.File()), maxMarkBytes)
	if errors.Is(err, errTooLarge) {
		return nil, &MetaError{Block: id, File: kind.File(), Err: err}
	}
	if err != nil {
		return nil, err
	}
	return ParseMark(id, kind, b)
}

// RemoveMark takes a mark away. It is no error if there is none: removed is then
// false.
//
// Cost: two requests, one if there is none.
func RemoveMark(ctx context.Context, bkt objstore.Bucket, id ulid.ULID, kind MarkKind) (removed bool, err error) {
	name := ObjectName(id, kind.File())
	there, err := bkt.Exists(ctx, name)
	if err != nil {
		return false, objectError(bkt, "look for", name, err)
	}
	if !there {
		return false, nil
	}
	if err := remove(ctx, bkt, name); err != nil {
		return false, err
	}
	return true, nil
}
