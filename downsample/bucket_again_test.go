package downsample_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
)

// longBlock is a block of the range from which on there is 5m, in a directory.
func longBlock(t testing.TB, dir string, series ...block.Series) (string, ulid.ULID) {
	t.Helper()
	made := blocktest.Build(t, dir, &blocktest.Options{MaxTime: downsample.MinRange5m.Milliseconds()}, series...)
	id, err := ulid.ParseStrict(filepath.Base(made))
	testutil.Ok(t, err)
	return made, id
}

func upload(t testing.TB, bkt objstore.Bucket, dir string) {
	t.Helper()
	_, err := block.Upload(t.Context(), bkt, dir, nil)
	testutil.Ok(t, err)
}

// fetched counts how often chunks of a block were fetched.
func fetched(bkt *blocktest.Bucket, id ulid.ULID) (n int) {
	for _, r := range bkt.Requests() {
		if r.Op == objstore.OpGet && strings.HasPrefix(r.Name, block.ObjectName(id, block.ChunksDir)) {
			n++
		}
	}
	return n
}

// TestBucketNothingLeft: a block of nothing but stale markers is fetched once, and
// marked. If it cannot be marked, that is an error.
func TestBucketNothingLeft(t *testing.T) {
	t.Parallel()
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	stale := math.Float64frombits(value.StaleNaN)
	made, id := longBlock(t, t.TempDir(), blocktest.Floats(labels.FromStrings("a", "b"), 0, 1000, stale, stale))
	upload(t, bkt, made)
	dir := t.TempDir()

	bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Op == objstore.OpUpload }))
	_, err := downsample.Bucket(t.Context(), bkt, dir, nil)
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "mark block "+id.String()), "%v", err)
	isEmpty(t, dir)
	bkt.Fail(nil)

	for range 2 {
		out, err := downsample.Bucket(t.Context(), bkt, dir, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(out))
		isEmpty(t, dir)
	}
	testutil.Equals(t, 2, fetched(bkt, id))
	mark, err := block.ReadMark(t.Context(), bkt, id, block.NoDownsampleMark)
	testutil.Ok(t, err)
	testutil.Equals(t, downsample.ReasonNothingLeft, mark.Reason)
	testutil.Equals(t, "no series has a value at 5m", mark.Details)
}

// TestBucketFetchesAgain: after an error of the bucket a block is not fetched again,
// and after any other it is, since its files on disk may be what is damaged.
func TestBucketFetchesAgain(t *testing.T) {
	t.Parallel()
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	dir := t.TempDir()
	local, id := longBlock(t, dir, blocktest.Random(1, &blocktest.RandomOptions{Start: 1, Series: 3})...)
	upload(t, bkt, local)
	segment := filepath.Join(local, block.ChunksDir, "000001")
	b, err := os.ReadFile(segment)
	testutil.Ok(t, err)
	b[20] ^= 1
	testutil.Ok(t, os.WriteFile(segment, b, 0o600))

	_, err = downsample.Bucket(t.Context(), bkt, dir, nil)
	testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v", err)
	isEmpty(t, dir)
	testutil.Equals(t, 0, fetched(bkt, id))

	bkt.Fail(blocktest.Deny(func(r blocktest.Request) bool { return r.Op == objstore.OpUpload }))
	for range 2 {
		_, err = downsample.Bucket(t.Context(), bkt, dir, nil)
		testutil.NotOk(t, err)
		testutil.Equals(t, 1, fetched(bkt, id))
	}
	bkt.Fail(nil)
	made, err := downsample.Bucket(t.Context(), bkt, dir, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(made))
	testutil.Equals(t, 1, fetched(bkt, id))
	isEmpty(t, dir)
}

