package compact

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// markSources marks the sources of a compaction for deletion, which its outputs have
// replaced; if there are none, those that have no samples.
//
// Errors: ErrOutput, if there is nothing to replace samples that there are.
func (c *Compactor) markSources(ctx context.Context, job *Job, nothing bool) ([]ulid.ULID, error) {
	var ids []ulid.ULID
	for _, m := range job.Sources {
		if nothing && m.Stats.NumSamples > 0 {
			return ids, fmt.Errorf("%w: nothing was made of block %s with %d samples", ErrOutput, m.ULID, m.Stats.NumSamples)
		}
		put, err := c.putMark(ctx, block.Mark{Kind: block.DeletionMark, Block: m.ULID, Details: "source of compacted block"})
		if err != nil {
			return ids, err
		}
		if put {
			c.metrics.garbage.Inc()
		}
		ids = append(ids, m.ULID)
	}
	return ids, nil
}

// markNothing marks a block of which nothing is left when it is downsampled, so
// that nobody tries again, and nothing waits for it.
func (c *Compactor) markNothing(ctx context.Context, job *Job) error {
	for _, m := range job.Sources {
		_, err := c.putMark(ctx, block.Mark{
			Kind: block.NoDownsampleMark, Block: m.ULID, Reason: ReasonNothingLeft,
			Details: fmt.Sprintf("no series has a value at %s", job.Outputs[0]),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// markLargest marks the source with the largest index, so that the next plan does
// without it: what a plan estimated from sizes was too little. Of a block that is
// downsampled alone the mark is that of one that cannot be.
//
// Errors: ErrStale, always, unless the mark could not be put.
func (c *Compactor) markLargest(ctx context.Context, job *Job, tooLarge *IndexSizeError) error {
	largest := job.Sources[0]
	for _, m := range job.Sources[1:] {
		if m.IndexSize() > largest.IndexSize() {
			largest = m
		}
	}
	_, err := c.putMark(ctx, block.Mark{
		Kind: markOf(job.Kind), Block: largest.ULID, Reason: block.ReasonIndexSize,
		Details: fmt.Sprintf("the largest index of the %d blocks of a job: %v", len(job.Sources), tooLarge),
	})
	if err != nil {
		return err
	}
	return &markedError{block: largest.ULID, err: tooLarge}
}

// markedError says that a job was given up, and a source marked because of it: the
// next plan is another one.
type markedError struct {
	block ulid.ULID
	err   error
}

func (e *markedError) Error() string {
	return fmt.Sprintf("block %s is marked: %v", e.block, e.err)
}

func (e *markedError) Unwrap() error { return e.err }

func (e *markedError) Is(target error) bool { return target == ErrStale }

// putMark puts a mark and counts it.
//
// Errors: classed.
func (c *Compactor) putMark(ctx context.Context, m block.Mark) (put bool, err error) {
	put, err = block.PutMark(ctx, c.bkt, m)
	if err != nil {
		return false, mixedError(ctx, err)
	}
	if put {
		c.metrics.marked.WithLabelValues(m.Kind.File(), m.Reason).Inc()
	}
	return put, nil
}
