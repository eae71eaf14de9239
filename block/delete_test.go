package block_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// flat is a bucket that cannot list recursively, nor say when objects were
// written.
type flat struct{ objstore.Bucket }

func (flat) SupportedIterOptions() []objstore.IterOptionType { return nil }

func (f flat) Iter(ctx context.Context, dir string, fn func(string) error, opts ...objstore.IterOption) error {
	if len(opts) > 0 {
		return objstore.ErrOptionNotSupported
	}
	return f.Bucket.Iter(ctx, dir, fn)
}

func (flat) IterWithAttributes(context.Context, string, func(objstore.IterObjectAttributes) error, ...objstore.IterOption) error {
	return objstore.ErrOptionNotSupported
}

func TestDelete(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	all := buckets(t)
	all["flat"] = func() objstore.Bucket { return flat{objstore.NewInMemBucket()} }
	for name, open := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, dir := newBlock(t, t.TempDir(), 1)
			inner := open()
			bkt := blocktest.NewBucket(inner)
			_, err := block.Upload(ctx, bkt, dir, nil)
			testutil.Ok(t, err)
			for kind := block.DeletionMark; kind <= block.NoDownsampleMark; kind++ {
				_, err = block.PutMark(ctx, bkt, block.Mark{Kind: kind, Block: m.ULID})
				testutil.Ok(t, err)
			}
			other := block.ObjectName(newID(2), block.MetaFile)
			put(t, bkt, other, "x")
			put(t, bkt, "debug/"+m.ULID.String(), "x")

			testutil.Ok(t, block.Delete(ctx, bkt, m.ULID))
			id := m.ULID.String()
			deleted := ops(bkt, objstore.OpDelete)
			deleted = slices.DeleteFunc(deleted, func(name string) bool { return name[len(name)-1] == '/' })
			testutil.Equals(t, id+"/meta.json", deleted[0])
			testutil.Equals(t, []string{id + "/no-downsample-mark.json", id + "/no-compact-mark.json", id + "/deletion-mark.json"}, deleted[len(deleted)-3:])
			testutil.Equals(t, 8, len(deleted))
			if f, ok := inner.(flat); ok {
				inner = f.Bucket
			}
			left := objects(t, inner)
			testutil.Equals(t, map[string]string{other: "x", "debug/" + id: "x"}, left)

			// What is not there is deleted.
			testutil.Ok(t, block.Delete(ctx, bkt, m.ULID))
		})
	}
}

func TestDeleteOfWhatVanishes(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, bkt := uploaded(t)
	bkt.Hide(func(name string) bool { return name == block.ObjectName(m.ULID, "chunks/000002") })
	testutil.Ok(t, block.Delete(ctx, bkt, m.ULID))
	bkt.Hide(nil)
	testutil.Ok(t, block.Delete(ctx, bkt, m.ULID))
	testutil.Equals(t, 0, len(objects(t, bkt)))
}

func TestDeleteFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for n := int64(1); ; n++ {
		m, bkt := uploaded(t)
		var calls atomic.Int64 // Objects are deleted several at a time.
		bkt.Fail(func(r blocktest.Request) error {
			// Objects that stand for directories may or may not be there.
			if calls.Add(1) == n && r.Name[len(r.Name)-1] != '/' {
				return blocktest.ErrFault
			}
			return nil
		})
		err := block.Delete(ctx, bkt, m.ULID)
		if calls.Load() < n {
			return
		}
		bkt.Fail(nil)
		if err != nil {
			testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
			testutil.Ok(t, block.Delete(ctx, bkt, m.ULID))
		}
		testutil.Equals(t, 0, len(objects(t, bkt)))
	}
}
