package shipper_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/block/shipper"
)

// Of compacted blocks, those are held back that overlap with what is in the
// bucket and counts.
func TestOverlap(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		at     int64 // hours, of the block in the bucket
		change func(*block.Meta)
		mark   bool
		want   bool // it is in the way
	}{
		"same range":           {at: 4, want: true},
		"begins within":        {at: 5, want: true},
		"ends within":          {at: 3, want: true},
		"before":               {at: 2},
		"after":                {at: 6},
		"ends where it begins": {at: 2, change: func(m *block.Meta) { m.MaxTime = 4 * hour }},
		"begins where it ends": {at: 6, change: func(m *block.Meta) { m.MinTime = 4*hour + 7_170_001 }},
		"other labels":         {at: 4, change: func(m *block.Meta) { m.Thanos.Labels = map[string]string{"cluster": "eu2"} }},
		"some labels":          {at: 4, change: func(m *block.Meta) { m.Thanos.Labels = map[string]string{"cluster": "eu1"} }},
		"downsampled":          {at: 4, change: func(m *block.Meta) { m.Thanos.Downsample.Resolution = block.FiveMinutes }},
		"compacted":            {at: 4, change: func(m *block.Meta) { m.Compaction.Level = 3 }, want: true},
		"marked for deletion":  {at: 4, mark: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, bkt := t.TempDir(), objstore.NewInMemBucket()
			inBucket := upload(t, bkt, spec{n: 9, at: tc.at}, tc.change)
			if tc.mark {
				_, err := block.PutMark(t.Context(), bkt, block.Mark{Block: inBucket})
				testutil.Ok(t, err)
			}
			id := put(t, dir, spec{n: 1, at: 4, level: 2})
			newer := put(t, dir, spec{n: 2, at: 20})
			reg := prometheus.NewRegistry()
			opts := shipper.Options{UploadCompacted: true, Registerer: reg}
			res, err := newShipper(t, bkt, dir, opts).Sync(t.Context())
			if !tc.want {
				testutil.Ok(t, err)
				testutil.Equals(t, []ulid.ULID{id, newer}, res.Uploaded)
				testutil.Equals(t, 1.0, gathered(t, reg, "thanos_shipper_upload_compacted_done"))
				return
			}
			overlap, ok := errors.AsType[*shipper.OverlapError](err)
			testutil.Assert(t, ok && errors.Is(err, shipper.ErrOverlap), "%v", err)
			testutil.Equals(t, &shipper.OverlapError{Block: id, Others: []ulid.ULID{inBucket}}, overlap)
			// Newer blocks do not wait for what only a person can resolve.
			testutil.Equals(t, []ulid.ULID{newer}, res.Uploaded)
			testutil.Equals(t, []shipper.Skip{{Block: id, Reason: shipper.Overlapping}}, res.Skipped)
			testutil.Equals(t, 0.0, gathered(t, reg, "thanos_shipper_upload_compacted_done"))

			opts.AllowOutOfOrder = true
			res, err = newShipper(t, bkt, dir, opts).Sync(t.Context())
			testutil.Ok(t, err)
			testutil.Equals(t, []ulid.ULID{id}, res.Uploaded)
		})
	}
}

// upload puts a block into a bucket.
func upload(t *testing.T, bkt objstore.Bucket, s spec, change func(*block.Meta)) ulid.ULID {
	t.Helper()
	dir := t.TempDir()
	id := put(t, dir, s)
	blockDir := dir + "/" + id.String()
	meta, err := block.ReadMeta(blockDir)
	testutil.Ok(t, err)
	external().Range(func(l labels.Label) { meta.Thanos.Labels[l.Name] = l.Value })
	if change != nil {
		change(meta)
	}
	testutil.Ok(t, block.WriteMeta(blockDir, meta))
	_, err = block.Upload(t.Context(), bkt, blockDir, nil)
	testutil.Ok(t, err)
	return id
}

// Compacted blocks are compared with each other too, and the bucket is not read
// again and again for one that stays.
func TestOverlapAmongLocalBlocks(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	first := put(t, dir, spec{n: 1, at: 4, level: 2})
	second := put(t, dir, spec{n: 2, at: 5, level: 2})
	s := newShipper(t, bkt, dir, shipper.Options{UploadCompacted: true})
	res, err := s.Sync(t.Context())
	overlap, ok := errors.AsType[*shipper.OverlapError](err)
	testutil.Assert(t, ok, "%v", err)
	testutil.Equals(t, &shipper.OverlapError{Block: second, Others: []ulid.ULID{first}}, overlap)
	testutil.Equals(t, []ulid.ULID{first}, res.Uploaded)

	for range 2 {
		bkt.Reset()
		_, err = s.Sync(t.Context())
		testutil.Assert(t, errors.Is(err, shipper.ErrOverlap), "%v", err)
	}
	testutil.Equals(t, 1, bkt.Stats().Gets().Requests) // only for the block itself
}

// A block that lacked objects is not in its own way when it is sent again.
func TestNoOverlapWithItself(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), objstore.NewInMemBucket()
	first := put(t, dir, spec{n: 1, at: 0, level: 2}) // for which the bucket is read
	second := put(t, dir, spec{n: 2, at: 4, level: 2})
	opts := shipper.Options{UploadCompacted: true}
	_, err := newShipper(t, bkt, dir, opts).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, os.Remove(filepath.Join(dir, shipper.DefaultMetaFileName)))
	testutil.Ok(t, block.Delete(t.Context(), bkt, first))
	testutil.Ok(t, bkt.Delete(t.Context(), block.ObjectName(second, block.IndexFile)))
	res, err := newShipper(t, bkt, dir, opts).Sync(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, []ulid.ULID{first, second}, res.Uploaded)
	testutil.Equals(t, []ulid.ULID{first, second}, visible(t, bkt, dir))
}

// Without compacted blocks that could be sent, the bucket is not read.
func TestNoComparisonWithoutNeed(t *testing.T) {
	t.Parallel()
	dir, bkt := t.TempDir(), blocktest.NewBucket(objstore.NewInMemBucket())
	put(t, dir, spec{n: 1, at: 4})
	put(t, dir, spec{n: 2, at: 4, level: 2})
	_, err := newShipper(t, bkt, dir, shipper.Options{}).Sync(t.Context())
	testutil.Ok(t, err)
	for _, r := range bkt.Requests() {
		testutil.Assert(t, r.Op != objstore.OpIter || r.Name != "", "%v", r)
	}
}
