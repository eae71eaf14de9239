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
	lockFile = "compactor.lock"
	jobsDir  = "jobs"
	// In that of a job: its sources, what it has made, and that it has made it.
	sourcesDir = "sources"
	outputsDir = "outputs"
	madeFile   = "made.json"

	dirMode  = 0o750
	fileMode = 0o640
)

// lock takes the directory for this process.
//
// Errors: ErrBusy, if another one has it; an ErrDisk.
func (c *Compactor) lock(ctx context.Context) (release func() error, err error) {
	if err := step.Do(ctx, "mkdir "+jobsDir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(c.dir, jobsDir), dirMode); err != nil {
		return nil, localError(err)
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

// work is the directory of a job. Nobody else is in it.
type work struct {
	dir string
}

// openWork makes the directory of a job, or goes on with it.
func (c *Compactor) openWork(ctx context.Context, job *Job) (*work, error) {
	w := &work{dir: filepath.Join(c.dir, jobsDir, jobKey(job))}
	if err := step.Do(ctx, "mkdir "+w.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(w.dir, sourcesDir), dirMode); err != nil {
		return nil, localError(err)
	}
	return w, nil
}

// source is where a block of the bucket is downloaded to.
func (w *work) source(id ulid.ULID) string { return filepath.Join(w.dir, sourcesDir, id.String()) }

// outputs is where the blocks are that the job makes.
func (w *work) outputs() string { return filepath.Join(w.dir, outputsDir) }

// made is what a job has made, in the order in which it is uploaded.
type made struct {
	Blocks []ulid.ULID `json:"blocks"`
}

// made returns the directories of the blocks that the job has made, in an earlier
// process perhaps. It is false if it has not made all of them.
func (w *work) made() (dirs []string, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(w.dir, madeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, localError(err)
	}
	var m made
	if json.Unmarshal(b, &m) != nil {
		return nil, false, nil // Of a disk that was full. It is made again.
	}
	for _, id := range m.Blocks {
		dir := filepath.Join(w.outputs(), id.String())
		if _, err := block.ReadMeta(dir); err != nil {
			return nil, false, nil
		}
		dirs = append(dirs, dir)
	}
	return dirs, true, nil
}

// clearOutputs removes what an attempt before has left.
func (w *work) clearOutputs(ctx context.Context) error {
	for _, name := range []string{madeFile, outputsDir} {
		if err := remove(ctx, filepath.Join(w.dir, name)); err != nil {
			return err
		}
	}
	if err := step.Do(ctx, "mkdir "+w.outputs()); err != nil {
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
	if err := step.Do(ctx, "write "+path+".tmp"); err != nil {
		return err
	}
	if err := writeSynced(path+".tmp", b); err != nil {
		return localError(err)
	}
	if err := step.Do(ctx, "rename "+path); err != nil {
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

// remove gives up the directory of the job, or what of it is in the way.
func (w *work) remove(ctx context.Context) error { return remove(ctx, w.dir) }

func remove(ctx context.Context, path string) error {
	if err := step.Do(ctx, "remove "+path); err != nil {
		return err
	}
	return localError(os.RemoveAll(path))
}

// removeStale removes the directories of jobs that are not in the plan any more.
func (c *Compactor) removeStale(ctx context.Context, jobs []Job) error {
	planned := map[string]bool{}
	for i := range jobs {
		planned[jobKey(&jobs[i])] = true
	}
	entries, err := os.ReadDir(filepath.Join(c.dir, jobsDir))
	if err != nil {
		return localError(err)
	}
	var errs []error
	for _, e := range entries {
		if !planned[e.Name()] {
			errs = append(errs, remove(ctx, filepath.Join(c.dir, jobsDir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