// TestBucketCancelled: what was wrong before the context ended is told beside it,
// and what was fetched stays for the next run.
func TestBucketCancelled(t *testing.T) {
	t.Parallel()
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	bad := ulid.ULID{1}
	m := blocktest.Build(t, t.TempDir(), &blocktest.Options{ULID: bad, MaxTime: downsample.MinRange5m.Milliseconds()}, blocktest.Random(1, &blocktest.RandomOptions{Start: 1, Series: 1})...)
	upload(t, bkt, m)
	testutil.Ok(t, bkt.Delete(ctx, block.ObjectName(bad, block.SegmentName(0))))
	good, id := longBlock(t, t.TempDir(), blocktest.Random(1, &blocktest.RandomOptions{Start: 1, Series: 3})...)
	upload(t, bkt, good)
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op == objstore.OpUpload {
			cancel()
		}
		return nil
	})
	dir := t.TempDir()
	_, err := downsample.Bucket(ctx, bkt, dir, nil)
	testutil.Assert(t, errors.Is(err, context.Canceled) && errors.Is(err, block.ErrNotFound), "%v", err)
	testutil.Equals(t, 1, strings.Count(err.Error(), context.Canceled.Error()))
	_, err = os.Stat(filepath.Join(dir, id.String(), block.IndexFile))
	testutil.Ok(t, err)
}

// heedless is a bucket that gives what is asked for after the end of a context, too.
type heedless struct{ objstore.Bucket }

func (b heedless) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	return b.Bucket.Get(context.WithoutCancel(ctx), name)
}

func (b heedless) GetRange(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	return b.Bucket.GetRange(context.WithoutCancel(ctx), name, off, length)
}

func (b heedless) Attributes(ctx context.Context, name string) (objstore.ObjectAttributes, error) {
	return b.Bucket.Attributes(context.WithoutCancel(ctx), name)
}

func (b heedless) Iter(ctx context.Context, dir string, f func(string) error, opts ...objstore.IterOption) error {
	return b.Bucket.Iter(context.WithoutCancel(ctx), dir, f, opts...)
}

// TestBucketEndsOnce: blocks that come after the end of the context are not asked
// for, and the end is told once, whatever else it has ended.
func TestBucketEndsOnce(t *testing.T) {
	t.Parallel()
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var ids []ulid.ULID
	for i := range byte(4) {
		ids = append(ids, ulid.ULID{i + 1})
		upload(t, bkt, blocktest.Build(t, t.TempDir(), &blocktest.Options{ULID: ids[i], MaxTime: downsample.MinRange5m.Milliseconds()},
			blocktest.Random(1, &blocktest.RandomOptions{Start: 1, Series: 1})...))
	}
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op == objstore.OpUpload {
			cancel()
		}
		return nil
	})
	dir := t.TempDir()
	made, err := downsample.Bucket(ctx, heedless{bkt}, dir, nil)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
	testutil.Equals(t, "downsample bucket: context canceled", err.Error())
	testutil.Equals(t, 0, len(made))
	for i, id := range ids {
		_, err := os.Stat(filepath.Join(dir, id.String()))
		testutil.Equals(t, i > 0, errors.Is(err, os.ErrNotExist), "block %d: %v", i, err)
		testutil.Equals(t, i == 0, fetched(bkt, id) > 0)
	}
}

// TestBucketEndsAtItsEnd: that the context ended is an error even if all was made
// before.
func TestBucketEndsAtItsEnd(t *testing.T) {
	t.Parallel()
	bkt := objstore.NewInMemBucket()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	local, id := longBlock(t, t.TempDir(), blocktest.Random(1, &blocktest.RandomOptions{Start: 1, Series: 3})...)
	upload(t, bkt, local)
	dir := t.TempDir()
	made, err := downsample.Bucket(ctx, bkt, dir, &downsample.BucketOptions{Logger: slog.New(onRecord{slog.DiscardHandler, cancel})})
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
	testutil.Equals(t, 1, len(made))
	testutil.Equals(t, []ulid.ULID{id}, made[0].Compaction.Sources)
	isEmpty(t, dir)
}

// onRecord calls do for each record.
type onRecord struct {
	slog.Handler
	do func()
}

func (onRecord) Enabled(context.Context, slog.Level) bool { return true }

func (h onRecord) Handle(context.Context, slog.Record) error { h.do(); return nil }
