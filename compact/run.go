package compact

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// Report is what a run did.
type Report struct {
	// Compactions and Downsamplings count jobs whose outputs are in the bucket.
	Compactions, Downsamplings int
	// Uploaded are the blocks that were made, as they are in the bucket.
	Uploaded []*block.Meta
	// Marked are blocks that were marked because of the plan, sources of jobs
	// excepted, which are in Replaced.
	Marked   []MarkAction
	Replaced []ulid.ULID
	// Deleted are blocks, and what was left of blocks, that are gone.
	Deleted []ulid.ULID
	// Quarantined are blocks that were found to be bad.
	Quarantined []*QuarantineError
	// Failed are jobs that are left to the next run.
	Failed []*JobError
	// Plan is the last one: what is held, skipped, and still to be done.
	Plan *Plan

	mu sync.Mutex
}

// note changes the report.
func (r *Report) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// RunOnce does all there is to do: it deletes what was marked long enough ago and
// uploads that nobody goes on with, marks what has been replaced or has had its
// time, and runs the jobs of one plan after the other until none is left.
//
// Output: what was done, of a run that failed, too.
// Errors: of a run that left something to the next one, all of them joined, each
// of a class: see ClassOf. Blocks that were quarantined are no error. ErrBusy, if
// another Compactor works in the directory; ErrClosed.
func (c *Compactor) RunOnce(ctx context.Context) (*Report, error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := take(ctx, c.busy); err != nil {
		return nil, err
	}
	defer func() { <-c.busy }()
	r := &run{c: c, first: true, report: &Report{}, avoid: newAvoided(), done: map[string]bool{}}
	err = r.all(ctx)
	if errors.Is(err, ErrBusy) {
		return nil, err
	}
	c.progress.idle()
	c.metrics.ran(err)
	return r.report, err
}

// run is one RunOnce.
type run struct {
	c      *Compactor
	report *Report
	// avoid are blocks that a job failed on, done the jobs of which something came: a
	// plan that has one of them again was made of what the bucket was before.
	avoid *avoided
	done  map[string]bool
	first bool // This is the first plan.
}

func (r *run) all(ctx context.Context) (err error) {
	release, err := r.c.lock(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, localError(release())) }()
	var errs []error
	for again := true; again && ctx.Err() == nil; {
		var passErrs []error
		again, passErrs = r.pass(ctx)
		// What goes wrong in each pass is told once.
		for _, e := range passErrs {
			if !slices.ContainsFunc(errs, func(have error) bool { return have.Error() == e.Error() }) {
				errs = append(errs, e)
			}
		}
	}
	if ctx.Err() != nil {
		errs = append(errs, context.Cause(ctx))
	}
	return errors.Join(append(errs, joined(r.report.Failed))...)
}

// pass makes a plan and carries it out. It reports whether there may be more to
// do.
func (r *run) pass(ctx context.Context) (again bool, errs []error) {
	view, plan, err := r.c.plan(ctx, r.avoid)
	if err != nil {
		return false, []error{err}
	}
	r.report.Plan = plan
	if r.first {
		r.c.metrics.ownerless.Set(float64(r.c.ownerless(plan)))
		r.first = false
	}
	r.c.metrics.planned(plan, r.report.Failed, time.Now())
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	add(mixedError(ctx, view.Incomplete))
	before := len(r.report.Marked) + len(r.report.Quarantined)
	add(r.clean(ctx, plan))
	add(r.mark(ctx, plan))
	found, err := r.c.quarantineMetas(ctx, view)
	add(err)
	r.report.Quarantined = append(r.report.Quarantined, found...)
	marked := len(r.report.Marked)+len(r.report.Quarantined) > before
	jobs := r.fresh(plan.Jobs)
	add(r.c.removeStale(ctx, jobs, r.report.Failed))
	if len(jobs) < len(plan.Jobs) {
		// What was uploaded is not listed yet: the next run will see it.
		add(ErrStale)
	}
	r.c.progress.begin(jobs)
	r.c.metrics.show(r.c.progress.now())
	return r.jobs(ctx, jobs) || marked, errs
}

// fresh returns the jobs that this run has not done.
func (r *run) fresh(jobs []Job) []*Job {
	var out []*Job
	for i := range jobs {
		if !r.done[jobKey(&jobs[i])] {
			out = append(out, &jobs[i])
		}
	}
	return out
}

// jobs runs jobs, those of groups that differ at a time, and those that failed for
// want of room on the disk once more, alone. It reports whether any has changed
// something in the bucket.
func (r *run) jobs(ctx context.Context, jobs []*Job) (changed bool) {
	var (
		wg      sync.WaitGroup
		queue   = newQueue(jobs, r.c.opts)
		cramped []*Job
	)
	for range jobs {
		job, release := queue.next(ctx)
		if job == nil {
			break
		}
		wg.Go(func() {
			defer release()
			did, err := r.job(ctx, job)
			r.report.note(func() {
				changed = changed || did
				if errors.Is(err, ErrDiskFull) && len(jobs) > 1 {
					cramped = append(cramped, job)
				} else if err != nil && ctx.Err() == nil {
					r.failed(job, err)
				}
			})
		})
	}
	wg.Wait()
	for _, job := range cramped {
		if ctx.Err() != nil {
			return changed
		}
		did, err := r.job(ctx, job)
		changed = changed || did
		if err != nil && ctx.Err() == nil {
			r.failed(job, err)
		}
	}
	return changed
}

// failed leaves a job to the next run.
func (r *run) failed(job *Job, err error) {
	e := &JobError{Job: job, Err: err}
	r.report.Failed = append(r.report.Failed, e)
	r.avoid.add(job, err.Error())
	r.c.opts.Logger.Warn("job left to the next run", "group", job.Group, "class", ClassOf(err), "err", err)
}

// job runs a job and notes what came of it. It reports whether it has changed
// something in the bucket. Quarantined blocks are no error: the next plan goes
// round them.
func (r *run) job(ctx context.Context, job *Job) (changed bool, err error) {
	c := r.c
	began := time.Now()
	c.metrics.started(job)
	c.progress.started()
	c.opts.Logger.Info("job begins", "group", job.Group, "kind", job.Kind, "blocks", len(job.Sources), "why", job.Why)
	res, err := c.do(ctx, job)
	took := time.Since(began)
	c.metrics.ended(job, took, err)
	c.progress.ended(job)
	c.metrics.show(c.progress.now())
	_, marked := errors.AsType[*markedError](err)
	r.report.note(func() {
		r.report.Quarantined = append(r.report.Quarantined, res.quarantined...)
		r.done[jobKey(job)] = err == nil || marked || ClassOf(err) == ClassQuarantine
		changed = r.done[jobKey(job)]
	})
	switch {
	case err == nil:
	case changed:
		c.opts.Logger.Warn("job given up", "group", job.Group, "err", err)
		return true, nil
	default:
		return false, err
	}
	r.report.note(func() {
		r.report.Uploaded = append(r.report.Uploaded, res.uploaded...)
		r.report.Replaced = append(r.report.Replaced, res.replaced...)
		if job.Kind == Compact {
			r.report.Compactions++
		} else {
			r.report.Downsamplings++
		}
	})
	c.opts.Logger.Info("job done", "group", job.Group, "kind", job.Kind, "blocks", len(job.Sources), "made", len(res.uploaded), "took", took)
	return true, nil
}
