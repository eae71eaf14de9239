package compact_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// listing is a bucket that lists what is in one directory at a time if it is flat,
// and does not list hidden in the whole of it.
type listing struct {
	objstore.Bucket
	flat   bool
	hidden string
}

func (b *listing) SupportedIterOptions() []objstore.IterOptionType {
	return slices.DeleteFunc(slices.Clone(b.Bucket.SupportedIterOptions()), func(o objstore.IterOptionType) bool {
		return b.flat && o == objstore.Recursive
	})
}

func (b *listing) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, opts ...objstore.IterOption) error {
	return b.Bucket.IterWithAttributes(ctx, dir, func(a objstore.IterObjectAttributes) error {
		if dir == "" && a.Name == b.hidden {
			return nil
		}
		return f(a)
	}, opts...)
}

// When the newest object was written is told of all directories of a block.
func TestNewestObject(t *testing.T) {
	t.Parallel()
	for name, flat := range map[string]bool{"flat": true, "recursive": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bkt := &listing{Bucket: objstore.NewInMemBucket(), flat: flat}
				c, err := compact.New(bkt, t.TempDir(), nil)
				testutil.Ok(t, err)
				defer func() { testutil.Ok(t, c.Close()) }()
				id := ulid.MustNewDefault(time.Now())
				for _, file := range []string{block.IndexFile, "chunks/000001", block.MetaFile} {
					<-time.After(time.Hour)
					testutil.Ok(t, bkt.Upload(t.Context(), block.ObjectName(id, file), strings.NewReader(file)))
					at, whole, err := c.Newest(t.Context(), id)
					testutil.Ok(t, err)
					testutil.Assert(t, at.Equal(time.Now()), "%s: %v", file, at)
					testutil.Equals(t, file == block.MetaFile, whole)
				}
			})
		})
	}
}

// A block whose meta.json was not listed is not taken for what is left of an upload.
func TestDeleteSeesMeta(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mem, _, ids := newRun(t, nil)
		<-time.After(49 * time.Hour)
		bkt := &listing{Bucket: mem, hidden: block.ObjectName(ids[4], block.MetaFile)}
		c, err := compact.New(bkt, t.TempDir(), nil)
		testutil.Ok(t, err)
		defer func() { testutil.Ok(t, c.Close()) }()
		plan, err := c.Plan(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(plan.Deletes))
		testutil.Equals(t, ids[4], plan.Deletes[0].Block)
		deleted, err := c.Clean(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(deleted))
		_, err = block.FetchMeta(t.Context(), bkt, ids[4])
		testutil.Ok(t, err)
	})
}

// Blocks that need not stay once they are marked are deleted in the same run.
func TestMarkedIsDeletedAtOnce(t *testing.T) {
	t.Parallel()
	bkt, c, ids := newHooked(t, &compact.Options{DeleteDelay: -1})
	bkt.upload = func(name string) error {
		if strings.HasSuffix(name, "/"+block.DeletionMarkFile) {
			return errRefused
		}
		return nil
	}
	r, err := c.RunOnce(t.Context())
	testutil.Assert(t, errors.Is(err, errRefused), "%v", err)
	testutil.Equals(t, 0, len(r.Deleted))
	bkt.upload = nil
	r, err = c.RunOnce(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 0, r.Compactions)
	testutil.Equals(t, 4, len(r.Marked))
	for _, deleted := range [][]ulid.ULID{r.Deleted, ids[:4]} {
		slices.SortFunc(deleted, ulid.ULID.Compare)
	}
	testutil.Equals(t, ids[:4], r.Deleted)
}

// What a job has made and is not whole any more is made anew.
func TestOutputIsDamaged(t *testing.T) {
	t.Parallel()
	mem, _, _ := newRun(t, nil)
	bkt, dir := &hooked{Bucket: mem, upload: func(string) error { return errRefused }}, t.TempDir()
	c, err := compact.New(bkt, dir, nil)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	_, err = c.RunOnce(t.Context())
	testutil.Assert(t, errors.Is(err, errRefused), "%v", err)
	metas, err := filepath.Glob(filepath.Join(dir, "jobs", "*", "outputs", "*", block.MetaFile))
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(metas))
	testutil.Ok(t, os.Remove(metas[0]))
	bkt.upload = nil
	r, err := c.RunOnce(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 1, r.Compactions)
}

// What was downloaded of a block when the bucket failed is not downloaded again.
func TestDownloadGoesOn(t *testing.T) {
	t.Parallel()
	bkt, c, ids := newHooked(t, nil)
	chunks, reads := block.ObjectName(ids[1], "chunks/000001"), 0
	bkt.get = func(name string) error {
		switch name {
		case chunks:
			reads++
		case block.ObjectName(ids[1], block.IndexFile):
			return errRefused
		}
		return nil
	}
	_, err := c.RunOnce(t.Context())
	testutil.Assert(t, errors.Is(err, errRefused), "%v", err)
	index := bkt.get
	bkt.get = func(name string) error {
		if err := index(name); name == chunks {
			return err
		}
		return nil
	}
	r, err := c.RunOnce(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 1, r.Compactions)
	testutil.Equals(t, 1, reads)
}
