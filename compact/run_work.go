package compact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/efficientgo/core/errcapture"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact/internal/step"
)

// What is in the directory of a Compactor, beside what its Fetcher keeps.
const (
	lockFile  = "compactor.lock"
	blocksDir = "blocks" // sources of jobs
	jobsDir   = "jobs"
	// In that of a job: what it has made, and that it has made it.
	outputsDir = "outputs"
	madeFile   = "made.json"

	dirMode  = 0o750
	fileMode = 0o640
)

// begin is before each change of the directory: tests refuse them.
func begin(ctx context.Context, change string) error { return localError(step.Do(ctx, change)) }

// lock takes the directory for this process.
//
// Errors: ErrBusy, if another one has it; an ErrDisk.
func (c *Compactor) lock(ctx context.Context) (release func() error, err error) {
	for _, dir := range []string{blocksDir, jobsDir} {
		if err := begin(ctx, "mkdir "+dir); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Join(c.dir, dir), dirMode); err != nil {
			return nil, localError(err)
		}
	}
	lock, _, err := fileutil.Flock(filepath.Join(c.dir, lockFile))
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, ErrBusy
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
		c.opts.Logger.Warn("directory cannot be locked", "dir", c.dir, "err", err)
		return func() error { return nil }, nil
	case err != nil:
		return nil, localError(fmt.Errorf("lock %s: %w", c.dir, err))
	}
	return lock.Release, nil
}

// jobKey names a job by what it reads and writes: the same job has the same
// directory after a restart.
func jobKey(job *Job) string {
	var b strings.Builder
	fmt.Fprintln(&b, job.Kind, job.Group, job.Outputs)
	for _, id := range sourceIDs(job) {
		fmt.Fprintln(&b, id)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// work is where a job is done. No other job of a plan is in its directory, or has
// the same sources.
type work struct {
	dir    string
	blocks string
	// downloads holds a value for each block that is being downloaded.
	downloads chan struct{}
}

// openWork makes the directory of a job, or goes on with it.
func (c *Compactor) openWork(ctx context.Context, job *Job) (*work, error) {
	w := &work{
		dir: filepath.Join(c.dir, jobsDir, jobKey(job)), blocks: filepath.Join(c.dir, blocksDir),
		downloads: make(chan struct{}, c.opts.FetchConcurrency),
	}
	if err := begin(ctx, "mkdir "+w.dir); err != nil {
		return nil, err
	}
	return w, localError(os.MkdirAll(w.dir, dirMode))
}

// source is where a block of the bucket is downloaded to. It stays if the job is
// given up, for one that the next plan has instead.
func (w *work) source(id ulid.ULID) string { return filepath.Join(w.blocks, id.String()) }

// outputs is where the blocks are that the job makes.
func (w *work) outputs() string { return filepath.Join(w.dir, outputsDir) }

// made is what a job has made, in the order in which it is uploaded.
type made struct {
	Blocks []ulid.ULID `json:"blocks"`
}

// made returns the directories of the blocks that the job has made, in an earlier
// process perhaps. It is false if it has not made all of them, as far as can be told
// after a crash of the system.
func (w *work) made() (dirs []string, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(w.dir, madeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, localError(err)
	}
	var m made
	whole := json.Unmarshal(b, &m) == nil
	for _, id := range m.Blocks {
		dir := filepath.Join(w.outputs(), id.String())
		_, err := block.ReadMeta(dir)
		whole = whole && err == nil
		dirs = append(dirs, dir)
	}
	return dirs, whole, nil
}

// clearOutputs removes what an attempt before has left.
func (w *work) clearOutputs(ctx context.Context) error {
	for _, name := range []string{madeFile, outputsDir} {
		if err := remove(ctx, filepath.Join(w.dir, name)); err != nil {
			return err
		}
	}
	if err := begin(ctx, "mkdir "+w.outputs()); err != nil {
		return err
	}
	return localError(os.MkdirAll(w.outputs(), dirMode))
}

// finish notes that the job has made these blocks.
func (w *work) finish(ctx context.Context, ids []ulid.ULID) error {
	b, err := json.Marshal(made{Blocks: ids})
	if err != nil {
		return err
	}
	path := filepath.Join(w.dir, madeFile)
	if err := begin(ctx, "write "+path+".tmp"); err != nil {
		return err
	}
	if err := writeSynced(path+".tmp", b); err != nil {
		return localError(err)
	}
	if err := begin(ctx, "rename "+path); err != nil {
		return err
	}
	return localError(os.Rename(path+".tmp", path))
}

func writeSynced(path string, b []byte) (err error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, f.Close, "close %s", path)
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.Sync()
}

// remove removes the directory of a job.
func (w *work) remove(ctx context.Context) error { return remove(ctx, w.dir) }

// removeSource removes what was downloaded of a block.
func (w *work) removeSource(ctx context.Context, id ulid.ULID) error {
	return errors.Join(remove(ctx, w.source(id)), remove(ctx, w.source(id)+block.DownloadSuffix))
}

// remove removes what there is, or nothing.
func remove(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := begin(ctx, "remove "+path); err != nil {
		return err
	}
	return localError(os.RemoveAll(path))
}

// removeStale removes what no job goes on with, now or in the next run.
func (c *Compactor) removeStale(ctx context.Context, jobs []*Job, failed []*JobError) error {
	jobs = slices.Clone(jobs)
	for _, e := range failed {
		jobs = append(jobs, e.Job)
	}
	planned := map[string]bool{}
	for _, job := range jobs {
		planned[jobKey(job)] = true
		for _, id := range sourceIDs(job) {
			planned[id.String()] = true
		}
	}
	var errs []error
	for _, dir := range []string{jobsDir, blocksDir} {
		entries, err := os.ReadDir(filepath.Join(c.dir, dir))
		if err != nil {
			errs = append(errs, localError(err))
			continue
		}
		for _, e := range entries {
			if !planned[strings.TrimSuffix(e.Name(), block.DownloadSuffix)] {
				errs = append(errs, remove(ctx, filepath.Join(c.dir, dir, e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}
