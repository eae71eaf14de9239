package compact

import (
	"context"

	"github.com/thanoskit/thanoskit/block"
)

// BlockWriter is what a job writes a block with.
type BlockWriter = blockWriter

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
	return r.run(dirs)
}

// CheckChunk is checkChunk.
func CheckChunk(c *block.Chunk) error { return checkChunk(c) }
