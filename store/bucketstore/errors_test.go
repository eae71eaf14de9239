package bucketstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// plainBucket knows the errors of its client as they are, and not wrapped, as
// most providers do.
type plainBucket struct{ *blocktest.Bucket }

func (plainBucket) IsAccessDeniedErr(err error) bool { return err == blocktest.ErrAccessDenied } //nolint:errorlint // As said.

func TestAccessDeniedWhileLoading(t *testing.T) {
	bkt := newBucket()
	m := put(t, bkt, nil, at(0, 1, "a")...)
	bkt.Fail(blocktest.Deny(about(m.ULID, "index")))
	s := open(t, plainBucket{bkt}, nil)
	for name, err := range map[string]error{"sync": s.Sync(context.Background()), "call": func() error {
		_, err := ask(t, s, &store.SeriesRequest{MaxTime: hour, Strategy: store.Abort})
		return err
	}()} {
		testutil.Assert(t, errors.Is(err, bucketstore.ErrAccessDenied), "%s: %v", name, err)
	}
}
