package block

import (
	"context"
	"errors"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// FetchMeta reads a block's meta.json from a bucket.
//
// Errors: ErrNotFound if there is none, which is a block that does not exist or
// is not whole; *MetaError, *UnsupportedError, the bucket's.
func FetchMeta(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID) (*Meta, error) {
	return nil, errors.ErrUnsupported
}

// ReadMeta reads the meta.json of a block in a directory. If the directory is
// named by an ULID, it is to be that block's.
//
// Errors: ErrNotFound, *MetaError, *UnsupportedError, those of reading.
func ReadMeta(dir string) (*Meta, error) { return nil, errors.ErrUnsupported }

// WriteMeta writes meta.json into a directory: to a temporary file that is
// synced and renamed, so that it is there as a whole or not at all.
func WriteMeta(dir string, m *Meta) error { return errors.ErrUnsupported }
