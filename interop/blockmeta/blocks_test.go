package blockmeta_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"
	thanosblock "github.com/thanos-io/thanos/pkg/block"
	"github.com/thanos-io/thanos/pkg/block/metadata"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// newBlock builds a block with external labels.
func newBlock(t *testing.T) (*block.Meta, string) {
	t.Helper()
	dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "eu1")},
		blocktest.Floats(labels.FromStrings("__name__", "up", "job", "x"), 0, 15_000, 1, 0, 1, 1))
	m, err := block.ReadMeta(dir)
	testutil.Ok(t, err)
	return m, dir
}

func contents(t *testing.T, bkt *objstore.InMemBucket) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, b := range bkt.Objects() {
		found[name] = string(b)
	}
	return found
}

// Both upload the same objects; meta.json differs in upload_time alone, hashes
// included.
func TestUploads(t *testing.T) {
	t.Parallel()
	ctx, logger := context.Background(), log.NewNopLogger()
	for _, hash := range []metadata.HashFunc{metadata.NoneFunc, metadata.SHA256Func} {
		m, dir := newBlock(t)
		ours, theirs := objstore.NewInMemBucket(), objstore.NewInMemBucket()
		_, err := block.Upload(ctx, ours, dir, &block.UploadOptions{Hash: block.HashFunc(hash)})
		testutil.Ok(t, err)
		testutil.Ok(t, thanosblock.Upload(ctx, logger, theirs, dir, hash))

		a, b := contents(t, ours), contents(t, theirs)
		name := block.ObjectName(m.ULID, block.MetaFile)
		same := func(in string) string {
			m, err := block.ParseMeta([]byte(in))
			testutil.Ok(t, err)
			testutil.Assert(t, !m.Thanos.UploadTime.IsZero())
			m.Thanos.UploadTime = time.Time{}
			out, err := m.Encode()
			testutil.Ok(t, err)
			return string(out)
		}
		a[name], b[name] = same(a[name]), same(b[name])
		testutil.Equals(t, b, a)

		// What is uploaded already is left alone, whoever did it.
		before := contents(t, theirs)
		_, err = block.Upload(ctx, theirs, dir, nil)
		testutil.Ok(t, err)
		testutil.Equals(t, before, contents(t, theirs))

		// Each downloads the other's, and deletes it.
		to := filepath.Join(t.TempDir(), m.ULID.String())
		testutil.Ok(t, block.Download(ctx, theirs, m.ULID, to, nil))
		toTheirs := filepath.Join(t.TempDir(), m.ULID.String())
		testutil.Ok(t, thanosblock.Download(ctx, logger, ours, m.ULID, toTheirs))
		for _, f := range m.Thanos.Files {
			if f.RelPath == block.MetaFile {
				continue
			}
			x, err := os.ReadFile(filepath.Join(to, f.RelPath))
			testutil.Ok(t, err)
			y, err := os.ReadFile(filepath.Join(toTheirs, f.RelPath))
			testutil.Ok(t, err)
			testutil.Equals(t, x, y)
		}
		testutil.Ok(t, thanosblock.Delete(ctx, logger, ours, m.ULID))
		testutil.Ok(t, block.Delete(ctx, theirs, m.ULID))
		testutil.Equals(t, 0, len(ours.Objects())+len(theirs.Objects()))
	}
}

// Marks of ours mean to Thanos what they mean to us, and the other way.
func TestMarks(t *testing.T) {
	t.Parallel()
	ctx, logger := context.Background(), log.NewNopLogger()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})
	id := ulid.MustParse("01EMS4F6G00000000000000001")

	bkt := objstore.NewInMemBucket()
	ib := objstore.WithNoopInstr(bkt)
	for kind := block.DeletionMark; kind <= block.NoDownsampleMark; kind++ {
		_, err := block.PutMark(ctx, bkt, block.Mark{Kind: kind, Block: id, Reason: block.ReasonManual, Details: "d"})
		testutil.Ok(t, err)
	}
	deletion, noCompact, noDownsample := &metadata.DeletionMark{}, &metadata.NoCompactMark{}, &metadata.NoDownsampleMark{}
	for _, m := range []metadata.Marker{deletion, noCompact, noDownsample} {
		testutil.Ok(t, metadata.ReadMarker(ctx, logger, ib, id.String(), m))
	}
	for kind, want := range map[block.MarkKind]int64{block.DeletionMark: deletion.DeletionTime, block.NoCompactMark: noCompact.NoCompactTime, block.NoDownsampleMark: noDownsample.NoDownsampleTime} {
		m, err := block.ReadMark(ctx, bkt, id, kind)
		testutil.Ok(t, err)
		testutil.Equals(t, want, m.Time.Unix())
	}
	testutil.Equals(t, metadata.ManualNoCompactReason, noCompact.Reason)
	testutil.Equals(t, "d", deletion.Details)
	before := contents(t, bkt)
	testutil.Ok(t, thanosblock.MarkForDeletion(ctx, logger, bkt, id, "other", counter))
	testutil.Equals(t, before, contents(t, bkt))

	theirs := objstore.NewInMemBucket()
	testutil.Ok(t, thanosblock.MarkForDeletion(ctx, logger, theirs, id, "d", counter))
	testutil.Ok(t, thanosblock.MarkForNoCompact(ctx, logger, theirs, id, metadata.IndexSizeExceedingNoCompactReason, "", counter))
	testutil.Ok(t, thanosblock.MarkForNoDownsample(ctx, logger, theirs, id, metadata.ManualNoDownsampleReason, "", counter))
	for kind := block.DeletionMark; kind <= block.NoDownsampleMark; kind++ {
		put, err := block.PutMark(ctx, theirs, block.Mark{Kind: kind, Block: id})
		testutil.Ok(t, err)
		testutil.Assert(t, !put)
		_, err = block.RemoveMark(ctx, theirs, id, kind)
		testutil.Ok(t, err)
	}
	err := metadata.ReadMarker(ctx, logger, objstore.WithNoopInstr(theirs), id.String(), deletion)
	testutil.Assert(t, errors.Is(err, metadata.ErrorMarkerNotFound), "%v", err)
	_, err = theirs.Get(ctx, block.ObjectName(id, block.NoCompactMarkFile))
	testutil.Assert(t, theirs.IsObjNotFoundErr(err) && !errors.Is(err, io.EOF), "%v", err)
}
