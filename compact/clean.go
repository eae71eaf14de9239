package compact

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
)

// clean deletes what a plan says is to be deleted.
func (r *run) clean(ctx context.Context, plan *Plan) error {
	if err := take(ctx, r.c.cleaning); err != nil {
		return err
	}
	defer func() { <-r.c.cleaning }()
	deleted, err := r.c.clean(ctx, plan)
	r.report.Deleted = append(r.report.Deleted, deleted...)
	return err
}

// clean deletes blocks and what is left of blocks. What cannot be deleted does not
// keep the others from it.
func (c *Compactor) clean(ctx context.Context, plan *Plan) (deleted []ulid.ULID, err error) {
	var errs []error
	for i := range plan.Deletes {
		d := &plan.Deletes[i]
		if ctx.Err() != nil {
			return deleted, errors.Join(append(errs, context.Cause(ctx))...)
		}
		gone, err := c.delete(ctx, d)
		if err != nil {
			c.metrics.cleanFailures.Inc()
			errs = append(errs, mixedError(ctx, err))
			continue
		}
		if gone {
			c.metrics.cleaned.Inc()
			c.opts.Logger.Info("block deleted", "block", d.Block, "cause", d.Cause, "why", d.Why)
			deleted = append(deleted, d.Block)
		}
	}
	if len(errs) == 0 {
		c.metrics.cleanups.Inc()
	}
	return deleted, errors.Join(errs...)
}

// delete deletes a block, unless what the plan was made from is not so any more.
func (c *Compactor) delete(ctx context.Context, d *DeleteAction) (bool, error) {
	still, err := c.stillToDelete(ctx, d)
	if !still || err != nil {
		return false, err
	}
	if d.Cause == DeletePartial {
		c.metrics.partialAttempts.Inc()
	}
	return true, block.Delete(ctx, c.bkt, d.Block)
}

// stillToDelete looks at a block once more, right before it is deleted: somebody may
// have taken its mark away, or gone on with its upload.
func (c *Compactor) stillToDelete(ctx context.Context, d *DeleteAction) (bool, error) {
	if d.Cause == DeleteMarked {
		m, err := block.ReadMark(ctx, c.bkt, d.Block, block.DeletionMark)
		switch {
		case errors.Is(err, block.ErrNotFound), errors.Is(err, block.ErrCorrupt), errors.Is(err, block.ErrUnsupported):
			return false, nil
		case err != nil:
			return false, err
		}
		return !m.Time.After(d.Since), nil
	}
	newest, meta, err := c.newest(ctx, d.Block)
	if err != nil {
		return false, err
	}
	if meta {
		_, err := block.FetchMeta(ctx, c.bkt, d.Block)
		switch {
		case block.TornUpload(c.bkt, err):
		case err == nil, errors.Is(err, block.ErrNotFound), errors.Is(err, block.ErrCorrupt), errors.Is(err, block.ErrUnsupported):
			return false, nil
		default:
			return false, err
		}
	}
	return PartialAbandoned(newest, time.Now(), c.opts), nil
}

// newest returns when the newest object of a block was written, zero if there is
// none or the bucket does not say, and whether meta.json is among them.
func (c *Compactor) newest(ctx context.Context, id ulid.ULID) (at time.Time, meta bool, err error) {
	supported := c.bkt.SupportedIterOptions()
	if !slices.Contains(supported, objstore.UpdatedAt) {
		return time.Time{}, false, nil
	}
	opts := []objstore.IterOption{objstore.WithUpdatedAt()}
	if slices.Contains(supported, objstore.Recursive) {
		opts = append(opts, objstore.WithRecursiveIter())
	}
	metaName := block.ObjectName(id, block.MetaFile)
	for dirs := []string{id.String()}; len(dirs) > 0; dirs = dirs[1:] {
		err := c.bkt.IterWithAttributes(ctx, dirs[0], func(a objstore.IterObjectAttributes) error {
			if strings.HasSuffix(a.Name, objstore.DirDelim) {
				dirs = append(dirs, a.Name)
			} else if modified, ok := a.LastModified(); ok && modified.After(at) {
				at = modified
			}
			meta = meta || a.Name == metaName
			return nil
		}, opts...)
		if err != nil {
			return time.Time{}, false, fmt.Errorf("list %s: %w", dirs[0], err)
		}
	}
	return at, meta, nil
}

// mark puts the marks that a plan asks for.
func (r *run) mark(ctx context.Context, plan *Plan) error {
	c, began := r.c, time.Now()
	var errs []error
	for i := range plan.Marks {
		a := &plan.Marks[i]
		if ctx.Err() != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		put, err := c.putMark(ctx, a.Mark)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !put {
			continue
		}
		switch a.Cause {
		case MarkReplaced:
			c.metrics.garbage.Inc()
		case MarkUncovered:
			c.metrics.uncovered.Inc()
		case MarkRetention, MarkIndexSize:
		}
		c.opts.Logger.Info("block marked", "block", a.Mark.Block, "mark", a.Mark.Kind, "cause", a.Cause, "why", a.Why)
		r.report.Marked = append(r.report.Marked, *a)
	}
	if len(errs) > 0 {
		c.metrics.garbageFailures.Inc()
	} else {
		c.metrics.garbageRuns.Inc()
		c.metrics.garbageDuration.Observe(time.Since(began).Seconds())
	}
	return errors.Join(errs...)
}

// Clean deletes what was marked long enough ago, and uploads that nobody goes on
// with. RunOnce does so too; Run has it done while a long run goes on.
//
// Errors: as of RunOnce.
func (c *Compactor) Clean(ctx context.Context) (deleted []ulid.ULID, err error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := take(ctx, c.cleaning); err != nil {
		return nil, err
	}
	defer func() { <-c.cleaning }()
	_, plan, err := c.plan(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("clean: %w", err)
	}
	return c.clean(ctx, plan)
}

// sortedBlocks returns the keys of a map, ascending.
func sortedBlocks[V any](m map[ulid.ULID]V) []ulid.ULID {
	ids := make([]ulid.ULID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, ulid.ULID.Compare)
	return ids
}
