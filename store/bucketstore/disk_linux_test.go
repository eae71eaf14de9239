package bucketstore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// TestDiskFull has no room on disk for the index header of one of two blocks: when
// it is loaded, and when its header was lost and is built again for a call. The
// other block answers, with a warning that names the one and the cause. With room
// all is well, without anything left.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	bkt, dir := newBucket(), t.TempDir()
	put(t, bkt, nil, at(0, 1, "a")...)
	b := put(t, bkt, nil, at(2*hour, 1, "b")...)
	header := filepath.Join(dir, b.ULID.String(), "thanoskit-index-header")
	fill := func() {
		t.Helper()
		testutil.Ok(t, os.MkdirAll(filepath.Dir(header), 0o750))
		testutil.Ok(t, os.Symlink("/dev/full", header+".tmp"))
	}
	full := func(err error) {
		t.Helper()
		broken, ok := errors.AsType[*bucketstore.BlockError](err)
		testutil.Assert(t, ok && broken.Block == b.ULID && errors.Is(err, syscall.ENOSPC) && !errors.Is(err, block.ErrCorrupt), "%v", err)
		left, err := filepath.Glob(header + "*")
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(left), "%v", left)
	}

	fill()
	s, err := bucketstore.Open(ctx, bkt, dir, nil)
	testutil.Ok(t, err)
	names, warnings := namesOf(t, s)
	testutil.Equals(t, "a", names)
	testutil.Equals(t, 1, len(warnings), "%v", warnings)
	full(warnings[0])
	fill()
	full(s.Sync(ctx))
	testutil.Ok(t, s.Sync(ctx))
	testutil.Ok(t, s.Close())

	s, err = bucketstore.Open(ctx, bkt, dir, nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, s.Close()) }()
	testutil.Ok(t, os.Remove(header)) // It is not open yet.
	fill()
	names, warnings = namesOf(t, s)
	testutil.Equals(t, "a", names)
	testutil.Equals(t, 1, len(warnings), "%v", warnings)
	full(warnings[0])
	fill()
	_, err = ask(t, s, &store.SeriesRequest{MaxTime: 100 * hour, Strategy: store.Abort})
	full(err)
	names, warnings = namesOf(t, s)
	testutil.Equals(t, "a b", names)
	testutil.Equals(t, 0, len(warnings), "%v", warnings)
}
