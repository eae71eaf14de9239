package block

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/efficientgo/core/errcapture"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"
)

// DownloadSuffix is what the directory that a download is made in has behind the
// name of the one that it is for.
const DownloadSuffix = ".download"

// DownloadOptions are options of Download. The zero value, and nil, are good.
type DownloadOptions struct {
	// Concurrency is how many files are fetched at a time, 4 if it is 0.
	Concurrency int

	step stepFunc
}

// Download fetches a block into the directory dir, which is there afterwards
// with all files or not at all: it is made beside it, with DownloadSuffix, and
// renamed. The marks of the block are not fetched. If dir is there and has the
// block in it, nothing is done.
//
// Every file has to have the size and the hash that meta.json says, where it
// says, else the size of the object, and begin as what it is. Download can end
// anywhere and be called again: it goes on from the files that are complete.
// After an error they stay; remove dir+DownloadSuffix to give up.
//
// Errors: ErrNotFound for a block or an object that is not there, *MetaError,
// *CorruptError for a file that is not as described, *UnsupportedError for
// versions of files that are not known, ErrExists if something else is in dir, the
// bucket's, those of writing.
// Concurrency: safe, but not for the same dir.
func Download(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID, dir string, opts *DownloadOptions) error {
	o := DownloadOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	d := &download{bkt: bkt, id: id, opts: &o}
	if err := d.run(ctx, filepath.Clean(dir)); err != nil {
		return fmt.Errorf("download block %s: %w", id, err)
	}
	return nil
}

// download is one call of Download.
type download struct {
	bkt  objstore.BucketReader
	id   ulid.ULID
	opts *DownloadOptions
	to   *local
}

func (d *download) run(ctx context.Context, dir string) error {
	metaJSON, meta, err := fetchMeta(ctx, d.bkt, d.id)
	if err != nil {
		return err
	}
	files, err := objectFiles(ctx, d.bkt, meta)
	if err != nil {
		return err
	}
	if there, err := blockIn(dir, meta, files); there || err != nil {
		return err
	}
	if err := d.fetchAll(ctx, dir+DownloadSuffix, metaJSON, files); err != nil {
		return err
	}
	return d.publish(dir)
}

// fetchAll makes tmp the whole block.
func (d *download) fetchAll(ctx context.Context, tmp string, metaJSON []byte, files []File) (err error) {
	d.to, err = openLocal(tmp, d.opts.step)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, d.to.close, "close %s", tmp)
	if err := d.removeOthers(files); err != nil {
		return err
	}
	// A block without samples has no segments, but the directory.
	if err := d.to.mkdir(ChunksDir); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(d.opts.Concurrency)
	for _, f := range files {
		g.Go(func() error { return d.fetchFile(gctx, f) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return d.to.writeBytes(MetaFile, metaJSON)
}

// removeOthers removes what is in the directory and is not the block's: of an
// upload under the same ULID that has been replaced, or cut off.
func (d *download) removeOthers(files []File) error {
	wanted := make(map[string]struct{}, len(files))
	for _, f := range files {
		wanted[f.RelPath] = struct{}{}
	}
	var others []string
	err := fs.WalkDir(d.to.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if _, ok := wanted[name]; !ok || !e.Type().IsRegular() {
			others = append(others, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range others {
		if err := d.to.removeAll(name); err != nil {
			return err
		}
	}
	return nil
}

// publish gives the directory its name.
func (d *download) publish(dir string) error {
	if err := d.opts.step.do("rename", dir); err != nil {
		return err
	}
	// Only an empty directory can be removed, and none that is not is here.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(dir+DownloadSuffix, dir); err != nil {
		return err
	}
	return syncPath(filepath.Dir(dir), d.opts.step)
}

// blockIn reports whether a directory has the block in it. One that is empty or
// not there has nothing in it.
//
// Errors: ErrExists for everything else.
func blockIn(dir string, meta *Meta, files []File) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	there, err := ReadMeta(dir)
	if err != nil {
		return false, fmt.Errorf("%w: %s is no block: %w", ErrExists, dir, err)
	}
	if what := differs(meta, there); what != "" {
		return false, fmt.Errorf("%w: %s has a block with other %s", ErrExists, dir, what)
	}
	for _, f := range files {
		if same, err := hasFile(filepath.Join(dir, filepath.FromSlash(f.RelPath)), f); err != nil {
			return false, err
		} else if !same {
			return false, fmt.Errorf("%w: %s in %s is not the block's", ErrExists, f.RelPath, dir)
		}
	}
	return true, nil
}
