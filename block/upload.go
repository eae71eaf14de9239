package block

import (
	"context"
	"errors"

	"github.com/thanos-io/objstore"
)

// UploadOptions are options of Upload. The zero value is good.
type UploadOptions struct {
	// Concurrency is how many files are sent at a time, 4 if it is 0.
	Concurrency int
	// Hash is noted for each file in meta.json; none by default. It costs one more
	// pass over the files.
	Hash HashFunc
	// AllowNoLabels permits blocks without external labels, which no reader of
	// Thanos could attribute to anybody.
	AllowNoLabels bool

	step stepFunc
}

// stepFunc is called before each local operation that crash tests cut at.
type stepFunc func(op string) error

// Upload sends the block in dir, which is named by its ULID, and returns its
// meta.json as it is in the bucket.
func Upload(ctx context.Context, bkt objstore.Bucket, dir string, opts *UploadOptions) (*Meta, error) {
	return nil, errors.ErrUnsupported
}
