package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// A dry run says what a run would do, and does nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	o := history(t)
	synctest.Test(t, func(t *testing.T) {
		bkt, dir := o.bucket(t), t.TempDir()
		begin()
		c := newCompactor(t, bkt, dir, newCycle().opts)
		before := maps.Clone(bkt.Objects())
		plan, err := c.Plan(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, before, bkt.Objects())
		jobs, err := filepath.Glob(filepath.Join(dir, "jobs", "*"))
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(jobs))
		r, err := c.RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, len(plan.Jobs), r.Compactions+r.Downsamplings)
		testutil.Equals(t, len(plan.Marks), len(r.Marked))
		testutil.Equals(t, len(plan.Deletes), len(r.Deleted))
		testutil.Assert(t, len(plan.Marks) > 0 && len(plan.Deletes) == 2 && len(plan.Jobs) > 2, "%+v", plan)
		testutil.Equals(t, 0, len(r.Plan.Jobs))
	})
}

// Run goes on whatever happens, and cleans while a long job is under way. Close
// ends it.
func TestRun(t *testing.T) {
	t.Parallel()
	o := history(t)
	synctest.Test(t, func(t *testing.T) {
		bkt := blocktest.NewBucket(o.bucket(t))
		begin()
		opts := newCycle().opts
		opts.WaitInterval, opts.CleanupInterval = 5*time.Minute, 3*time.Minute
		reg := prometheus.NewRegistry()
		opts.Registerer = reg
		c, err := compact.New(bkt, t.TempDir(), &opts)
		testutil.Ok(t, err)
		done := make(chan error, 1)
		bkt.Fail(blocktest.Deny(nil))
		go func() { done <- c.Run(t.Context()) }()
		<-time.After(4 * time.Minute) // An outage.
		bkt.Fail(nil)
		var hung atomic.Bool
		bkt.Delay(func(r blocktest.Request) time.Duration { // Then one download takes hours.
			if r.Op == objstore.OpGet && strings.Contains(r.Name, "chunks/") && hung.CompareAndSwap(false, true) {
				return 5 * time.Hour
			}
			return time.Millisecond
		})
		<-time.After(time.Hour)
		testutil.Assert(t, hung.Load())
		progress := c.Progress()
		testutil.Equals(t, 1, progress.Running)
		testutil.Assert(t, progress.Total > 1 && progress.TotalBytes > progress.Bytes && strings.Contains(progress.String(), "jobs"), "%s", progress)
		there, err := bkt.Exists(t.Context(), block.ObjectName(newID(11), "chunks/000001"))
		testutil.Ok(t, err)
		testutil.Assert(t, !there, "nothing was cleaned")
		late := fixture(t, spec{n: 12, labels: "late", from: 0, hours: 2})
		late.upload(t, bkt)
		_, err = block.PutMark(t.Context(), bkt, block.Mark{Kind: block.DeletionMark, Block: newID(12), Time: time.Now().Add(-50 * time.Hour)})
		testutil.Ok(t, err)
		<-time.After(10 * time.Minute)
		_, err = block.FetchMeta(t.Context(), bkt, newID(12))
		testutil.Assert(t, errors.Is(err, block.ErrNotFound), "%v", err)

		<-time.After(12 * time.Hour)
		testutil.Equals(t, compact.Progress{}, c.Progress())
		testutil.Ok(t, c.Close())
		testutil.Ok(t, <-done)
		testutil.Ok(t, c.Close())
		_, err = c.RunOnce(t.Context())
		testutil.Equals(t, compact.ClassCanceled, compact.ClassOf(err))
		testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanos_compact_group_compactions_total Compactions whose output is in the bucket.
# TYPE thanos_compact_group_compactions_total counter
thanos_compact_group_compactions_total{resolution="0"} 2
# HELP thanos_compact_group_vertical_compactions_total Compactions of blocks that overlap.
# TYPE thanos_compact_group_vertical_compactions_total counter
thanos_compact_group_vertical_compactions_total{resolution="0"} 1
# HELP thanos_compact_downsample_total Blocks downsampled on their own or with their compaction, by the resolution that they had.
# TYPE thanos_compact_downsample_total counter
thanos_compact_downsample_total{resolution="0"} 2
thanos_compact_downsample_total{resolution="300000"} 1
# HELP thanos_compact_blocks_cleaned_total Blocks deleted.
# TYPE thanos_compact_blocks_cleaned_total counter
thanos_compact_blocks_cleaned_total 3
# HELP thanos_compact_garbage_collected_blocks_total Blocks marked for deletion because others have replaced them.
# TYPE thanos_compact_garbage_collected_blocks_total counter
thanos_compact_garbage_collected_blocks_total 5
# HELP thanos_compact_blocks_marked_total Marks put.
# TYPE thanos_compact_blocks_marked_total counter
thanos_compact_blocks_marked_total{marker="deletion-mark.json",reason=""} 5
# HELP thanos_compact_halted Always 0: nothing halts the compactor.
# TYPE thanos_compact_halted gauge
thanos_compact_halted 0
# HELP thanos_compact_todo_compactions Compactions planned.
# TYPE thanos_compact_todo_compactions gauge
thanos_compact_todo_compactions 0
# HELP thanoskit_compact_remaining_bytes Bytes of the blocks that planned jobs have still to read.
# TYPE thanoskit_compact_remaining_bytes gauge
thanoskit_compact_remaining_bytes 0
`), "thanos_compact_group_compactions_total", "thanos_compact_group_vertical_compactions_total", "thanos_compact_downsample_total",
			"thanos_compact_blocks_cleaned_total", "thanos_compact_garbage_collected_blocks_total", "thanos_compact_blocks_marked_total",
			"thanos_compact_halted", "thanos_compact_todo_compactions", "thanoskit_compact_remaining_bytes"))
	})
}

// In one directory, one compactor works at a time.
func TestBusy(t *testing.T) {
	t.Parallel()
	bkt, dir := blocktest.NewBucket(objstore.NewInMemBucket()), t.TempDir()
	working, goOn := make(chan struct{}), make(chan struct{})
	bkt.Fail(func(blocktest.Request) error {
		close(working)
		<-goOn
		return nil
	})
	done := make(chan error, 1)
	go func() {
		_, err := newCompactor(t, bkt, dir, compact.Options{}).RunOnce(t.Context())
		done <- err
	}()
	<-working
	r, err := newCompactor(t, bkt.Unwrap(), dir, compact.Options{}).RunOnce(t.Context())
	testutil.Assert(t, r == nil && errors.Is(err, compact.ErrBusy) && compact.ClassOf(err) == compact.ClassBusy, "%v", err)
	bkt.Fail(nil)
	close(goOn)
	testutil.Ok(t, <-done)
}

// A run that is canceled says so, of no class of failure, and nothing is marked.
func TestCanceled(t *testing.T) {
	t.Parallel()
	o := groups(t, "a", "b")
	synctest.Test(t, func(t *testing.T) {
		begin()
		for n := 1; ; n += 11 {
			bkt := blocktest.NewBucket(o.bucket(t))
			ctx, cancel := context.WithCancel(t.Context())
			var asked atomic.Int64
			bkt.Fail(func(blocktest.Request) error {
				if asked.Add(1) == int64(n) {
					cancel()
				}
				return nil
			})
			r, err := newCompactor(t, bkt, t.TempDir(), compact.Options{}).RunOnce(ctx)
			cancel()
			if asked.Load() < int64(n) {
				testutil.Ok(t, err)
				testutil.Assert(t, n > 50, "%d", n)
				return
			}
			testutil.Equals(t, compact.ClassCanceled, compact.ClassOf(err), "%v", err)
			testutil.Equals(t, 0, len(r.Quarantined)+len(r.Failed))
		}
	})
}

// That a bucket's client gives up is not that the run is canceled.
func TestDeadlineOfBucket(t *testing.T) {
	t.Parallel()
	o := groups(t, "a")
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt := blocktest.NewBucket(o.bucket(t))
		bkt.Fail(func(r blocktest.Request) error {
			if strings.HasSuffix(r.Name, "chunks/000001") {
				return fmt.Errorf("ask: %w", context.DeadlineExceeded)
			}
			return nil
		})
		r, err := newCompactor(t, bkt, t.TempDir(), compact.Options{}).RunOnce(t.Context())
		testutil.Equals(t, compact.ClassBucket, compact.ClassOf(err), "%v", err)
		testutil.Equals(t, 1, len(r.Failed))
	})
}

// A block that was taken away from the compactor's hands is not deleted: its mark
// was removed, or its upload goes on.
func TestDeleteLooksAgain(t *testing.T) {
	t.Parallel()
	o := history(t)
	synctest.Test(t, func(t *testing.T) {
		inner := o.bucket(t)
		begin()
		bkt := blocktest.NewBucket(inner)
		c := newCompactor(t, bkt, t.TempDir(), newCycle().opts)
		plan, err := c.Plan(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 2, len(plan.Deletes))
		// All meta.json files and marks are known: what comes after the listing looks
		// again.
		listed := false
		bkt.Delay(func(r blocktest.Request) time.Duration {
			if r.Op == objstore.OpIter && !listed {
				listed = true
				return 0
			}
			_, err := block.RemoveMark(t.Context(), inner, newID(10), block.DeletionMark)
			testutil.Ok(t, err)
			testutil.Ok(t, inner.Upload(t.Context(), block.ObjectName(newID(11), "chunks/000002"), strings.NewReader("more")))
			return 0
		})
		deleted, err := c.Clean(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(deleted))
		_, err = block.FetchMeta(t.Context(), inner, newID(10))
		testutil.Ok(t, err)
		there, err := inner.Exists(t.Context(), block.ObjectName(newID(11), "chunks/000001"))
		testutil.Ok(t, err)
		testutil.Assert(t, there)
	})
}

// What was downloaded and is damaged on disk is downloaded once more, and nobody
// marked for it.
func TestDamagedDirectory(t *testing.T) {
	t.Parallel()
	o := groups(t, "a")
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt, dir := blocktest.NewBucket(o.bucket(t)), t.TempDir()
		bkt.Fail(func(r blocktest.Request) error { // The run ends with all sources there.
			if r.Op == objstore.OpUpload {
				return blocktest.ErrFault
			}
			return nil
		})
		_, err := newCompactor(t, bkt, dir, compact.Options{}).RunOnce(t.Context())
		testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
		bkt.Fail(nil)
		made, err := filepath.Glob(filepath.Join(dir, "jobs", "*", "made.json"))
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(made))
		testutil.Ok(t, os.WriteFile(made[0], []byte("{"), 0o600))
		chunks, err := filepath.Glob(filepath.Join(dir, "blocks", "*", "chunks", "000001"))
		testutil.Ok(t, err)
		testutil.Equals(t, 4, len(chunks))
		for i, name := range chunks {
			b, err := os.ReadFile(name)
			testutil.Ok(t, err)
			switch i {
			case 0:
				b[len(b)-20] ^= 0xff
			case 1:
				b = b[:len(b)/2]
			case 2:
				testutil.Ok(t, os.Remove(name))
				continue
			}
			testutil.Ok(t, os.WriteFile(name, b, 0o600))
		}
		r, err := newCompactor(t, bkt, dir, compact.Options{}).RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 1, r.Compactions)
		testutil.Equals(t, 0, len(r.Quarantined))
	})
}

// A job whose output is in the directory already is not made again.
func TestGoesOn(t *testing.T) {
	t.Parallel()
	o := groups(t, "a")
	synctest.Test(t, func(t *testing.T) {
		begin()
		bkt, dir := blocktest.NewBucket(o.bucket(t)), t.TempDir()
		bkt.Fail(func(r blocktest.Request) error {
			if r.Op == objstore.OpUpload && strings.HasSuffix(r.Name, block.MetaFile) {
				return blocktest.ErrFault
			}
			return nil
		})
		_, err := newCompactor(t, bkt, dir, compact.Options{}).RunOnce(t.Context())
		testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
		bkt.Fail(nil)
		bkt.Body(func(r blocktest.Request, body io.Reader) io.Reader {
			if strings.Contains(r.Name, "chunks/") {
				t.Errorf("%s", r)
			}
			return body
		})
		r, err := newCompactor(t, bkt, dir, compact.Options{}).RunOnce(t.Context())
		testutil.Ok(t, err)
		testutil.Equals(t, 1, r.Compactions)
		bkt.Body(nil)
		// Not even the upload that had not ended is left: it was gone on with.
		testutil.Equals(t, 0, len(fetch(t, bkt, nil).Partial))
	})
}
