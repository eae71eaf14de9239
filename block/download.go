package block

import (
	"context"
	"errors"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// DownloadOptions are options of Download. The zero value is good.
type DownloadOptions struct {
	// Concurrency is how many files are fetched at a time, 4 if it is 0.
	Concurrency int

	step stepFunc
}

// Download fetches a block into the directory dir, which is there afterwards
// with all files or not at all.
func Download(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID, dir string, opts *DownloadOptions) error {
	return errors.ErrUnsupported
}
