package block

import (
	"path"
	"strings"

	"github.com/oklog/ulid/v2"
)

// Names inside a block's directory.
const (
	MetaFile             = "meta.json"
	IndexFile            = "index"
	ChunksDir            = "chunks"
	DeletionMarkFile     = "deletion-mark.json"
	NoCompactMarkFile    = "no-compact-mark.json"
	NoDownsampleMarkFile = "no-downsample-mark.json"
)

// ParseID returns the block that an object or a directory belongs to: the ULID
// that is the first element of a slash-separated path. It is false for
// everything that belongs to no block, a ULID that is not in capitals among that.
func ParseID(object string) (ulid.ULID, bool) {
	first, _, _ := strings.Cut(object, "/")
	id, err := ulid.ParseStrict(first)
	// Lower case would parse, and then not be found by the name.
	if err != nil || id.String() != first {
		return ulid.ULID{}, false
	}
	return id, true
}

// ObjectName returns the name of a block's file in a bucket. The file is
// relative to the block, with slashes: "index", "chunks/000001".
func ObjectName(id ulid.ULID, file string) string { return path.Join(id.String(), file) }
