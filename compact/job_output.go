package compact

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact/internal/step"
)

// blockWriter is what an output needs of a block.Writer.
type blockWriter interface {
	AddSymbolBytes(symbol []byte) error
	AddRefs(lset []block.LabelRef, chunks []block.Chunk) error
	IndexSize() int64
	Commit() (*block.Meta, error)
	Close() error
}

// output is a block that a job makes.
//
// Concurrency: not safe, but outputs are apart from each other.
type output struct {
	run        *jobRun
	level      int
	resolution block.Resolution

	begun  *block.Meta
	w      blockWriter
	series int64
	made   *block.Meta // once it is there
}

func (o *output) open(m *block.Meta) error {
	if err := step.Do(o.run.ctx, "mkdir "+o.run.path(m)); err != nil {
		return err
	}
	o.begun = m
	w, err := o.run.newWriter(o.run.dir, m)
	if err != nil {
		return err // and w is a nil of some type
	}
	o.w = w
	return nil
}

func (o *output) addSymbol(symbol []byte) error {
	if size := o.w.IndexSize() + int64(len(symbol)); size > min(o.run.limit, math.MaxUint32) {
		return &IndexSizeError{Resolution: o.resolution, Size: size, Limit: min(o.run.limit, math.MaxUint32)}
	}
	return o.w.AddSymbolBytes(symbol)
}

// add writes the series of a batch.
func (o *output) add(b *batch) error {
	for i := range b.items {
		it := &b.items[i]
		chunks := it.made[o.level]
		if chunks.from == chunks.to {
			continue
		}
		err := o.w.AddRefs(b.refs[it.refs.from:it.refs.to], b.made[o.level][chunks.from:chunks.to])
		if _, ok := errors.AsType[*block.SeriesError](err); ok {
			return b.blame(it, err)
		}
		if err != nil {
			return err
		}
		o.series++
	}
	return o.checkSize(o.w.IndexSize())
}

func (o *output) checkSize(size int64) error {
	if size > o.run.limit {
		return &IndexSizeError{Resolution: o.resolution, Size: size, Limit: o.run.limit}
	}
	return nil
}

// commit ends the block. One without series is given up.
func (o *output) commit() error {
	if o.series == 0 {
		return o.abort()
	}
	m, err := o.w.Commit()
	if err != nil {
		return err
	}
	o.made = m
	return o.checkSize(m.IndexSize())
}

// abort removes the block, whole or not. More than once does no harm.
func (o *output) abort() error {
	var errs []error
	if o.w != nil {
		errs = append(errs, o.w.Close())
		o.w = nil
	}
	if o.made != nil {
		path := o.run.path(o.made)
		o.made = nil
		if err := step.Do(o.run.ctx, "remove "+path); err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// commit ends all outputs.
func (r *jobRun) commit() (*JobResult, error) {
	for _, o := range r.outputs {
		if err := step.Do(r.ctx, "rename "+r.path(o.begun)); err != nil {
			return nil, err
		}
	}
	var g errgroup.Group
	for _, o := range r.outputs {
		g.Go(o.commit)
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("write blocks: %w", err)
	}
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	result := &JobResult{}
	for _, o := range r.outputs {
		if o.made == nil {
			result.Empty = append(result.Empty, o.resolution)
			continue
		}
		result.Metas = append(result.Metas, o.made)
	}
	return result, nil
}
