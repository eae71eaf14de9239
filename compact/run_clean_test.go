package compact_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// hooked is a bucket whose requests may fail, or be preceded by something.
type hooked struct {
	objstore.Bucket
	get, upload, del func(name string) error
}

func (b *hooked) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if b.get != nil {
		if err := b.get(name); err != nil {
			return nil, err
		}
	}
	return b.Bucket.Get(ctx, name)
}

func (b *hooked) Upload(ctx context.Context, name string, r io.Reader, opts ...objstore.ObjectUploadOption) error {
	if b.upload != nil {
		if err := b.upload(name); err != nil {
			return err
		}
	}
	return b.Bucket.Upload(ctx, name, r, opts...)
}

func (b *hooked) Delete(ctx context.Context, name string) error {
	if b.del != nil {
		if err := b.del(name); err != nil {
			return err
		}
	}
	return b.Bucket.Delete(ctx, name)
}

var errRefused = errors.New("refused")

// newHooked is newRun of a bucket that can be hooked.
func newHooked(t *testing.T, opts *compact.Options) (*hooked, *compact.Compactor, []ulid.ULID) {
	t.Helper()
	mem, _, ids := newRun(t, nil)
	bkt := &hooked{Bucket: mem}
	c, err := compact.New(bkt, t.TempDir(), opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	return bkt, c, ids
}

// valueOf is a metric without labels.
func valueOf(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		if m := f.GetMetric(); f.GetName() == name && m[0].GetCounter() != nil {
			return m[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no counter %s", name)
	return 0
}

// What cannot be deleted is counted each time, told once in a run, and deleted
// when it can be.
func TestCleanFails(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	bkt, c, _ := newHooked(t, &compact.Options{Registerer: reg})
	left := ulid.MustNewDefault(time.Now()) // of a deletion that has not ended
	_, err := block.PutMark(t.Context(), bkt, block.Mark{Kind: block.DeletionMark, Block: left, Time: time.Now().Add(-49 * time.Hour)})
	testutil.Ok(t, err)
	bkt.del = func(string) error { return errRefused }
	deleted, cleanErr := c.Clean(t.Context())
	testutil.Assert(t, errors.Is(cleanErr, compact.ErrBucket) && errors.Is(cleanErr, errRefused), "%v", cleanErr)
	testutil.Equals(t, 0, len(deleted))
	testutil.Equals(t, 1.0, valueOf(t, reg, "thanos_compact_block_cleanup_failures_total"))
	r, err := c.RunOnce(t.Context())
	testutil.Equals(t, 1, r.Compactions) // There were two plans.
	testutil.Equals(t, 1, strings.Count(err.Error(), cleanErr.Error()), "%v\n%v", err, cleanErr)
	testutil.Equals(t, 3.0, valueOf(t, reg, "thanos_compact_block_cleanup_failures_total"))
	testutil.Equals(t, 0.0, valueOf(t, reg, "thanos_compact_block_cleanup_loops_total"))
	testutil.Equals(t, 0.0, valueOf(t, reg, "thanos_compact_blocks_cleaned_total"))
	bkt.del = nil
	deleted, err = c.Clean(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []ulid.ULID{left}, deleted)
	testutil.Equals(t, 1.0, valueOf(t, reg, "thanos_compact_block_cleanup_loops_total"))
	testutil.Equals(t, 1.0, valueOf(t, reg, "thanos_compact_blocks_cleaned_total"))
}

// In a filesystem, an upload that a process died of at its last object is like any
// other that nobody goes on with, and a mark that it died of is none.
func TestTornUploads(t *testing.T) {
	t.Parallel()
	mem, _, ids := newRun(t, nil)
	root := t.TempDir()
	bkt, err := filesystem.NewBucket(root)
	testutil.Ok(t, err)
	for name, content := range mem.Objects() {
		testutil.Ok(t, bkt.Upload(t.Context(), name, bytes.NewReader(content)))
	}
	put := func(id ulid.ULID, file, content string, age time.Duration) {
		name := block.ObjectName(id, file)
		testutil.Ok(t, bkt.Upload(t.Context(), name, strings.NewReader(content)))
		at := time.Now().Add(-age)
		testutil.Ok(t, os.Chtimes(filepath.Join(root, name), at, at))
	}
	old, young, garbage, resumed := ulid.MustNewDefault(time.Now()), ulid.MustNewDefault(time.Now()), ulid.MustNewDefault(time.Now()), ulid.MustNewDefault(time.Now())
	for id, meta := range map[ulid.ULID]string{old: `{"ulid":`, young: "", garbage: "?", resumed: ""} {
		put(id, "chunks/000001", "x", 50*time.Hour)
		put(id, block.MetaFile, meta, 49*time.Hour)
	}
	put(old, block.MetaFile, `{"ulid":`, 50*time.Hour) // which is the first to be deleted
	put(young, "index", "x", 47*time.Hour)
	put(ids[0], block.DeletionMarkFile, `{"id":`, time.Hour)
	hook, deleted := &hooked{Bucket: bkt}, 0
	hook.del = func(string) error {
		if deleted++; deleted == 1 {
			// What was planned to be deleted, too, has been uploaded whole by now.
			put(resumed, block.MetaFile, string(mem.Objects()[block.ObjectName(ids[4], block.MetaFile)]), 49*time.Hour)
		}
		return nil
	}
	c, err := compact.New(hook, t.TempDir(), nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	r, err := c.RunOnce(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 1, r.Compactions)
	testutil.Equals(t, []ulid.ULID{old}, r.Deleted)
}

// A bucket that does not answer whether an upload has ended meanwhile is an error, and
// nothing is deleted until it does.
func TestTornUploadIsNotRead(t *testing.T) {
	t.Parallel()
	root, id := t.TempDir(), ulid.MustNewDefault(time.Now())
	bkt, err := filesystem.NewBucket(root)
	testutil.Ok(t, err)
	name, at := block.ObjectName(id, block.MetaFile), time.Now().Add(-49*time.Hour)
	testutil.Ok(t, bkt.Upload(t.Context(), name, strings.NewReader("{")))
	testutil.Ok(t, os.Chtimes(filepath.Join(root, name), at, at))
	gets := 0
	c, err := compact.New(&hooked{Bucket: bkt, get: func(string) error {
		if gets++; gets == 2 { // The first one is the plan's.
			return errRefused
		}
		return nil
	}}, t.TempDir(), nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	deleted, err := c.Clean(t.Context())
	testutil.Assert(t, errors.Is(err, errRefused), "%v", err)
	testutil.Equals(t, 0, len(deleted))
	deleted, err = c.Clean(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []ulid.ULID{id}, deleted)
}

// Sources that could not be marked are by a later run, and counted once, whoever
// marks them.
func TestMarkFails(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	bkt, c, _ := newHooked(t, &compact.Options{Registerer: reg})
	refused := 0
	bkt.upload = func(name string) error {
		if refused >= 0 && strings.HasSuffix(name, "/"+block.DeletionMarkFile) {
			if refused++; refused > 2 {
				return errRefused
			}
		}
		return nil
	}
	wants := func(sources, runs, failures float64) {
		t.Helper()
		testutil.Equals(t, sources, valueOf(t, reg, "thanos_compact_garbage_collected_blocks_total"))
		testutil.Equals(t, runs, valueOf(t, reg, "thanos_compact_garbage_collection_total"))
		testutil.Equals(t, failures, valueOf(t, reg, "thanos_compact_garbage_collection_failures_total"))
	}
	r, err := c.RunOnce(t.Context())
	testutil.Assert(t, errors.Is(err, compact.ErrBucket) && errors.Is(err, errRefused), "%v", err)
	testutil.Equals(t, 1, len(r.Failed))
	wants(2, 1, 0)
	r, err = c.RunOnce(t.Context())
	testutil.Assert(t, errors.Is(err, errRefused), "%v", err)
	testutil.Equals(t, 0, len(r.Marked))
	wants(2, 1, 1)
	refused = -1
	r, err = c.RunOnce(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 2, len(r.Marked))
	testutil.Assert(t, valueOf(t, reg, "thanos_compact_garbage_collection_total") > 1)
	testutil.Equals(t, 4.0, valueOf(t, reg, "thanos_compact_garbage_collected_blocks_total"))
}

// A block whose mark has become a later one since the plan, or one that cannot be
// read, is not deleted.
func TestMarkChanges(t *testing.T) {
	t.Parallel()
	for name, now := range map[string]func(id ulid.ULID) []byte{
		"marked anew": func(id ulid.ULID) []byte {
			text, err := (&block.Mark{Kind: block.DeletionMark, Block: id, Time: time.Now().Add(-48*time.Hour - time.Minute)}).Encode()
			testutil.Ok(t, err)
			return text
		},
		"damaged": func(ulid.ULID) []byte { return []byte("{") },
		"unknown": func(id ulid.ULID) []byte { return []byte(`{"id":"` + id.String() + `","version":9}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bkt, c, ids := newHooked(t, nil)
			_, err := block.PutMark(t.Context(), bkt, block.Mark{Kind: block.DeletionMark, Block: ids[4], Time: time.Now().Add(-49 * time.Hour)})
			testutil.Ok(t, err)
			mark, reads := block.ObjectName(ids[4], block.DeletionMarkFile), 0
			bkt.get = func(name string) error {
				if name != mark {
					return nil
				}
				if reads++; reads == 1 {
					return nil // It is the plan's.
				}
				return bkt.Bucket.Upload(t.Context(), mark, bytes.NewReader(now(ids[4])))
			}
			deleted, err := c.Clean(t.Context())
			testutil.Ok(t, err)
			testutil.Equals(t, 2, reads)
			testutil.Equals(t, 0, len(deleted))
			_, err = block.FetchMeta(t.Context(), bkt, ids[4])
			testutil.Ok(t, err)
		})
	}
}

// A job that does not fit on the disk and is the only one is not tried again: it
// would fit no better.
func TestDiskFullForOne(t *testing.T) {
	t.Parallel()
	_, c, _ := newRun(t, nil)
	tried := 0
	c.SetMerge(func(context.Context, *compact.Job, []string, string, makeFunc) ([]*block.Meta, error) {
		tried++
		return nil, syscall.ENOSPC
	})
	r, err := c.RunOnce(t.Context())
	testutil.Assert(t, errors.Is(err, compact.ErrDiskFull), "%v", err)
	testutil.Equals(t, 1, len(r.Failed))
	testutil.Equals(t, 1, tried)
	testutil.Equals(t, compact.Progress{}, c.Progress())
}
