package block

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/efficientgo/core/errcapture"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"
)

// ReplicateOptions are options of Replicate. The zero value, and nil, are good.
type ReplicateOptions struct {
	// Concurrency is how many objects of a block are copied at a time, 4 if it is 0.
	Concurrency int
	// IgnoreMarked leaves out blocks that are marked for deletion, as
	// --ignore-marked-for-deletion of `thanos tools bucket replicate`.
	IgnoreMarked bool
	// AllowNoLabels takes blocks without external labels along.
	AllowNoLabels bool
}

// Replicate copies blocks from one bucket to another, bytes as they are, and
// returns those that it copied. Blocks that are there already are left alone; of
// one whose meta.json has changed since, as when something was added to it, only
// that is copied. Prefixes that are no block are left out, and so are marks.
//
// Blocks come in ascending order of MinTime, then ULID, so that a compactor of
// the target never sees a gap behind which there is something newer, and each of
// them as with Upload: meta.json last. Replicate can end anywhere and be called
// again. One block that cannot be copied does not keep the others back.
//
// Errors: *IncompleteError for blocks in from that could not be judged; those of
// single blocks, joined, each naming its block: ErrExists if another one has its
// ULID in the target, ErrNotFound if it vanished, the buckets'.
// Source: `thanos tools bucket replicate --single-run`.
func Replicate(ctx context.Context, from objstore.BucketReader, to objstore.Bucket, sel *Selector, opts *ReplicateOptions) ([]ulid.ULID, error) {
	o := ReplicateOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	blocks, incomplete, err := selectBlocks(ctx, from, sel, &o)
	if err != nil {
		return nil, fmt.Errorf("replicate: %w", err)
	}
	var copied []ulid.ULID
	errs := []error{incomplete}
	for _, m := range blocks {
		r := &replication{from: from, to: to, id: m.ULID, opts: &o}
		did, err := r.run(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("replicate block %s: %w", m.ULID, err))
		}
		if did {
			copied = append(copied, m.ULID)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return copied, errors.Join(errs...)
}

// selectBlocks returns the blocks to be copied in their order, and what is not
// known.
func selectBlocks(ctx context.Context, from objstore.BucketReader, sel *Selector, o *ReplicateOptions) (blocks []*Meta, incomplete, err error) {
	fo := &FetcherOptions{}
	if o.IgnoreMarked {
		fo.Filters = []Filter{DeletionMarks(0)}
	}
	f, err := NewFetcher(from, "", fo)
	if err != nil {
		return nil, nil, err
	}
	v, err := f.Fetch(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range v.Metas {
		if (len(m.Thanos.Labels) > 0 || o.AllowNoLabels) && sel.Matches(m) {
			blocks = append(blocks, m)
		}
	}
	slices.SortFunc(blocks, func(a, b *Meta) int {
		return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), a.ULID.Compare(b.ULID))
	})
	return blocks, v.Incomplete, nil
}

// replication copies one block.
type replication struct {
	from objstore.BucketReader
	to   objstore.Bucket
	id   ulid.ULID
	opts *ReplicateOptions
}

// run reports whether it copied anything that readers see.
func (r *replication) run(ctx context.Context) (bool, error) {
	metaJSON, meta, err := fetchMeta(ctx, r.from, r.id)
	if err != nil {
		return false, err
	}
	thereJSON, there, err := fetchMeta(ctx, r.to, r.id)
	switch {
	case err == nil:
		if bytes.Equal(metaJSON, thereJSON) {
			return false, nil
		}
		if what := differs(meta, there); what != "" {
			return false, fmt.Errorf("%w: it has other %s", ErrExists, what)
		}
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt):
		if err := r.copyFiles(ctx, meta); err != nil {
			return false, err
		}
	default:
		return false, err
	}
	name := ObjectName(r.id, MetaFile)
	if err := r.to.Upload(ctx, name, bytes.NewReader(metaJSON)); err != nil {
		return false, objectError(r.to, "upload", name, err)
	}
	return true, nil
}

// copyFiles copies everything but meta.json: segments, then the rest.
func (r *replication) copyFiles(ctx context.Context, meta *Meta) error {
	files, err := objectFiles(ctx, r.from, meta)
	if err != nil {
		return err
	}
	sent, err := objectsThere(ctx, r.to, r.id)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.opts.Concurrency)
	for _, f := range files {
		if isSegment(f.RelPath) {
			g.Go(func() error { return r.copyFile(gctx, f, sent) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, f := range files {
		if !isSegment(f.RelPath) {
			if err := r.copyFile(ctx, f, sent); err != nil {
				return err
			}
		}
	}
	return r.removeStrays(ctx, files, sent)
}

// copyFile copies an object unless it is there.
func (r *replication) copyFile(ctx context.Context, file File, sent map[string]struct{}) (err error) {
	name := ObjectName(r.id, file.RelPath)
	attrs, err := r.from.Attributes(ctx, name)
	if err != nil {
		return objectError(r.from, "look at", name, err)
	}
	if file.SizeBytes > 0 && attrs.Size != file.SizeBytes {
		return &CorruptError{Block: r.id, File: file.RelPath, Err: fmt.Errorf("%d bytes instead of %d", attrs.Size, file.SizeBytes)}
	}
	if _, ok := sent[name]; ok && r.to.Provider() != objstore.FILESYSTEM {
		// A filesystem may have it torn; see Upload.
		if there, err := sameObject(ctx, r.to, name, nil, attrs.Size); there || err != nil {
			return err
		}
	}
	in, err := r.from.Get(ctx, name)
	if err != nil {
		return objectError(r.from, "get", name, err)
	}
	defer errcapture.Do(&err, in.Close, "close %s", name)
	if err := r.to.Upload(ctx, name, &exactReader{r: in, size: attrs.Size, left: attrs.Size}); err != nil {
		return objectError(r.to, "upload", name, err)
	}
	return nil
}

// removeStrays removes what is in chunks/ in the target and is not the block's.
func (r *replication) removeStrays(ctx context.Context, files []File, sent map[string]struct{}) error {
	wanted := fileMap(files)
	for name := range sent {
		_, file := cutObject(name)
		if _, ok := wanted[file]; ok || !inChunks(file) {
			continue
		}
		if err := remove(ctx, r.to, name); err != nil {
			return err
		}
	}
	return nil
}

// exactReader fails where r has not exactly size bytes, so that nothing else is
// uploaded as if it were the object.
type exactReader struct {
	r          io.Reader
	size, left int64
}

func (e *exactReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	switch {
	case e.left < 0:
		return 0, fmt.Errorf("more than %d bytes", e.size)
	case errors.Is(err, io.EOF) && e.left > 0:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// ObjectSize says to objstore how much there is.
func (e *exactReader) ObjectSize() (int64, error) { return e.size, nil }
