package blocktest

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
)

//go:embed testdata/golden
var golden embed.FS

// GoldenFS returns the golden blocks as a bucket holds them: directories named by
// ULID. os.CopyFS makes a directory of them.
//
// They are blocks that a real Thanos uploaded; testdata/README.md says what is in
// them: the same few series, floats and native histograms, raw, at 5m and at 1h over
// ten days, and raw for two hours more.
func GoldenFS() fs.FS {
	sub, err := fs.Sub(golden, "testdata/golden")
	must(err) // Sub refuses names that are not valid alone.
	return sub
}

// Golden puts the golden blocks that keep wants, all if it is nil, into a bucket.
// It returns their metas, by MinTime and then resolution; they are the caller's.
//
//	// Raw and 1h, as after 5m has been deleted.
//	metas, err := blocktest.Golden(ctx, bkt, func(m *block.Meta) bool {
//		return m.Thanos.Downsample.Resolution != block.FiveMinutes
//	})
func Golden(ctx context.Context, bkt objstore.Bucket, keep func(*block.Meta) bool) ([]*block.Meta, error) {
	fsys := GoldenFS()
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("list golden blocks: %w", err)
	}
	var metas []*block.Meta
	for _, e := range entries {
		data, err := fs.ReadFile(fsys, path.Join(e.Name(), block.MetaFile))
		if err != nil {
			return nil, fmt.Errorf("read golden block: %w", err)
		}
		m, err := block.ParseMeta(data)
		if err != nil {
			return nil, fmt.Errorf("read golden block %s: %w", e.Name(), err)
		}
		if keep != nil && !keep(m) {
			continue
		}
		if err := put(ctx, bkt, fsys, e.Name()); err != nil {
			return nil, fmt.Errorf("upload golden block %s: %w", e.Name(), err)
		}
		metas = append(metas, m)
	}
	slices.SortFunc(metas, func(a, b *block.Meta) int {
		return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.Thanos.Downsample.Resolution, b.Thanos.Downsample.Resolution))
	})
	return metas, nil
}

// put uploads the files of a directory in the order of their names, in which
// meta.json is last.
func put(ctx context.Context, bkt objstore.Bucket, fsys fs.FS, dir string) error {
	return fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		return bkt.Upload(ctx, name, bytes.NewReader(data))
	})
}
