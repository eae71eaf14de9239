package block_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// cuts calls f with a bucket that dies at its n-th operation, for every n and way
// to die, until the operation ends before that. In f, alive is false once the
// process is dead.
func cuts(t *testing.T, open func() objstore.Bucket, f func(t *testing.T, inner objstore.Bucket, bkt *blocktest.Bucket)) {
	t.Helper()
	for _, when := range []blocktest.When{blocktest.Before, blocktest.Torn, blocktest.After} {
		for n := 1; ; n++ {
			inner := open()
			bkt := blocktest.NewBucket(inner)
			t.Run(fmt.Sprintf("%s %d", when, n), func(t *testing.T) {
				bkt.Cut(n, when)
				f(t, inner, bkt)
			})
			if !bkt.Dead() {
				testutil.Assert(t, n > 5, "nothing was cut")
				break
			}
			if t.Failed() {
				return
			}
		}
	}
}

// wholeOrNot fails unless a reader sees the files of a block, or no block.
func wholeOrNot(t *testing.T, bkt objstore.BucketReader, id int, want map[string]string) (whole bool) {
	t.Helper()
	seen := visible(t, bkt, newID(id))
	if seen == nil {
		return false
	}
	testutil.Equals(t, "", cmp.Diff(without(want, "meta.json"), without(seen, "meta.json", block.DeletionMarkFile)))
	return true
}

func TestUploadCrashes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, open := range buckets(t) {
		testUploadCrashes(ctx, t, name, open, 1)
		testUploadCrashes(ctx, t, name, open, 3)
	}
}

func testUploadCrashes(ctx context.Context, t *testing.T, name string, open func() objstore.Bucket, concurrency int) {
	t.Run(fmt.Sprint(name, ", ", concurrency, " at a time"), func(t *testing.T) {
		t.Parallel()
		_, dir := newBlock(t, t.TempDir(), 1)
		local := readDir(t, dir)
		cuts(t, open, func(t *testing.T, inner objstore.Bucket, bkt *blocktest.Bucket) {
			// What an attempt before left, torn and too much.
			put(t, inner, block.ObjectName(newID(1), "chunks/000002"), local["chunks/000002"][:9])
			put(t, inner, block.ObjectName(newID(1), "chunks/000004"), "x")
			_, err := block.Upload(ctx, bkt, dir, &block.UploadOptions{Concurrency: concurrency})
			whole := wholeOrNot(t, inner, 1, local)
			if bkt.Dead() {
				testutil.Assert(t, errors.Is(err, blocktest.ErrDead), "%v", err)
			} else {
				testutil.Ok(t, err)
				testutil.Assert(t, whole)
			}
			// Nothing but the bucket remembers: there is no directory to keep or wipe.
			_, err = block.Upload(ctx, inner, dir, nil)
			testutil.Ok(t, err)
			testutil.Assert(t, wholeOrNot(t, inner, 1, local))
		})
	})
}

func TestDeleteCrashes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, open := range buckets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, dir := newBlock(t, t.TempDir(), 1)
			local := readDir(t, dir)
			cuts(t, open, func(t *testing.T, inner objstore.Bucket, bkt *blocktest.Bucket) {
				_, err := block.Upload(ctx, inner, dir, nil)
				testutil.Ok(t, err)
				_, err = block.PutMark(ctx, inner, block.Mark{Kind: block.DeletionMark, Block: newID(1)})
				testutil.Ok(t, err)
				_ = block.Delete(ctx, bkt, newID(1)) // Objects that stand for directories may fail.
				wholeOrNot(t, inner, 1, local)
				// What is left is known to be to be deleted.
				if left := objects(t, inner); len(left) > 0 {
					testutil.Assert(t, fetch(t, inner, nil).Marked(newID(1), block.DeletionMark), "%v", left)
				}
				testutil.Ok(t, block.Delete(ctx, inner, newID(1)))
				testutil.Equals(t, 0, len(objects(t, inner)))
			})
		})
	}
}

func TestReplicateCrashes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	from, dir := objstore.NewInMemBucket(), t.TempDir()
	want := map[int]map[string]string{}
	for n := 1; n <= 2; n++ {
		_, d := newBlock(t, dir, n)
		_, err := block.Upload(ctx, from, d, nil)
		testutil.Ok(t, err)
		want[n] = readDir(t, d)
	}
	for name, open := range buckets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cuts(t, open, func(t *testing.T, inner objstore.Bucket, bkt *blocktest.Bucket) {
				_, err := block.Replicate(ctx, from, bkt, nil, &block.ReplicateOptions{Concurrency: 1})
				testutil.Equals(t, bkt.Dead(), errors.Is(err, blocktest.ErrDead), "%v", err)
				first, second := wholeOrNot(t, inner, 1, want[1]), wholeOrNot(t, inner, 2, want[2])
				testutil.Assert(t, first || !second, "the second block came first")
				_, err = block.Replicate(ctx, from, inner, nil, nil)
				testutil.Ok(t, err)
				testutil.Equals(t, "", cmp.Diff(objects(t, from), objects(t, inner)))
			})
		})
	}
}

// The reading side of a replication dies as well.
func TestReplicateCrashesReading(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	_, dir := newBlock(t, t.TempDir(), 1)
	local := readDir(t, dir)
	cuts(t, func() objstore.Bucket { return objstore.NewInMemBucket() }, func(t *testing.T, inner objstore.Bucket, bkt *blocktest.Bucket) {
		_, err := block.Upload(ctx, inner, dir, nil)
		testutil.Ok(t, err)
		to := objstore.NewInMemBucket()
		_, err = block.Replicate(ctx, bkt, to, nil, &block.ReplicateOptions{Concurrency: 1})
		testutil.Equals(t, bkt.Dead(), err != nil, "%v", err)
		wholeOrNot(t, to, 1, local)
		_, err = block.Replicate(ctx, inner, to, nil, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, "", cmp.Diff(objects(t, inner), objects(t, to)))
	})
}

func TestDownloadCrashes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, wipe := range []bool{false, true} {
		t.Run(fmt.Sprintf("wiped %t", wipe), func(t *testing.T) {
			t.Parallel()
			_, from := newBlock(t, t.TempDir(), 1)
			cuts(t, func() objstore.Bucket { return objstore.NewInMemBucket() }, func(t *testing.T, inner objstore.Bucket, bkt *blocktest.Bucket) {
				m, err := block.Upload(ctx, inner, from, &block.UploadOptions{Hash: block.HashSHA256})
				testutil.Ok(t, err)
				want := visible(t, inner, m.ULID)
				parent := t.TempDir()
				dir := filepath.Join(parent, m.ULID.String())
				opts := &block.DownloadOptions{Concurrency: 1}
				opts.SetStep(func(op, file string) error { return bkt.Step(op + " " + file) })

				downloadErr := block.Download(ctx, bkt, m.ULID, dir, opts)
				testutil.Assert(t, bkt.Dead() || downloadErr == nil, "%v", downloadErr)
				if _, err := os.Stat(dir); err == nil {
					testutil.Equals(t, "", cmp.Diff(want, readDir(t, dir)))
				} else {
					testutil.NotOk(t, downloadErr)
				}
				if wipe {
					testutil.Ok(t, os.RemoveAll(parent))
				}
				testutil.Ok(t, block.Download(ctx, inner, m.ULID, dir, nil))
				testutil.Equals(t, "", cmp.Diff(want, readDir(t, dir)))
				testutil.Equals(t, []string{m.ULID.String()}, names(t, parent))
			})
		})
	}
}
