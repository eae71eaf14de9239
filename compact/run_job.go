package compact

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/block"
)

// outcome is what a job changed in the bucket, whether it came to its end or not.
type outcome struct {
	uploaded []*block.Meta
	replaced []ulid.ULID

	mu          sync.Mutex
	quarantined []*QuarantineError
}

// do runs a job: it downloads its sources, makes its outputs, uploads them, and only
// then marks the sources for deletion that they replace. Its directory is there
// afterwards if it can be gone on with.
//
// Errors: classed. ErrQuarantined says that sources are bad, all of which are in
// the outcome, which is never nil.
func (c *Compactor) do(ctx context.Context, job *Job) (out *outcome, err error) {
	out = &outcome{}
	w, err := c.openWork(ctx, job)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, c.leave(ctx, job, w, err)) }()
	outputs, ok, err := w.made()
	if err != nil {
		return out, err
	}
	if !ok {
		if outputs, err = c.produce(ctx, job, w, out); err != nil {
			return out, err
		}
	}
	if err := c.stillThere(ctx, job); err != nil {
		return out, err
	}
	for _, dir := range outputs {
		// Blocks without external labels are what their sources were.
		m, err := block.Upload(ctx, c.bkt, dir, &block.UploadOptions{Concurrency: c.opts.FilesConcurrency, Hash: c.opts.Hash, AllowNoLabels: true})
		if err != nil {
			return out, mixedError(ctx, err)
		}
		out.uploaded = append(out.uploaded, m)
	}
	switch {
	case job.Kind != Compact && len(outputs) == 0:
		return out, c.markNothing(ctx, job)
	case job.Kind == Compact:
		out.replaced, err = c.markSources(ctx, job, len(outputs) == 0)
	}
	return out, err
}

// leave removes what nobody goes on with, so that it does not fill the disk: of a
// job that is done everything, of one that a full disk has stopped, too; of one that
// is given up all but its sources, which the next plan may have use for.
func (c *Compactor) leave(ctx context.Context, job *Job, w *work, err error) error {
	class := ClassOf(err)
	if class == ClassBucket || class == ClassCanceled {
		return nil // Tried again as it is.
	}
	errs := []error{w.remove(ctx)}
	if class == ClassNone || class == ClassDisk {
		for _, id := range sourceIDs(job) {
			errs = append(errs, w.removeSource(ctx, id))
		}
	}
	return errors.Join(errs...)
}

// produce makes the outputs of a job out of its sources, and returns their
// directories. A source that cannot be read is downloaded once more before it is
// taken for bad.
func (c *Compactor) produce(ctx context.Context, job *Job, w *work, out *outcome) ([]string, error) {
	sources, err := c.fetchSources(ctx, job, w, out)
	if err != nil {
		return nil, err
	}
	again := map[ulid.ULID]bool{}
	for {
		if err := w.clearOutputs(ctx); err != nil {
			return nil, err
		}
		if err := begin(ctx, "run "+w.outputs()); err != nil {
			return nil, err
		}
		res, err := c.merge(ctx, job, sources, w.outputs(), c.opts)
		if err == nil {
			return c.finish(ctx, w, res)
		}
		if e, ok := errors.AsType[*IndexSizeError](err); ok {
			return nil, c.markLargest(ctx, job, e)
		}
		e, blamed := errors.AsType[*SourceError](err)
		switch {
		case !blamed || diskFull(err) || ctx.Err() != nil:
			return nil, makingError(ctx, err)
		case again[e.Block]:
			return nil, c.quarantineSource(ctx, job, e.Block, e.Err, out)
		}
		again[e.Block] = true
		c.opts.Logger.Warn("source is bad, and downloaded once more", "block", e.Block, "err", e.Err)
		if err := c.fetchAnew(ctx, e.Block, w); bad(err) {
			return nil, c.quarantineSource(ctx, job, e.Block, err, out)
		} else if err != nil {
			return nil, err
		}
	}
}

// makingError classes an error of making outputs.
func makingError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isClassed(err):
		return err
	case isLocal(err):
		return localError(err)
	}
	return fmt.Errorf("%w: %w", ErrOutput, err)
}

// finish looks whether the outputs are good blocks, and notes that they are all
// there.
func (c *Compactor) finish(ctx context.Context, w *work, res *JobResult) ([]string, error) {
	ids := make([]ulid.ULID, len(res.Metas))
	dirs := make([]string, len(res.Metas))
	for i, m := range res.Metas {
		ids[i], dirs[i] = m.ULID, filepath.Join(w.outputs(), m.ULID.String())
		if err := verify(ctx, dirs[i], block.VerifyIndex); bad(err) {
			return nil, fmt.Errorf("%w: %w", ErrOutput, err)
		} else if err != nil {
			return nil, err
		}
	}
	return dirs, w.finish(ctx, ids)
}

