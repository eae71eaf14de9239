package block_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// buckets are those that have objects as a whole, and those that may tear them.
func buckets(t testing.TB) map[string]func() objstore.Bucket {
	return map[string]func() objstore.Bucket{
		"object store": func() objstore.Bucket { return objstore.NewInMemBucket() },
		"filesystem": func() objstore.Bucket {
			bkt, err := filesystem.NewBucket(t.TempDir())
			testutil.Ok(t, err)
			return bkt
		},
	}
}

// ops returns what was asked of a bucket, in order.
func ops(bkt *blocktest.Bucket, op string) []string {
	var found []string
	for _, r := range bkt.Requests() {
		if r.Op == op {
			found = append(found, r.Name)
		}
	}
	return found
}

func TestUpload(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, open := range buckets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, dir := newBlock(t, t.TempDir(), 1)
			testutil.Ok(t, os.WriteFile(filepath.Join(dir, "tombstones"), []byte("x"), 0o600))
			local := readDir(t, dir)
			bkt := blocktest.NewBucket(open())
			begin := time.Now()
			got, err := block.Upload(ctx, bkt, dir, &block.UploadOptions{Hash: block.HashSHA256})
			testutil.Ok(t, err)
			since(t, begin, got.Thanos.UploadTime)
			testutil.Equals(t, "", cmp.Diff(local, readDir(t, dir)))

			// In this order, with what there is to say.
			id := m.ULID.String()
			uploads := ops(bkt, objstore.OpUpload)
			testutil.Equals(t, []string{id + "/index", id + "/meta.json"}, uploads[len(uploads)-2:])
			testutil.Equals(t, 5, len(uploads))
			want := *m
			want.Thanos.UploadTime = got.Thanos.UploadTime
			want.Thanos.Files = []block.File{
				{RelPath: "chunks/000001", SizeBytes: 151},
				{RelPath: "chunks/000002", SizeBytes: 164},
				{RelPath: "chunks/000003", SizeBytes: 177},
				{RelPath: "index", SizeBytes: 75},
				{RelPath: "meta.json"},
			}
			for i, f := range want.Thanos.Files {
				testutil.Equals(t, f.RelPath == "meta.json", got.Thanos.Files[i].Hash == nil, f.RelPath)
				want.Thanos.Files[i].Hash = got.Thanos.Files[i].Hash
			}
			testutil.Equals(t, "", cmp.Diff(&want, got))
			testutil.Equals(t, int64(75), got.IndexSize())
			fetched, err := block.FetchMeta(ctx, bkt, m.ULID)
			testutil.Ok(t, err)
			testutil.Equals(t, "", cmp.Diff(got, fetched))
			testutil.Equals(t, "", cmp.Diff(without(local, "meta.json", "tombstones"), without(visible(t, bkt, m.ULID), "meta.json")))

			// Once more is nothing: one request.
			bkt.Reset()
			n := len(bkt.Requests())
			again, err := block.Upload(ctx, bkt, dir, nil)
			testutil.Ok(t, err)
			testutil.Equals(t, "", cmp.Diff(got, again))
			testutil.Equals(t, 1, len(bkt.Requests())-n)
		})
	}
}

func TestUploadRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, dir string) string
		want   error
	}{
		{"no external labels", func(t *testing.T, dir string) string {
			_, d := newBlock(t, dir, 2, func(m *block.Meta) { m.Thanos.Labels = nil })
			return d
		}, block.ErrNoLabels},
		{"no meta.json", func(t *testing.T, dir string) string {
			testutil.Ok(t, os.Remove(filepath.Join(dir, newID(1).String(), "meta.json")))
			return filepath.Join(dir, newID(1).String())
		}, block.ErrNotFound},
		{"no index", func(t *testing.T, dir string) string {
			testutil.Ok(t, os.Remove(filepath.Join(dir, newID(1).String(), "index")))
			return filepath.Join(dir, newID(1).String())
		}, os.ErrNotExist},
		{"no chunks", func(t *testing.T, dir string) string {
			testutil.Ok(t, os.RemoveAll(filepath.Join(dir, newID(1).String(), "chunks")))
			return filepath.Join(dir, newID(1).String())
		}, os.ErrNotExist},
		{"directory among chunks", func(t *testing.T, dir string) string {
			testutil.Ok(t, os.Mkdir(filepath.Join(dir, newID(1).String(), "chunks", "000009"), 0o700))
			return filepath.Join(dir, newID(1).String())
		}, os.ErrInvalid},
		{"link among chunks", func(t *testing.T, dir string) string {
			testutil.Ok(t, os.Symlink("/etc/passwd", filepath.Join(dir, newID(1).String(), "chunks", "000009")))
			return filepath.Join(dir, newID(1).String())
		}, os.ErrInvalid},
		{"named segment not there", func(t *testing.T, dir string) string {
			_, d := newBlock(t, dir, 2, func(m *block.Meta) { m.Thanos.SegmentFiles = []string{"000001", "000002", "000003", "000004"} })
			return d
		}, block.ErrCorrupt},
		{"no ULID", func(t *testing.T, dir string) string {
			testutil.Ok(t, os.Rename(filepath.Join(dir, newID(1).String()), filepath.Join(dir, "x")))
			return filepath.Join(dir, "x")
		}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			newBlock(t, dir, 1)
			bkt := objstore.NewInMemBucket()
			_, err := block.Upload(ctx, bkt, tc.change(t, dir), nil)
			testutil.Assert(t, err != nil && (tc.want == nil || errors.Is(err, tc.want)), "%v", err)
			testutil.Equals(t, 0, len(bkt.Objects()))
		})
	}
	_, dir := newBlock(t, t.TempDir(), 1, func(m *block.Meta) { m.Thanos.Labels = nil })
	_, err := block.Upload(ctx, objstore.NewInMemBucket(), dir, &block.UploadOptions{AllowNoLabels: true})
	testutil.Ok(t, err)
	_, dir = newBlock(t, t.TempDir(), 1)
	_, err = block.Upload(ctx, objstore.NewInMemBucket(), dir, &block.UploadOptions{Hash: "MD5"})
	testutil.Assert(t, errors.Is(err, errors.ErrUnsupported), "%v", err)
}

// What is there is looked at before it is relied on, and another block is left
// alone.
func TestUploadOverWhatIsThere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, open := range buckets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, dir := newBlock(t, t.TempDir(), 1)
			local, id := readDir(t, dir), m.ULID.String()
			bkt := blocktest.NewBucket(open())
			put(t, bkt, id+"/chunks/000001", local["chunks/000001"])
			put(t, bkt, id+"/chunks/000002", local["chunks/000002"][:20])
			put(t, bkt, id+"/chunks/000009", "of an attempt before")
			put(t, bkt, id+"/chunks/.junk", "Thanos takes it for a segment where none are named")
			put(t, bkt, id+"/index", "other")
			put(t, bkt, id+"/meta.json", "{")
			put(t, bkt, id+"/no-compact-mark.json", "{}")
			n := len(ops(bkt, objstore.OpUpload))
			_, err := block.Upload(ctx, bkt, dir, &block.UploadOptions{Concurrency: 1})
			testutil.Ok(t, err)
			testutil.Equals(t, []string{id + "/chunks/000002", id + "/chunks/000003", id + "/index", id + "/meta.json"}, ops(bkt, objstore.OpUpload)[n:])
			testutil.Equals(t, []string{id + "/chunks/.junk", id + "/chunks/000009"}, slices.Sorted(slices.Values(ops(bkt, objstore.OpDelete))))
			seen := visible(t, bkt, m.ULID)
			testutil.Equals(t, "{}", seen["no-compact-mark.json"])
			testutil.Equals(t, "", cmp.Diff(without(local, "meta.json"), without(seen, "meta.json", "no-compact-mark.json")))
		})
	}
}

// What is beside the segments of a block and is none would shift their numbers.
func TestNoSegments(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, dir := newBlock(t, t.TempDir(), 1)
	want, junk := readDir(t, dir), []string{".DS_Store", "000002.tmp", ".."}
	for _, name := range junk[:2] {
		testutil.Ok(t, os.WriteFile(filepath.Join(dir, "chunks", name), []byte("x"), 0o600))
	}
	bkt := objstore.NewInMemBucket()
	up, err := block.Upload(ctx, bkt, dir, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, sortedKeys(want), sortedKeys(visible(t, bkt, m.ULID)))

	// Nor where there are such objects, and meta.json names nothing, or them.
	for _, name := range junk {
		put(t, bkt, m.ULID.String()+"/chunks/"+name, "x")
	}
	up.Thanos.Files = nil
	b, err := up.Encode()
	testutil.Ok(t, err)
	put(t, bkt, block.ObjectName(m.ULID, block.MetaFile), string(b))
	got := filepath.Join(t.TempDir(), m.ULID.String())
	testutil.Ok(t, block.Download(ctx, bkt, m.ULID, got, nil))
	testutil.Equals(t, sortedKeys(want), sortedKeys(readDir(t, got)))
	up.Thanos.Files = []block.File{{RelPath: "chunks/.DS_Store"}, {RelPath: "chunks/000001"}}
	testutil.Equals(t, []block.File{{RelPath: "chunks/000001"}}, up.Segments())
}

