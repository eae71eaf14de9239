package block

import (
	"context"
	"errors"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// Delete removes a block from the bucket: meta.json first, marks last.
func Delete(ctx context.Context, bkt objstore.Bucket, id ulid.ULID) error {
	return errors.ErrUnsupported
}