// fetchSources downloads the sources of a job, several at a time, and looks at all
// of them, so that all that are bad are found. While one is looked at, the next is
// downloaded.
func (c *Compactor) fetchSources(ctx context.Context, job *Job, w *work, out *outcome) ([]string, error) {
	dirs, errs := make([]string, len(job.Sources)), make([]error, len(job.Sources))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.FetchConcurrency + 1) // The one that is more waits, or is looked at.
	for i, m := range job.Sources {
		dirs[i] = w.source(m.ULID)
		g.Go(func() error {
			errs[i] = c.fetchGood(gctx, job, m.ULID, w, out)
			if class := ClassOf(errs[i]); class != ClassNone && class != ClassQuarantine {
				return errs[i] // The others have no use then.
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return dirs, errors.Join(errs...)
}

// fetchGood downloads a block and looks at it, once more if it is bad, and
// quarantines one that still is.
func (c *Compactor) fetchGood(ctx context.Context, job *Job, id ulid.ULID, w *work, out *outcome) error {
	err := c.fetch(ctx, id, w)
	// What is in the directory may be of a block that was replaced under its ULID,
	// or damaged since.
	if !bad(err) && !errors.Is(err, block.ErrExists) {
		return err
	}
	c.opts.Logger.Warn("source is bad, and downloaded once more", "block", id, "err", err)
	if err = c.fetchAnew(ctx, id, w); !bad(err) {
		return err
	}
	return c.quarantineSource(ctx, job, id, err, out)
}

// fetchAnew downloads a block without anything that was downloaded before.
func (c *Compactor) fetchAnew(ctx context.Context, id ulid.ULID, w *work) error {
	if err := w.removeSource(ctx, id); err != nil {
		return err
	}
	return c.fetch(ctx, id, w)
}

// fetch downloads a block and looks at it. What is wrong with it is returned as it
// is.
func (c *Compactor) fetch(ctx context.Context, id ulid.ULID, w *work) error {
	err := c.download(ctx, id, w)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case bad(err):
		return err
	case err != nil:
		return mixedError(ctx, err)
	}
	return c.verify(ctx, w.source(id), block.VerifyChecksums)
}

// download downloads a block as soon as few enough others of the job are.
func (c *Compactor) download(ctx context.Context, id ulid.ULID, w *work) error {
	if err := take(ctx, w.downloads); err != nil {
		return err
	}
	defer func() { <-w.downloads }()
	dir := w.source(id)
	if err := begin(ctx, "download "+dir); err != nil {
		return err
	}
	return block.Download(ctx, c.bkt, id, dir, &block.DownloadOptions{Concurrency: c.opts.FilesConcurrency})
}

// quarantineSource marks a source that is bad, if it still is in the bucket.
//
// Errors: *QuarantineError, always, unless it could not be marked.
func (c *Compactor) quarantineSource(ctx context.Context, job *Job, id ulid.ULID, cause error, out *outcome) error {
	if err := c.present(ctx, id); err != nil {
		return err
	}
	q, err := c.quarantine(ctx, markOf(job.Kind), id, cause)
	if err != nil {
		return err
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	out.quarantined = append(out.quarantined, q)
	return q
}

// present returns an ErrStale if a block is not in the bucket any more.
func (c *Compactor) present(ctx context.Context, id ulid.ULID) error {
	there, err := c.bkt.Exists(ctx, block.ObjectName(id, block.MetaFile))
	if err != nil {
		return mixedError(ctx, fmt.Errorf("look for block %s: %w", id, err))
	}
	if !there {
		return fmt.Errorf("%w: block %s is gone", ErrStale, id)
	}
	return nil
}

// stillThere returns an ErrStale if a source is gone, or marked for deletion since
// the plan was made: somebody else has compacted it, and to upload what was made of
// it would only be one more block to delete.
func (c *Compactor) stillThere(ctx context.Context, job *Job) error {
	for _, m := range job.Sources {
		if err := c.present(ctx, m.ULID); err != nil {
			return err
		}
		if job.Kind != Compact {
			continue
		}
		_, err := block.ReadMark(ctx, c.bkt, m.ULID, block.DeletionMark)
		switch {
		case errors.Is(err, block.ErrNotFound), block.TornUpload(c.bkt, err):
		case err == nil, errors.Is(err, block.ErrCorrupt), errors.Is(err, block.ErrUnsupported):
			return fmt.Errorf("%w: block %s has been marked for deletion", ErrStale, m.ULID)
		default:
			return mixedError(ctx, fmt.Errorf("look for mark of block %s: %w", m.ULID, err))
		}
	}
	return nil
}
