package shipper

import (
	"errors"
	"fmt"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// Conditions that a caller can act on; compare with errors.Is.
var (
	// ErrNoExternalLabels says that there are no external labels, so that nothing
	// could tell the blocks from those of another Prometheus.
	ErrNoExternalLabels = errors.New("no external labels")
	// ErrBusy says that another shipper is at work in the directory.
	ErrBusy = errors.New("another shipper is at work in the directory")
	// ErrVanished says that a block was deleted in the data directory before it had
	// been sent. It is a warning: nobody can send it any more.
	ErrVanished = errors.New("deleted before it was sent")
	// ErrOverlap says that a compacted block overlaps with blocks of the bucket.
	ErrOverlap = errors.New("overlaps with blocks of the bucket")
	// ErrIncomplete says that objects of a block were gone as soon as they had been
	// sent. Something deletes them, such as a cleaner of partial uploads.
	ErrIncomplete = errors.New("objects are gone that have been sent")
	// ErrRecord says that the file that says what has been sent cannot be read or
	// written. It is a warning: what is not known otherwise the bucket is asked for.
	ErrRecord = errors.New("record of blocks that have been sent")
	// ErrNoLocks says that the filesystem of the data directory has no locks. It is a
	// warning: nothing keeps a second shipper from working there at the same time.
	ErrNoLocks = errors.New("filesystem has no locks, so that there must be no other shipper")
)

// Error says at which block what went wrong. It has the cause inside: an error
// of package block or of the bucket, or one of those above.
type Error struct {
	Block ulid.ULID
	// Op is what was to be done: "read", "look up", "compare", "link",
	// "verify", "upload".
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

// UnreadableError is a warning that readers could not read a block, or would
// miss data. It has what is wrong inside: errors that are block.ErrCorrupt,
// block.ErrUnsupported or block.ErrNotFound.
type UnreadableError struct {
	Block ulid.ULID
	// Skipped says that the block was not sent, because of Options.SkipCorrupted.
	Skipped bool
	// Problems are all of that kind, with a few examples of each.
	Problems []block.Problem
}

// Error names the block, what becomes of it, and the first example of all that
// is wrong.
func (e *UnreadableError) Error() string {
	what := "sent"
	if e.Skipped {
		what = "skipped"
	}
	parts := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		parts[i] = fmt.Sprintf("%s (%d)", p.Kind, p.Count)
		if len(p.Examples) > 0 {
			parts[i] += ": " + p.Examples[0].Error()
		}
	}
	return fmt.Sprintf("block %s, which is %s, cannot be read: %s", e.Block, what, strings.Join(parts, "; "))
}

// Unwrap returns all examples.
func (e *UnreadableError) Unwrap() []error {
	var errs []error
	for _, p := range e.Problems {
		errs = append(errs, p.Examples...)
	}
	return errs
}
