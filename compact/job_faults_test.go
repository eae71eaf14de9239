package compact_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/compact/internal/step"
)

// failing is a writer on a disk that is full from the n-th operation on of all
// writers of a job, or that cancels the job then.
type failing struct {
	compact.BlockWriter
	calls *int
	at    int
	fail  func() error
}

func (w *failing) step() error {
	if *w.calls++; *w.calls >= w.at {
		return w.fail()
	}
	return nil
}

func (w *failing) AddSymbolBytes(b []byte) error {
	if err := w.step(); err != nil {
		return err
	}
	return w.BlockWriter.AddSymbolBytes(b)
}

func (w *failing) AddRefs(lset []block.LabelRef, chunks []block.Chunk) error {
	if err := w.step(); err != nil {
		return err
	}
	return w.BlockWriter.AddRefs(lset, chunks)
}

// faultJob is a job of a few series and all resolutions.
func faultJob(t testing.TB) (*compact.Job, []string) {
	t.Helper()
	dirs := cut(t, blocktest.Options{}, blocktest.Random(1, &blocktest.RandomOptions{Start: jobStart, Series: 6, Samples: 100, Kinds: []blocktest.Kind{blocktest.Counter}}),
		jobStart, jobStart+hourMS/4, jobStart+hourMS)
	return jobOf(t, dirs, block.Raw, block.FiveMinutes, block.OneHour), dirs
}

// contents are the files of directories, by name.
func contents(t testing.TB, dirs []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, dir := range dirs {
		for _, name := range []string{block.MetaFile, block.IndexFile, "chunks/000001"} {
			b, err := os.ReadFile(dir + "/" + name)
			testutil.Ok(t, err)
			out[dir+"/"+name] = string(b)
		}
	}
	return out
}

// TestFullDisk: whichever write of a symbol or a series fails, nothing is left, the
// cause can be told, and the sources are what they were.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	job, dirs := faultJob(t)
	before := contents(t, dirs)
	full := func() error { return &os.PathError{Op: "write", Path: "index", Err: syscall.ENOSPC} }
	n := 0
	for at := 1; ; at++ {
		out, calls := t.TempDir(), 0
		_, err := compact.RunJobOn(context.Background(), job, dirs, out, nil, func(w compact.BlockWriter) compact.BlockWriter {
			return &failing{BlockWriter: w, calls: &calls, at: at, fail: full}
		})
		if err == nil {
			onlyBlocks(t, out, 3)
			break
		}
		n++
		testutil.Assert(t, errors.Is(err, syscall.ENOSPC), "%v", err)
		_, blamed := errors.AsType[*compact.SourceError](err)
		testutil.Assert(t, !blamed, "%v", err)
		onlyBlocks(t, out, 0)
	}
	t.Logf("%d writes failed in turn", n)
	testutil.Assert(t, n > 3*6)
	testutil.Equals(t, before, contents(t, dirs))
}

// TestCanceledAnywhere: a job that is canceled at any symbol or series ends with the
// context's error and leaves nothing.
func TestCanceledAnywhere(t *testing.T) {
	t.Parallel()
	job, dirs := faultJob(t)
	for at := 1; ; at++ {
		ctx, cancel := context.WithCancel(context.Background())
		out, calls := t.TempDir(), 0
		_, err := compact.RunJobOn(ctx, job, dirs, out, nil, func(w compact.BlockWriter) compact.BlockWriter {
			return &failing{BlockWriter: w, calls: &calls, at: at, fail: func() error { cancel(); return nil }}
		})
		cancel()
		if err == nil {
			onlyBlocks(t, out, 3)
			return
		}
		testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
		onlyBlocks(t, out, 0)
	}
}

