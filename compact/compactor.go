package compact

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
)

// Compactor compacts, downsamples, marks and deletes the blocks of a bucket.
//
// Whatever happens to a job, the others go on, and all that failed is tried again
// by the next run: see [ClassOf] for what can happen, and [QuarantineError] for what
// becomes of blocks that are bad. It can be killed at any moment: outputs are
// uploaded, meta.json last, before the first source is marked for deletion, and
// marked blocks are deleted after a delay, so that readers see every sample at every
// moment. What is left in the directory is gone on with, and may be deleted while
// nobody works in it.
//
// Two on the same blocks, each with a directory of its own, lose nothing: what both
// have made is the same to readers, and one of it is marked for deletion later.
//
// Concurrency: safe; one run at a time, others wait for it. In one directory one
// Compactor can work at a time, whatever the process.
type Compactor struct {
	bkt     objstore.Bucket
	dir     string
	opts    *Options
	fetcher *block.Fetcher
	metrics *metrics
	// merge is runJob.
	merge func(ctx context.Context, job *Job, sources []string, out string, o *Options) (*JobResult, error)
	// verify is verify, of sources.
	verify func(ctx context.Context, dir string, depth block.VerifyDepth) error

	// busy holds a value while a run goes on, cleaning while blocks are deleted.
	busy, cleaning chan struct{}
	progress       progress

	mu sync.Mutex
	// indexBytes are sizes of indexes that meta.json files do not say.
	indexBytes map[ulid.ULID]int64
	// foreign counts in how many runs in a row a job of another shard was planned.
	foreign map[string]int

	closing sync.Once
	closed  chan struct{}
	running sync.WaitGroup
}

// New returns a Compactor of a bucket that works in a directory, which is made when
// it is needed. It asks nothing of the bucket yet, and does not close it. opts may be
// nil.
//
// Errors: options that are not valid, the registerer's.
func New(bkt objstore.Bucket, dir string, opts *Options) (*Compactor, error) {
	o, err := opts.complete()
	if err != nil {
		return nil, fmt.Errorf("new compactor: %w", err)
	}
	var filters []block.Filter
	if !o.MinTime.IsZero() || !o.MaxTime.IsZero() {
		filters = append(filters, block.TimePartition(o.MinTime, o.MaxTime))
	}
	if len(o.Relabel) > 0 {
		shard, err := block.LabelShard(o.Relabel, o.ReplicaLabels...)
		if err != nil {
			return nil, fmt.Errorf("new compactor: option Relabel: %w", err)
		}
		filters = append(filters, shard)
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("new compactor: register metrics: %w", err)
	}
	m.deleteDelay.Set(max(o.DeleteDelay, 0).Seconds())
	f, err := block.NewFetcher(bkt, dir, &block.FetcherOptions{
		Lister: o.Lister, Filters: filters, Concurrency: o.MetaConcurrency, Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("new compactor: %w", err)
	}
	return &Compactor{
		bkt: bkt, dir: filepath.Clean(dir), opts: o, fetcher: f, metrics: m, merge: runJob, verify: verify,
		busy: make(chan struct{}, 1), cleaning: make(chan struct{}, 1),
		indexBytes: map[ulid.ULID]int64{}, closed: make(chan struct{}),
	}, nil
}

// Close ends what runs, and waits for it. It is idempotent. Calls after it fail with
// ErrClosed.
func (c *Compactor) Close() error {
	c.closing.Do(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.closed)
	})
	c.running.Wait()
	return nil
}

// enter joins a call to the life of the Compactor. Its context ends with it.
func (c *Compactor) enter(ctx context.Context) (context.Context, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		return nil, nil, ErrClosed
	default:
	}
	c.running.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer c.running.Done()
		select {
		case <-c.closed:
			cancel(ErrClosed)
			<-ended
		case <-ended:
		}
	}()
	return ctx, func() {
		cancel(nil)
		close(ended)
	}, nil
}

// Plan returns what a run would do now, without doing any of it: a dry run. See
// [Plan.WriteTable].
//
// Errors: those of the bucket, the context's.
func (c *Compactor) Plan(ctx context.Context) (*Plan, error) {
	ctx, leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	_, plan, err := c.plan(ctx, nil)
	return plan, err
}

// plan looks at the bucket and says what is to be done. avoid says of blocks why
// they are left alone for now, by the mark that would do the same.
func (c *Compactor) plan(ctx context.Context, avoid *avoided) (*block.View, *Plan, error) {
	view, err := c.fetcher.Fetch(ctx)
	if err != nil {
		return nil, nil, mixedError(ctx, err)
	}
	s := NewState(view, time.Now())
	if err := c.sizeIndexes(ctx, s); err != nil {
		return nil, nil, err
	}
	avoid.apply(s)
	plan, err := MakePlan(s, c.opts)
	if err != nil {
		return nil, nil, fmt.Errorf("make plan: %w", err)
	}
	return view, plan, nil
}

// sizeIndexes asks the bucket for the sizes of indexes that meta.json files do not
// say.
func (c *Compactor) sizeIndexes(ctx context.Context, s *State) error {
	c.mu.Lock()
	known := c.indexBytes
	c.mu.Unlock()
	sizes := map[ulid.ULID]int64{}
	for _, id := range s.Unsized() {
		if size, ok := known[id]; ok {
			sizes[id] = size
			continue
		}
		name := block.ObjectName(id, block.IndexFile)
		attrs, err := c.bkt.Attributes(ctx, name)
		switch {
		case err == nil:
			sizes[id] = attrs.Size
		case !c.bkt.IsObjNotFoundErr(err): // One that is not there, the job will find.
			return mixedError(ctx, fmt.Errorf("look at %s: %w", name, err))
		}
	}
	for i := range s.Blocks {
		if size, ok := sizes[s.Blocks[i].Meta.ULID]; ok {
			s.Blocks[i].IndexBytes = size
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.indexBytes = sizes
	return nil
}

// avoided are blocks that are left alone for the rest of a run, since a job on
// them failed for no fault of theirs.
type avoided struct {
	mu                    sync.Mutex
	compact, downsampling map[ulid.ULID]string
}

func newAvoided() *avoided {
	return &avoided{compact: map[ulid.ULID]string{}, downsampling: map[ulid.ULID]string{}}
}

// add leaves the sources of a job alone.
func (a *avoided) add(job *Job, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	to := a.compact
	if job.Kind != Compact {
		to = a.downsampling
	}
	for _, id := range sourceIDs(job) {
		to[id] = why
	}
}

func (a *avoided) apply(s *State) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range s.Blocks {
		b := &s.Blocks[i]
		b.NoCompact, b.NoDownsample = a.compact[b.Meta.ULID], a.downsampling[b.Meta.ULID]
	}
}

// take waits for a semaphore of one.
func take(ctx context.Context, sem chan struct{}) error {
	select {
	case sem <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// joined is errors.Join of errors that jobs returned.
func joined[E error](errs []E) error {
	all := make([]error, len(errs))
	for i, err := range errs {
		all[i] = err
	}
	return errors.Join(all...)
}
