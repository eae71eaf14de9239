package compact

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// Reasons of the marks by which a Compactor quarantines blocks, beside
// block.ReasonOutOfOrderChunks, which is Thanos' own. What exactly is wrong is in
// the details of the mark.
const (
	// ReasonCorrupt is that of a block of which something is damaged or missing, or
	// that is not as a block has to be.
	ReasonCorrupt = "block-corrupt"
	// ReasonUnsupported is that of a block with a version or an encoding that is not
	// known here. It is good for those who know it.
	ReasonUnsupported = "block-unsupported"
)

// QuarantineError is a block that was marked because something is wrong with it. The
// mark is Thanos' own, so that Thanos goes round the block, too; who has repaired it
// takes the mark away.
type QuarantineError struct {
	Block ulid.ULID
	// Mark is block.NoCompactMark or block.NoDownsampleMark.
	Mark block.MarkKind
	// Reason is that of the mark.
	Reason string
	Err    error
}

// Error returns "block ULID is quarantined (REASON): cause".
func (q *QuarantineError) Error() string {
	return fmt.Sprintf("block %s is quarantined (%s): %v", q.Block, q.Reason, q.Err)
}

// Unwrap returns the cause.
func (q *QuarantineError) Unwrap() error { return q.Err }

// Is reports that a QuarantineError is an ErrQuarantined.
func (q *QuarantineError) Is(target error) bool { return target == ErrQuarantined }

// tolerated are problems of a source that its compaction makes good: numbers in
// meta.json, and series that have nothing.
func tolerated() []block.ProblemKind {
	return []block.ProblemKind{block.WrongStats, block.NoChunks}
}

// verify reads a block on disk and returns what is wrong with it, all of it as one
// error, but for what is tolerated.
func verify(ctx context.Context, dir string, depth block.VerifyDepth) error {
	report, err := block.Verify(ctx, dir, &block.VerifyOptions{Depth: depth})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return localError(err)
	}
	report.Problems = slices.DeleteFunc(report.Problems, func(p block.Problem) bool {
		return slices.Contains(tolerated(), p.Kind)
	})
	return report.Err()
}

// bad reports whether an error is about what is in a block.
func bad(err error) bool {
	_, verified := errors.AsType[*block.VerifyError](err)
	return verified || isBad(err)
}

// reasonOf returns the reason of the mark for a block of which that is wrong.
func reasonOf(err error) string {
	if errors.Is(err, block.ErrUnsupported) {
		return ReasonUnsupported
	}
	e, ok := errors.AsType[*block.VerifyError](err)
	if !ok {
		return ReasonCorrupt
	}
	order := []block.ProblemKind{block.UnsortedChunks, block.OverlappingChunks, block.DuplicateChunks}
	if slices.ContainsFunc(e.Report.Problems, func(p block.Problem) bool { return !slices.Contains(order, p.Kind) }) {
		return ReasonCorrupt
	}
	return block.ReasonOutOfOrderChunks
}

// maxDetails is how many bytes of an error are in the details of a mark.
const maxDetails = 2000

// detailsOf returns what is wrong with a block for the details of its mark: of what
// was found when it was verified, how much of each kind, and the first of it.
func detailsOf(cause error) string {
	text := cause.Error()
	if e, ok := errors.AsType[*block.VerifyError](cause); ok {
		var kinds []string
		for _, p := range e.Report.Problems {
			kind := fmt.Sprintf("%s: %d", p.Kind, p.Count)
			if len(p.Examples) > 0 {
				kind += fmt.Sprintf(", the first: %v", p.Examples[0])
			}
			kinds = append(kinds, kind)
		}
		text = strings.Join(kinds, "; ")
	}
	if len(text) > maxDetails {
		text = strings.ToValidUTF8(text[:maxDetails], "") + "..."
	}
	return text
}

// quarantine marks a block that failed twice in the same way.
func (c *Compactor) quarantine(ctx context.Context, kind block.MarkKind, id ulid.ULID, cause error) (*QuarantineError, error) {
	q := &QuarantineError{Block: id, Mark: kind, Reason: reasonOf(cause), Err: cause}
	put, err := c.putMark(ctx, block.Mark{Kind: kind, Block: id, Reason: q.Reason, Details: detailsOf(cause)})
	if err != nil {
		return nil, fmt.Errorf("quarantine block %s: %w", id, errors.Join(err, cause))
	}
	if put {
		c.metrics.quarantined.WithLabelValues(kind.File(), q.Reason).Inc()
	}
	c.opts.Logger.Error("block quarantined", "block", id, "mark", kind, "reason", q.Reason, "err", cause)
	return q, nil
}

// markOf is the mark that keeps a block out of jobs of a kind.
func markOf(kind JobKind) block.MarkKind {
	if kind == Compact {
		return block.NoCompactMark
	}
	return block.NoDownsampleMark
}

// quarantineMetas marks blocks whose meta.json cannot be read, once it has been
// read a second time. They are in no group, and no job would ever meet them.
func (c *Compactor) quarantineMetas(ctx context.Context, v *block.View) ([]*QuarantineError, error) {
	var (
		out  []*QuarantineError
		errs []error
	)
	for _, id := range sortedBlocks(v.Partial) {
		cause := v.Partial[id]
		if errors.Is(cause, block.ErrPartial) || !errors.Is(cause, block.ErrCorrupt) && !errors.Is(cause, block.ErrUnsupported) || v.Marked(id, block.NoCompactMark) || v.Marked(id, block.DeletionMark) {
			continue
		}
		if l, ok := v.Listed(id); ok && !l.MetaModified.IsZero() && time.Since(l.MetaModified) < metaSettles {
			continue // In a filesystem, it may still be being written.
		}
		_, err := block.FetchMeta(ctx, c.bkt, id)
		if !errors.Is(err, block.ErrCorrupt) && !errors.Is(err, block.ErrUnsupported) {
			continue // The next view will tell.
		}
		q, err := c.quarantine(ctx, block.NoCompactMark, id, err)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, q)
	}
	return out, errors.Join(errs...)
}

// metaSettles is how old a meta.json is that nobody is writing any more.
const metaSettles = time.Minute
