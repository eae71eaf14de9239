package compact

import (
	"context"

	"github.com/thanoskit/thanoskit/block"
)

// BlockWriter is what a job writes a block with.
type BlockWriter = blockWriter

// JobResult is what a job has made.
type JobResult struct {
	Metas []*block.Meta
	Empty []block.Resolution
}

// RunJob is runJob with options that are completed first.
func RunJob(ctx context.Context, job *Job, dirs []string, out string, o *Options) (*JobResult, error) {
	return RunJobOn(ctx, job, dirs, out, o, nil)
}

// RunJobOn is RunJob with writers wrapped, if wrap is not nil.
func RunJobOn(ctx context.Context, job *Job, dirs []string, out string, o *Options, wrap func(BlockWriter) BlockWriter) (*JobResult, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	r := newJobRun(ctx, job, out, o)
	if newWriter := r.newWriter; wrap != nil {
		r.newWriter = func(dir string, m *block.Meta) (BlockWriter, error) {
			w, err := newWriter(dir, m)
			if err != nil {
				return nil, err
			}
			return wrap(w), nil
		}
	}
	res, err := r.run(dirs)
	if err != nil {
		return nil, err
	}
	return &JobResult{res.Metas, res.Empty}, nil
}

// CheckChunk is checkChunk.
func CheckChunk(c *block.Chunk) error { return checkChunk(c) }
