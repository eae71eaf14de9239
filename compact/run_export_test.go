package compact

import (
	"context"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// SetMerge has f make the outputs of jobs in place of runJob, which it gets.
func (c *Compactor) SetMerge(f func(ctx context.Context, job *Job, sources []string, out string, merge func() ([]*block.Meta, error)) ([]*block.Meta, error)) {
	c.merge = func(ctx context.Context, job *Job, sources []string, out string, o *Options) (*JobResult, error) {
		metas, err := f(ctx, job, sources, out, func() ([]*block.Meta, error) {
			res, err := runJob(ctx, job, sources, out, o)
			if err != nil {
				return nil, err
			}
			return res.Metas, nil
		})
		return &JobResult{Metas: metas}, err
	}
}

// SetVerify has f called before a source is looked at.
func (c *Compactor) SetVerify(f func()) {
	c.verify = func(ctx context.Context, dir string, depth block.VerifyDepth) error {
		f()
		return verify(ctx, dir, depth)
	}
}

// NewJobQueue returns how jobs are handed out: what next and its release do.
func NewJobQueue(jobs []*Job, o *Options) func(context.Context) (*Job, func()) {
	return newQueue(jobs, o).next
}

// Newest says when the newest object of a block was written, and whether it has a
// meta.json.
func (c *Compactor) Newest(ctx context.Context, id ulid.ULID) (at time.Time, whole bool, err error) {
	return c.newest(ctx, id)
}

// DetailsOf is what is in the details of a mark.
func DetailsOf(cause error) string { return detailsOf(cause) }

// ProgressOf is how jobs are counted.
type ProgressOf struct{ p progress }

// Begin is a new plan.
func (p *ProgressOf) Begin(jobs ...*Job) { p.p.begin(jobs) }

// Run is a job that begins.
func (p *ProgressOf) Run() { p.p.started() }

// Ended is a job that has ended.
func (p *ProgressOf) Ended(job *Job) { p.p.ended(job) }

// Now is how far they are.
func (p *ProgressOf) Now() Progress { return p.p.now() }