// TestRefusedSteps: a step that is not made is what the job returns, and those after
// it are not asked for but to clean up.
func TestRefusedSteps(t *testing.T) {
	t.Parallel()
	job, dirs := faultJob(t)
	errDead := errors.New("dead")
	n := 0
	for at := 1; ; at++ {
		seen := 0
		ctx := step.With(context.Background(), func(string) error {
			if seen++; seen == at {
				return errDead
			}
			return nil
		})
		out := t.TempDir()
		_, err := compact.RunJob(ctx, job, dirs, out, nil)
		if err == nil {
			onlyBlocks(t, out, 3)
			break
		}
		n++
		testutil.Assert(t, errors.Is(err, errDead), "%v", err)
		onlyBlocks(t, out, 0)
	}
	testutil.Assert(t, n >= 9, "%d steps", n) // mkdir, write, rename for each output
}

// TestNoDirectory: where nothing can be written, nothing is, and no block is to blame.
func TestNoDirectory(t *testing.T) {
	t.Parallel()
	job, dirs := faultJob(t)
	file := t.TempDir() + "/file"
	testutil.Ok(t, os.WriteFile(file, nil, 0o600))
	_, err := compact.RunJob(context.Background(), job, dirs, file, nil)
	testutil.Assert(t, errors.Is(err, syscall.ENOTDIR), "%v", err)
	_, blamed := errors.AsType[*compact.SourceError](err)
	testutil.Assert(t, !blamed, "%v", err)
}

// TestIndexTooLarge: an index over the limit is noticed, whatever it is that goes
// over it, and nothing is left.
func TestIndexTooLarge(t *testing.T) {
	t.Parallel()
	dirs := cut(t, blocktest.Options{}, blocktest.Random(1, &blocktest.RandomOptions{Start: jobStart, Series: 700, Samples: 20, Kinds: []blocktest.Kind{blocktest.Counter}}), jobStart, jobStart+150_000, jobStart+hourMS)
	job := jobOf(t, dirs, block.Raw, block.FiveMinutes)
	made := runOK(t, job, dirs, nil)
	m, err := block.ReadMeta(made[0])
	testutil.Ok(t, err)
	size := m.IndexSize()
	for name, limit := range map[string]int64{"symbols": 1000, "series": size / 2, "postings": size - 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			_, err := compact.RunJob(context.Background(), job, dirs, out, &compact.Options{MaxIndexBytes: limit})
			e, ok := errors.AsType[*compact.IndexSizeError](err)
			testutil.Assert(t, ok, "%v", err)
			testutil.Equals(t, limit, e.Limit)
			testutil.Assert(t, e.Size > limit && e.Size <= size, "%v", err)
			onlyBlocks(t, out, 0)
		})
	}
	runOK(t, job, dirs, &compact.Options{MaxIndexBytes: size})
	// A block that is as large already is downsampled all the same.
	alone := jobOf(t, made[:1], block.FiveMinutes)
	alone.Kind = compact.DownsampleOnly
	runOK(t, alone, made[:1], &compact.Options{MaxIndexBytes: 1000})
}

// TestJobsThatCannotBe: a job that makes no sense is refused before anything is
// opened.
func TestJobsThatCannotBe(t *testing.T) {
	t.Parallel()
	job, dirs := faultJob(t)
	for name, change := range map[string]func(j *compact.Job){
		"no sources":        func(j *compact.Job) { j.Sources = nil },
		"no outputs":        func(j *compact.Job) { j.Outputs = nil },
		"odd resolution":    func(j *compact.Job) { j.Outputs = []block.Resolution{7} },
		"fewer directories": func(j *compact.Job) { j.Sources = append(j.Sources, j.Sources[0]) },
	} {
		j := *job
		change(&j)
		out := t.TempDir()
		_, err := compact.RunJob(context.Background(), &j, dirs, out, nil)
		testutil.NotOk(t, err, name)
		onlyBlocks(t, out, 0)
	}
	_, err := compact.RunJob(context.Background(), job, dirs, t.TempDir(), &compact.Options{MaxIndexBytes: -1})
	testutil.NotOk(t, err)
	testutil.Equals(t, "index of 5m block has 7 bytes or more, 6 are allowed", fmt.Sprint(&compact.IndexSizeError{Resolution: block.FiveMinutes, Size: 7, Limit: 6}))
}
