package block

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/efficientgo/core/errcapture"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"
)

// UploadOptions are options of Upload. The zero value, and nil, are good.
type UploadOptions struct {
	// Concurrency is how many files are sent at a time, 4 if it is 0.
	Concurrency int
	// Hash is noted for each file in meta.json; none by default. It costs one more
	// pass over the files.
	Hash HashFunc
	// AllowNoLabels permits blocks without external labels, which readers could
	// attribute to nobody.
	AllowNoLabels bool
}

// defaultConcurrency is that of requests for large objects.
const defaultConcurrency = 4

// Upload sends the block in dir, whose last element is its ULID, and returns its
// meta.json as it is in the bucket: with upload_time and files[]. The one in dir
// stays as it is.
//
// Segments are sent first, then the index, meta.json last: before it is there,
// the block is not. Upload can end anywhere and be called again. A block that is
// there already is left alone, and its meta.json returned. Of one that is not,
// objects that are there are kept if they have the right size: a ULID names
// contents that do not change, and object stores have objects as a whole or not
// at all. Where they may be torn, in a bucket that is a filesystem, their bytes
// are compared. Those older than a day are sent again, because a compactor may be
// about to take them for what an aborted upload left.
//
// After an error, what was sent stays: it is invisible to readers, the next call
// goes on from it, and to remove it could take it away from under another upload
// of the same block that relies on it. A compactor removes what nobody goes on
// with.
//
// Tombstones are not sent: samples that were deleted in dir and not compacted away
// are there again.
//
// Errors: ErrNoLabels, ErrExists if another block has the ULID, *MetaError and
// *UnsupportedError about meta.json in dir, *CorruptError for a segment that it
// names and that is not there, those of reading, the bucket's.
// Concurrency: two uploads of one block at a time do no harm, but that in a
// bucket that is a filesystem the slower one may be writing a file anew which
// readers of the faster one's block see.
// Source: Thanos pkg/block Upload.
func Upload(ctx context.Context, bkt objstore.Bucket, dir string, opts *UploadOptions) (*Meta, error) {
	o := UploadOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	m, err := prepareUpload(dir, &o)
	if err != nil {
		return nil, fmt.Errorf("upload %s: %w", dir, err)
	}
	u := &upload{bkt: bkt, dir: dir, meta: m, opts: &o}
	m, err = u.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("upload block %s: %w", u.meta.ULID, err)
	}
	return m, nil
}

// prepareUpload returns the block's meta.json with its files.
func prepareUpload(dir string, o *UploadOptions) (*Meta, error) {
	if _, ok := ParseID(filepath.Base(filepath.Clean(dir))); !ok {
		return nil, errors.New("directory is not named by a ULID")
	}
	m, err := ReadMeta(filepath.Clean(dir))
	if err != nil {
		return nil, err
	}
	if len(m.Thanos.Labels) == 0 && !o.AllowNoLabels {
		return nil, ErrNoLabels
	}
	if m.Thanos.Files, err = ListFiles(dir, o.Hash); err != nil {
		return nil, err
	}
	for _, f := range m.Segments() {
		if _, ok := m.File(f.RelPath); !ok {
			return nil, &CorruptError{Block: m.ULID, File: f.RelPath, Err: errSegmentMissing}
		}
	}
	return m, nil
}

// upload is one call of Upload.
type upload struct {
	bkt  objstore.Bucket
	dir  string
	meta *Meta
	opts *UploadOptions
}

func (u *upload) run(ctx context.Context) (*Meta, error) {
	there, err := blockThere(ctx, u.bkt, u.meta)
	if there != nil || err != nil {
		return there, err
	}
	sent, err := objectsThere(ctx, u.bkt, u.meta.ULID)
	if err != nil {
		return nil, err
	}
	if err := u.sendFiles(ctx, sent); err != nil {
		return nil, err
	}
	if err := u.removeStrays(ctx, sent); err != nil {
		return nil, err
	}
	// UTC, as Thanos has it.
	u.meta.Thanos.UploadTime = time.Now().UTC()
	b, err := u.meta.Encode()
	if err != nil {
		return nil, err
	}
	name := ObjectName(u.meta.ULID, MetaFile)
	if err := u.bkt.Upload(ctx, name, bytes.NewReader(b)); err != nil {
		return nil, objectError(u.bkt, "upload", name, err)
	}
	// As anybody reads it, without the monotonic clock.
	return ParseMeta(b)
}

// sendFiles sends segments, several at a time, then the index.
func (u *upload) sendFiles(ctx context.Context, sent map[string]struct{}) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(u.opts.Concurrency)
	var index File
	for _, f := range u.meta.Thanos.Files {
		switch f.RelPath {
		case MetaFile:
		case IndexFile:
			index = f
		default:
			g.Go(func() error { return u.sendFile(gctx, f, sent) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return u.sendFile(ctx, index, sent)
}

// sendFile sends a file unless it is there.
func (u *upload) sendFile(ctx context.Context, file File, sent map[string]struct{}) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := filepath.Join(u.dir, filepath.FromSlash(file.RelPath))
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, f.Close, "close %s", path)
	name := ObjectName(u.meta.ULID, file.RelPath)
	// In a filesystem, what another upload has sent since is not to be truncated.
	if _, ok := sent[name]; ok || u.bkt.Provider() == objstore.FILESYSTEM {
		if there, err := sameObject(ctx, u.bkt, name, f, file.SizeBytes); there || err != nil {
			return err
		}
	}
	if err := u.bkt.Upload(ctx, name, f); err != nil {
		return objectError(u.bkt, "upload", name, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() != file.SizeBytes {
		return fmt.Errorf("%s had %d bytes and has %d: a block does not change", path, file.SizeBytes, info.Size())
	}
	return nil
}

// removeStrays removes what is in chunks/ and is not the block's: readers that go
// by what is there would number its segments wrongly.
func (u *upload) removeStrays(ctx context.Context, sent map[string]struct{}) error {
	for name := range sent {
		id, file := cutObject(name)
		if _, ok := u.meta.File(file); ok || id != u.meta.ULID || !inChunks(file) {
			continue
		}
		if err := remove(ctx, u.bkt, name); err != nil {
			return err
		}
	}
	return nil
}

// blockThere returns the meta.json of a block that is in the bucket as a whole,
// or nil if it is not.
//
// Errors: ErrExists if that is another block.
func blockThere(ctx context.Context, bkt objstore.BucketReader, m *Meta) (*Meta, error) {
	there, err := FetchMeta(ctx, bkt, m.ULID)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if what := differs(m, there); what != "" {
		return nil, fmt.Errorf("%w: it has other %s", ErrExists, what)
	}
	return there, nil
}

// objectsThere returns the names of a block's objects.
func objectsThere(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID) (map[string]struct{}, error) {
	there := map[string]struct{}{}
	err := iterBlock(ctx, bkt, id, func(name string) { there[name] = struct{}{} })
	return there, err
}
