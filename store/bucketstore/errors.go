package bucketstore

import (
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
)

// ErrClosed is what a Store answers after Close.
var ErrClosed = errors.New("store closed")

// ErrAccessDenied says that the bucket refuses to hand out an object.
var ErrAccessDenied = errors.New("access denied")

// BlockError says of which block a part is missing from an answer, and why. It is
// a warning of a call under store.Warn, and ends one under store.Abort.
//
// The cause tells the kinds apart: block.ErrCorrupt, block.ErrUnsupported,
// block.ErrNotFound for objects that are not there any more, ErrAccessDenied, or
// what the bucket said.
type BlockError struct {
	Block ulid.ULID
	// Op is what failed: "load block", "select series", "read series", "read
	// chunks" or "read labels".
	Op  string
	Err error
}

// Error returns "block ULID: OP: cause".
func (e *BlockError) Error() string { return fmt.Sprintf("block %s: %s: %v", e.Block, e.Op, e.Err) }

// Unwrap returns the cause.
func (e *BlockError) Unwrap() error { return e.Err }

// ViewError is the warning that not all blocks in the bucket could be judged
// when it was last looked at, so that any answer may lack some.
type ViewError struct{ Err error }

// Error returns "view of the bucket is not complete: cause".
func (e *ViewError) Error() string {
	return fmt.Sprintf("view of the bucket is not complete: %v", e.Err)
}

// Unwrap returns the cause, a block.ErrIncomplete.
func (e *ViewError) Unwrap() error { return e.Err }

// typed adds to an error of the bucket what it says by its own means.
func typed(bkt objstore.BucketReader, err error) error {
	switch {
	case errors.Is(err, block.ErrNotFound) || errors.Is(err, ErrAccessDenied):
		return err
	case saysOf(bkt.IsObjNotFoundErr, err):
		return fmt.Errorf("%w: %w", block.ErrNotFound, err)
	case saysOf(bkt.IsAccessDeniedErr, err):
		return fmt.Errorf("%w: %w", ErrAccessDenied, err)
	}
	return err
}

// saysOf asks a bucket about an error and those that it wraps: buckets look at
// their clients' own, and not all of them look for it.
func saysOf(is func(error) bool, err error) bool {
	if err == nil {
		return false
	}
	if is(err) {
		return true
	}
	switch e := err.(type) { //nolint:errorlint // Each is looked at.
	case interface{ Unwrap() error }:
		return saysOf(is, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if saysOf(is, err) {
				return true
			}
		}
	}
	return false
}
