package compact

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/downsample"
)

// JobResult is what a job has made.
type JobResult struct {
	// Metas are those of the blocks that were made, by resolution, ascending. Each
	// block is in the directory of its ULID.
	Metas []*block.Meta
	// Empty are the resolutions of Job.Outputs of which there is no block, because it
	// would have no series: sources without any, or with nothing but NaN and stale
	// markers to be downsampled.
	Empty []block.Resolution
}

// IndexSizeError says that the index of a block would be larger than it may be. It
// is noticed while the index is written, and nothing of the block is left.
type IndexSizeError struct {
	Resolution block.Resolution
	// Size is how many bytes it would have at least, Limit how many it may have.
	Size, Limit int64
}

// Error returns "index of RESOLUTION block has SIZE bytes or more, LIMIT are allowed".
func (e *IndexSizeError) Error() string {
	return fmt.Sprintf("index of %s block has %d bytes or more, %d are allowed", e.Resolution, e.Size, e.Limit)
}

// maxIndexBytes is what the format of an index can hold in series: references are
// of 32 bits, in units of 16 bytes.
const maxIndexBytes = 64 << 30

// RunJob makes the blocks of a job out of the blocks in the directories of its
// sources, in one pass: each chunk is read once, and what is made of it for each
// resolution is written at once.
//
// Chunks that overlap with no other are copied as they lie in the files, checksum
// and all. Those that overlap are merged by Options.Algorithm: sources that differ
// in replica labels are replicas, in the order of dedup.Replicas; of sources that
// do not, all samples count. Coarser resolutions are made of the merged chunks of
// the series, 1h of the chunks of 5m, and are what downsample.Block makes of the
// blocks written.
//
// Input: dirs are in the order of job.Sources. out is a directory for this job
// alone, in which nothing but its output is. Of opts only Algorithm, ReplicaLabels,
// PreferReplicas and MaxIndexBytes are looked at, the last of several sources alone:
// what is made of one block is not to be made of less.
// Output: the blocks are in out, whole and synced. Those of coarser resolutions
// have the compaction levels, sources and parents of the finest.
// Errors: SourceError if a source is bad; IndexSizeError; the context's; those of
// the file system, of which a full disk is one; downsample.ErrResolution for a job
// that cannot be. Nothing that was made is left in out after any of them, and
// sources are never touched.
// Cost: memory is that of block.Writer for each output, which is bounded by series
// and symbols of the output; a few batches of series for each processor; and a few
// KiB for each source. Neither samples nor what sources have in their indexes
// matters. Each source has its index and segments open and mapped. Disk is what is
// written, and 4 bytes for each symbol of sources whose symbols differ.
//
// Source: Thanos v0.42.4, pkg/compact and pkg/compact/downsample, for what goes
// into meta.json.
func RunJob(ctx context.Context, job *Job, dirs []string, out string, opts *Options) (*JobResult, error) {
	o, err := opts.complete()
	if err != nil {
		return nil, fmt.Errorf("run job: %w", err)
	}
	return runJob(ctx, job, dirs, out, o)
}

// runJob is RunJob with complete options.
func runJob(ctx context.Context, job *Job, dirs []string, out string, o *Options) (*JobResult, error) {
	return newJobRun(ctx, job, out, o).run(dirs) //nolint:contextcheck // It is the run's own.
}

// jobRun is one run of a job.
type jobRun struct {
	ctx   context.Context
	job   *Job
	dir   string
	opts  *Options
	limit int64 // of an index

	resolution block.Resolution // of the sources
	last       int              // level that is made last
	outputs    []*output

	// newWriter is block.NewWriter. Tests put one that fails in its place.
	newWriter func(dir string, meta *block.Meta) (blockWriter, error)
}

func newJobRun(ctx context.Context, job *Job, dir string, o *Options) *jobRun {
	r := &jobRun{ctx: ctx, job: job, dir: dir, opts: o, limit: maxIndexBytes}
	if len(job.Sources) > 1 { // One block alone is as large as it is.
		r.limit = min(o.MaxIndexBytes, maxIndexBytes)
	}
	r.newWriter = func(dir string, meta *block.Meta) (blockWriter, error) { return block.NewWriter(dir, meta, nil) }
	return r
}

func (r *jobRun) run(dirs []string) (_ *JobResult, err error) {
	if err := r.plan(); err != nil {
		return nil, err
	}
	sources, err := openSources(r.ctx, r.job, dirs, r.opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeSources(sources)) }()
	if err := r.open(sources); err != nil {
		return nil, errors.Join(err, r.abort())
	}
	if err := r.write(sources); err != nil {
		return nil, errors.Join(err, r.abort())
	}
	result, err := r.commit()
	if err != nil {
		return nil, errors.Join(err, r.abort())
	}
	return result, nil
}

// plan finds out what is to be made of the sources.
func (r *jobRun) plan() error {
	if len(r.job.Sources) == 0 || len(r.job.Outputs) == 0 {
		return errors.New("a job has sources and outputs")
	}
	r.resolution = r.job.Sources[0].Resolution()
	for _, m := range r.job.Sources {
		if m.Resolution() != r.resolution {
			return fmt.Errorf("sources of %s and %s", r.resolution, m.Resolution())
		}
	}
	left := slices.Clone(r.job.Outputs)
	at := r.resolution
	for level := range levels {
		if i := slices.Index(left, at); i >= 0 {
			left = slices.Delete(left, i, i+1)
			r.last = level
			r.outputs = append(r.outputs, &output{run: r, level: level, resolution: at})
		}
		next, ok := downsample.Next(at)
		if !ok {
			break
		}
		at = next
	}
	if len(left) > 0 {
		return fmt.Errorf("make %s of %s: %w", left[0], r.resolution, downsample.ErrResolution)
	}
	return nil
}

// open begins the outputs.
func (r *jobRun) open(sources []*source) error {
	metas := make([]*block.Meta, len(sources))
	for i, s := range sources {
		metas[i] = s.meta
	}
	base := outputMeta(r.job, metas)
	for _, o := range r.outputs {
		m := base.Clone()
		m.ULID = ulid.Make()
		m.Thanos.Downsample.Resolution = o.resolution
		if err := o.open(m); err != nil {
			return err
		}
	}
	return nil
}

// addSymbol adds a symbol to all outputs: as in Thanos, downsampled blocks have
// those of series too that nothing is left of.
func (r *jobRun) addSymbol(symbol []byte) error {
	for _, o := range r.outputs {
		if err := o.addSymbol(symbol); err != nil {
			return err
		}
	}
	return nil
}

// abort removes what was made.
func (r *jobRun) abort() error {
	var errs []error
	for _, o := range r.outputs {
		errs = append(errs, o.abort())
	}
	return errors.Join(errs...)
}

func (r *jobRun) path(m *block.Meta) string { return filepath.Join(r.dir, m.ULID.String()) }
