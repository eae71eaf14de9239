package shipper

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oklog/ulid/v2"
)

// Conditions that a caller can act on; compare with errors.Is.
var (
	// ErrNoExternalLabels says that there are no external labels, so that nothing
	// could tell the blocks from those of another Prometheus.
	ErrNoExternalLabels = errors.New("no external labels")
	// ErrBusy says that another shipper is at work in the directory.
	ErrBusy = errors.New("another shipper is at work in the directory")
	// ErrVanished says that a block was deleted before it had been sent. It is a
	// warning: nobody can send it any more.
	ErrVanished = errors.New("deleted before it was sent")
	// ErrOverlap says that a compacted block overlaps with blocks of the bucket.
	ErrOverlap = errors.New("overlaps with blocks of the bucket")
	// ErrIncomplete says that objects of a block were gone as soon as they had been
	// sent. Something deletes them, such as a cleaner of partial uploads.
	ErrIncomplete = errors.New("objects are gone that have been sent")
	// ErrRecord says that the file that says what has been sent cannot be read or
	// written. It is a warning: the bucket is asked instead.
	ErrRecord = errors.New("record of blocks that have been sent")
)

// Error says at which block what went wrong. It has the cause inside: an error
// of package block or of the bucket, or one of those above.
type Error struct {
	Block ulid.ULID
	// Op is what was to be done: "read", "look up", "compare", "link", "upload".
	Op  string
	Err error
}

// Error returns "OP block ULID: cause".
func (e *Error) Error() string { return fmt.Sprintf("%s block %s: %v", e.Op, e.Block, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// OverlapError is an ErrOverlap with the blocks that are in the way: raw ones of
// the same external labels, not marked for deletion.
type OverlapError struct {
	Block ulid.ULID
	// Others are in the bucket, the oldest first.
	Others []ulid.ULID
}

// Error names the blocks.
func (e *OverlapError) Error() string {
	others := make([]string, len(e.Others))
	for i, id := range e.Others {
		others[i] = id.String()
	}
	return fmt.Sprintf("compacted block %s overlaps with blocks of the bucket: %s", e.Block, strings.Join(others, ", "))
}

// Is reports that an OverlapError is an ErrOverlap.
func (e *OverlapError) Is(target error) bool { return target == ErrOverlap }

// UnreadableError is a warning that readers could not read a block, with what is
// wrong: errors that are block.ErrCorrupt or block.ErrUnsupported, joined.
type UnreadableError struct {
	Block ulid.ULID
	// Skipped says that the block was not sent, because of Options.SkipCorrupted.
	Skipped bool
	Err     error
}

// Error names the block, what becomes of it, and what is wrong.
func (e *UnreadableError) Error() string {
	what := "sent"
	if e.Skipped {
		what = "skipped"
	}
	return fmt.Sprintf("block %s, which is %s, could not be read: %v", e.Block, what, e.Err)
}

// Unwrap returns what is wrong.
func (e *UnreadableError) Unwrap() error { return e.Err }