// What has been there for long, a compactor may be deleting.
func TestUploadDoesNotRelyOnWhatIsOld(t *testing.T) {
	t.Parallel()
	ctx, inner := context.Background(), objstore.NewInMemBucket()
	m, dir := newBlock(t, t.TempDir(), 1)
	local, id := readDir(t, dir), m.ULID.String()
	for i, age := range []time.Duration{23 * time.Hour, 25 * time.Hour} {
		name := id + "/" + block.SegmentName(i)
		put(t, inner, name, local[block.SegmentName(i)])
		testutil.Ok(t, inner.ChangeLastModified(name, time.Now().Add(-age)))
	}
	bkt := blocktest.NewBucket(inner)
	_, err := block.Upload(ctx, bkt, dir, &block.UploadOptions{Concurrency: 1})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{id + "/chunks/000002", id + "/chunks/000003", id + "/index", id + "/meta.json"}, ops(bkt, objstore.OpUpload))
}

func TestUploadComparesWhereObjectsTear(t *testing.T) {
	t.Parallel()
	bkt, err := filesystem.NewBucket(t.TempDir())
	testutil.Ok(t, err)
	m, dir := newBlock(t, t.TempDir(), 1)
	local := readDir(t, dir)
	name := block.ObjectName(m.ULID, "chunks/000001")
	put(t, bkt, name, strings.Repeat("\x00", len(local["chunks/000001"])))
	_, err = block.Upload(context.Background(), bkt, dir, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, local["chunks/000001"], object(t, bkt, name))
}

func TestUploadOfAnotherBlock(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for what, change := range map[string]func(*block.Meta){
		"time range": func(m *block.Meta) { m.MaxTime++ },
		"stats":      func(m *block.Meta) { m.Stats.NumSeries++ },
		"compaction": func(m *block.Meta) { m.Compaction.Sources = nil },
		"labels":     func(m *block.Meta) { m.Thanos.Labels["replica"] = "b" },
		"resolution": func(m *block.Meta) { m.Thanos.Downsample.Resolution = block.OneHour },
		"files":      func(m *block.Meta) { m.Thanos.Files = []block.File{{RelPath: "index", SizeBytes: 1}} },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			m, dir := newBlock(t, t.TempDir(), 1)
			bkt := objstore.NewInMemBucket()
			change(m)
			putMeta(t, bkt, m)
			_, err := block.Upload(ctx, bkt, dir, nil)
			testutil.Assert(t, errors.Is(err, block.ErrExists), "%v", err)
			testutil.Assert(t, strings.Contains(err.Error(), what), "%v", err)
			testutil.Equals(t, 1, len(bkt.Objects()))
		})
	}
	// What was added to it since, or depends on who sent it, is no difference.
	m, dir := newBlock(t, t.TempDir(), 1)
	m.Thanos.Extensions, m.Thanos.Source, m.Thanos.SegmentFiles = []byte(`{"parquet_migrated":true}`), block.SourceTest, []string{"000001"}
	bkt := objstore.NewInMemBucket()
	putMeta(t, bkt, m)
	got, err := block.Upload(ctx, bkt, dir, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, "", cmp.Diff(m, got))
	// Of a version that is not known it is not known either.
	bkt = objstore.NewInMemBucket()
	put(t, bkt, block.ObjectName(m.ULID, "meta.json"), strings.Replace(minimal, `"version":1`, `"version":2`, 1))
	_, err = block.Upload(ctx, bkt, dir, nil)
	testutil.Assert(t, errors.Is(err, block.ErrUnsupported), "%v", err)
}

// Wherever a request fails, the block is not there, what was sent stays, and the
// next call ends it.
func TestUploadFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, dir := newBlock(t, t.TempDir(), 1)
	for n := 1; ; n++ {
		bkt := blocktest.NewBucket(objstore.NewInMemBucket())
		calls := 0
		bkt.Fail(func(blocktest.Request) error {
			if calls++; calls == n {
				return blocktest.ErrFault
			}
			return nil
		})
		_, err := block.Upload(ctx, bkt, dir, &block.UploadOptions{Concurrency: 1})
		bkt.Fail(nil)
		testutil.Equals(t, 0, len(ops(bkt, objstore.OpDelete)))
		if err == nil {
			testutil.Assert(t, n > 6, "%d", n)
			return
		}
		testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
		testutil.Assert(t, visible(t, bkt, m.ULID) == nil)
		_, err = block.Upload(ctx, bkt, dir, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, 5, len(visible(t, bkt, m.ULID)))
	}
}

