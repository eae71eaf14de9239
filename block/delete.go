package block

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"
)

// Delete removes a block from a bucket: meta.json first, so that from then on it
// is no block; then the other objects, several at a time; then the marks, the one
// for deletion last, so that what is left of a deletion that ended early is known
// to be to be deleted. Objects that are gone already are no error, nor is a block
// that is not there: Delete can end anywhere and be called again.
//
// Errors: the bucket's.
// Source: Thanos pkg/block Delete.
func Delete(ctx context.Context, bkt objstore.Bucket, id ulid.ULID) error {
	if err := remove(ctx, bkt, ObjectName(id, MetaFile)); err != nil {
		return fmt.Errorf("delete block %s: %w", id, err)
	}
	if err := deleteRest(ctx, bkt, id); err != nil {
		return fmt.Errorf("delete block %s: %w", id, err)
	}
	return nil
}

// deleteRest removes all but meta.json.
func deleteRest(ctx context.Context, bkt objstore.Bucket, id ulid.ULID) error {
	var (
		data  []string
		marks [markKinds]bool
	)
	err := iterBlock(ctx, bkt, id, func(name string) {
		_, file := cutObject(name)
		if kind, ok := markOf(file); ok {
			marks[kind] = true
		} else if file != MetaFile {
			data = append(data, name)
		}
	})
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(defaultConcurrency)
	for _, name := range data {
		g.Go(func() error { return remove(gctx, bkt, name) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, kind := range []MarkKind{NoDownsampleMark, NoCompactMark, DeletionMark} {
		if marks[kind] {
			if err := remove(ctx, bkt, ObjectName(id, kind.File())); err != nil {
				return err
			}
		}
	}
	removeDirs(ctx, bkt, id)
	return nil
}

// removeDirs removes the empty objects by which some tools mark directories.
// Most buckets have none, and the block is gone either way. A filesystem removes
// empty directories itself, and would remove others as well.
func removeDirs(ctx context.Context, bkt objstore.Bucket, id ulid.ULID) {
	if bkt.Provider() == objstore.FILESYSTEM {
		return
	}
	for _, dir := range []string{ObjectName(id, ChunksDir), id.String()} {
		_ = bkt.Delete(ctx, dir+objstore.DirDelim)
	}
}

// remove deletes an object, if it is there.
func remove(ctx context.Context, bkt objstore.Bucket, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := bkt.Delete(ctx, name); err != nil && !bkt.IsObjNotFoundErr(err) {
		return objectError(bkt, "delete", name, err)
	}
	return nil
}

// markOf returns the kind of mark that a file of a block is.
func markOf(file string) (MarkKind, bool) {
	for kind := range MarkKind(markKinds) {
		if kind.File() == file {
			return kind, true
		}
	}
	return 0, false
}
