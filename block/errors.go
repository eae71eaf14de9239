package block

import (
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"
)

// Conditions that a caller can act on; compare with errors.Is.
var (
	// ErrNotFound says that there is no such block, mark or object.
	ErrNotFound = errors.New("not found")
	// ErrPartial says that a block has no meta.json, or in a filesystem a torn one:
	// its upload or its deletion has not ended, and nothing in it is to be read.
	ErrPartial = errors.New("block has no whole meta.json")
	// ErrCorrupt says that a file of a block does not hold what it must.
	ErrCorrupt = errors.New("corrupt")
	// ErrTorn is the cause of an ErrCorrupt for a meta.json or a mark that ends
	// before its JSON does: whoever wrote it did not come to the end.
	ErrTorn = errors.New("ends early")
	// ErrUnsupported says that a file of a block is of a kind that this version
	// does not know. Another one may.
	ErrUnsupported = errors.New("not supported")
	// ErrIncomplete says that a view lacks blocks that could not be judged.
	ErrIncomplete = errors.New("incomplete view")
	// ErrExists says that something else has the place already.
	ErrExists = errors.New("exists already")
	// ErrNoLabels says that a block has no external labels.
	ErrNoLabels = errors.New("block has no external labels")
)

// CorruptError is an ErrCorrupt with the block and its file.
type CorruptError struct {
	Block ulid.ULID
	// File is relative to the block: "index", "chunks/000001", "meta.json".
	File string
	Err  error
}

// Error returns "block ULID: FILE is corrupt: cause".
func (e *CorruptError) Error() string {
	return fmt.Sprintf("block %s: %s is corrupt: %v", e.Block, e.File, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Is reports that a CorruptError is an ErrCorrupt.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// UnsupportedError is an ErrUnsupported with the block, its file and what it has
// that is not known.
type UnsupportedError struct {
	Block ulid.ULID
	File  string
	// What is a noun with its value: "index version 3", "chunk encoding 9".
	What string
}

// Error returns "block ULID: FILE: WHAT not supported".
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("block %s: %s: %s not supported", e.Block, e.File, e.What)
}

// Is reports that an UnsupportedError is an ErrUnsupported.
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// MetaError is an ErrCorrupt of a meta.json or a mark: a field that cannot hold.
type MetaError struct {
	Block ulid.ULID
	// File is "meta.json" or that of a mark.
	File string
	// Field is the path of the field in the file, "thanos.files[3].rel_path", or
	// empty if the file is no JSON at all.
	Field string
	Err   error
}

// Error returns "block ULID: FILE is corrupt: FIELD: cause".
func (e *MetaError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("block %s: %s is corrupt: %v", e.Block, e.File, e.Err)
	}
	return fmt.Sprintf("block %s: %s is corrupt: %s: %v", e.Block, e.File, e.Field, e.Err)
}

// Unwrap returns the cause.
func (e *MetaError) Unwrap() error { return e.Err }

// Is reports that a MetaError is an ErrCorrupt.
func (e *MetaError) Is(target error) bool { return target == ErrCorrupt }