func TestUploadCancelled(t *testing.T) {
	t.Parallel()
	_, dir := newBlock(t, t.TempDir(), 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := block.Upload(ctx, blocktest.NewBucket(objstore.NewInMemBucket()), dir, nil)
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
}

// Two uploads of one block at a time do no harm, whichever is cut off.
func TestUploadTwice(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, dir := newBlock(t, t.TempDir(), 1)
	inner := objstore.NewInMemBucket()
	errs := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := block.Upload(ctx, inner, dir, nil)
			errs <- err
		}()
	}
	testutil.Ok(t, <-errs)
	testutil.Ok(t, <-errs)
	testutil.Equals(t, "", cmp.Diff(without(readDir(t, dir), "meta.json"), without(visible(t, inner, m.ULID), "meta.json")))
}

// In a filesystem, files that another upload has sent since this one began are not
// written anew: readers may have them open.
func TestUploadAfterAnotherSince(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, dir := newBlock(t, t.TempDir(), 1)
	inner := buckets(t)["filesystem"]()
	bkt := blocktest.NewBucket(inner)
	first := block.ObjectName(m.ULID, block.SegmentName(0))
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op == objstore.OpUpload && r.Name == first {
			_, err := block.Upload(ctx, inner, dir, nil)
			return err
		}
		return nil
	})
	_, err := block.Upload(ctx, bkt, dir, &block.UploadOptions{Concurrency: 1})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{first, block.ObjectName(m.ULID, block.MetaFile)}, ops(bkt, objstore.OpUpload))
	testutil.Equals(t, "", cmp.Diff(without(readDir(t, dir), "meta.json"), without(visible(t, inner, m.ULID), "meta.json")))
}

func TestUploadOfWhatChanges(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, dir := newBlock(t, t.TempDir(), 1)
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op != objstore.OpUpload || !strings.HasSuffix(r.Name, "000002") {
			return nil
		}
		return os.Truncate(filepath.Join(dir, "chunks/000002"), 9)
	})
	_, err := block.Upload(ctx, bkt, dir, nil)
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "a block does not change"), "%v", err)
	testutil.Assert(t, visible(t, bkt, m.ULID) == nil)
}

func TestUploadHashesDiffer(t *testing.T) {
	t.Parallel()
	m, bkt := uploaded(t)
	_, dir := newBlock(t, t.TempDir(), 1)
	b, err := os.ReadFile(filepath.Join(dir, "index"))
	testutil.Ok(t, err)
	b[20]++
	testutil.Ok(t, os.WriteFile(filepath.Join(dir, "index"), b, 0o600))
	_, err = block.Upload(context.Background(), bkt, dir, &block.UploadOptions{Hash: block.HashSHA256})
	testutil.Assert(t, errors.Is(err, block.ErrExists) && strings.Contains(err.Error(), m.ULID.String()), "%v", err)
}

// What cannot be compared is an error, not a difference.
func TestUploadCannotCompare(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	inner, err := filesystem.NewBucket(t.TempDir())
	testutil.Ok(t, err)
	bkt := blocktest.NewBucket(inner)
	m, dir := newBlock(t, t.TempDir(), 1)
	put(t, bkt, block.ObjectName(m.ULID, "chunks/000001"), readDir(t, dir)["chunks/000001"])
	bkt.Body(blocktest.Broken(10, blocktest.ErrFault))
	_, err = block.Upload(ctx, bkt, dir, nil)
	testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
	testutil.Equals(t, 0, bkt.OpenBodies())
}

// Objects that are not there are no failures in a bucket's own metrics.
func TestNotFoundIsExpected(t *testing.T) {
	t.Parallel()
	ctx, reg := context.Background(), prometheus.NewRegistry()
	bkt := objstore.WrapWithMetrics(objstore.NewInMemBucket(), reg, "test")
	_, dir := newBlock(t, t.TempDir(), 1)
	_, err := block.Upload(ctx, bkt, dir, nil)
	testutil.Ok(t, err)
	_, err = block.PutMark(ctx, bkt, block.Mark{Kind: block.NoCompactMark, Block: newID(1)})
	testutil.Ok(t, err)
	_, err = block.FetchMeta(ctx, bkt, newID(2))
	testutil.Assert(t, errors.Is(err, block.ErrNotFound), "%v", err)
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		if f.GetName() != "objstore_bucket_operation_failures_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			testutil.Equals(t, 0.0, m.GetCounter().GetValue(), m.String())
		}
		return
	}
	t.Fatal("no metrics")
}
