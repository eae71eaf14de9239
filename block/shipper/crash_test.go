package shipper_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/block/shipper"
)

// buckets are kinds of object stores: one has objects as a whole or not at all,
// the other has them as far as they were written.
var buckets = map[string]func(t testing.TB) objstore.Bucket{
	"objects": func(testing.TB) objstore.Bucket { return objstore.NewInMemBucket() },
	"files": func(t testing.TB) objstore.Bucket {
		bkt, err := filesystem.NewBucket(t.TempDir())
		testutil.Ok(t, err)
		return bkt
	},
}

// wipes are what is lost with a shipper that died.
var wipes = map[string]func(t *testing.T, dir string){
	"nothing": func(*testing.T, string) {},
	"its files": func(t *testing.T, dir string) {
		testutil.Ok(t, os.RemoveAll(filepath.Join(dir, "thanos")))
		testutil.Ok(t, os.RemoveAll(filepath.Join(dir, shipper.DefaultMetaFileName)))
	},
}

// A shipper that dies at any request or step of its own, before, within or after
// it, leaves no block that is not whole, and the next one brings all there.
func TestCrash(t *testing.T) {
	t.Parallel()
	cuts := 0
	for _, tc := range []struct {
		bucket string
		when   blocktest.When
		wipe   []string
	}{
		{"objects", blocktest.Before, []string{"nothing", "its files"}},
		{"objects", blocktest.After, []string{"nothing", "its files"}},
		// Before and after are the same here, but for objects that are torn.
		{"files", blocktest.Torn, []string{"nothing", "its files"}},
	} {
		for _, lost := range tc.wipe {
			n := 1
			for crash(t, buckets[tc.bucket](t), n, tc.when, wipes[lost]) {
				n += raceStride
			}
			testutil.Assert(t, n > 30, "only %d cut points in %s, %s", n, tc.bucket, tc.when)
			cuts += (n - 1) / raceStride
		}
	}
	t.Logf("%d cut points", cuts)
}

// crash has a shipper die at its n-th request or step, and reports whether it
// came that far.
func crash(t *testing.T, inner objstore.Bucket, n int, when blocktest.When, wipe func(*testing.T, string)) bool {
	t.Helper()
	what := fmt.Sprintf("cut %s request %d", when, n)
	dir, bkt := t.TempDir(), blocktest.NewBucket(inner)
	want := []ulid.ULID{put(t, dir, spec{n: 1, at: 0}), put(t, dir, spec{n: 2, at: 2, level: 2})}
	opts := shipper.Options{UploadCompacted: true}
	s := newShipper(t, bkt, dir, opts)
	s.SetStep(bkt.Step)
	bkt.Cut(n, when)
	res, err := s.Sync(t.Context())
	if !bkt.Dead() {
		testutil.Ok(t, err, what)
		testutil.Equals(t, want, res.Uploaded)
		return false
	}
	bkt.Revive()
	there := visible(t, inner, dir) // each as it should be
	testutil.Equals(t, fmt.Sprint(want[:len(there)]), fmt.Sprint(there), "order, %s", what)

	wipe(t, dir)
	s = newShipper(t, bkt, dir, opts)
	for range 2 {
		_, err = s.Sync(t.Context())
		testutil.Ok(t, err, what)
		testutil.Equals(t, want, visible(t, inner, dir), what)
		testutil.Equals(t, record(want...), readRecord(t, dir), what)
		left, err := os.ReadDir(filepath.Join(dir, "thanos", "upload", shipper.DefaultMetaFileName))
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(left), "files left by a dead shipper, %s", what) // the lock
	}
	return true
}

// With its data directory everything of a shipper is lost. What is in the bucket
// is whole, or none to readers.
func TestCrashWithoutData(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		dir, inner := t.TempDir(), objstore.NewInMemBucket()
		bkt := blocktest.NewBucket(inner)
		put(t, dir, spec{n: 1, at: 0})
		put(t, dir, spec{n: 2, at: 2})
		s := newShipper(t, bkt, dir, shipper.Options{})
		s.SetStep(bkt.Step)
		bkt.Cut(n, blocktest.After)
		_, err := s.Sync(t.Context())
		if !bkt.Dead() {
			testutil.Ok(t, err)
			return
		}
		visible(t, inner, dir)

		after := t.TempDir()
		third := put(t, after, spec{n: 3, at: 4})
		res, err := newShipper(t, inner, after, shipper.Options{}).Sync(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, []ulid.ULID{third}, res.Uploaded)
	}
}

// A disk that is full, at any step, costs that Sync and nothing else.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for n := 1; ; n++ {
		dir, bkt := t.TempDir(), objstore.NewInMemBucket()
		want := []ulid.ULID{put(t, dir, spec{n: 1, at: 0}), put(t, dir, spec{n: 2, at: 2})}
		s := newShipper(t, bkt, dir, shipper.Options{})
		steps, failed := 0, ""
		s.SetStep(func(op string) error {
			if steps++; steps >= n && !strings.HasPrefix(op, "remove") {
				failed = op
				return full
			}
			return nil
		})
		res, err := s.Sync(t.Context())
		if failed == "" {
			testutil.Ok(t, err)
			return
		}
		if err == nil { // only the record could not be written
			testutil.Assert(t, len(res.Warnings) > 0 && errors.Is(res.Warnings[0], full), "step %d: %v", n, res.Warnings)
		} else {
			testutil.Assert(t, errors.Is(err, full), "step %d: %v", n, err)
		}
		visible(t, bkt, dir)
		s.SetStep(func(string) error { return nil })
		_, err = s.Sync(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, want, visible(t, bkt, dir))
	}
}
