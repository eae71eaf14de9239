package compact_test

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// Jobs that find no room beside each other are run once more, one at a time, and
// only what fails alone, too, is left to the next run.
func TestNoRoomBesideOthers(t *testing.T) {
	t.Parallel()
	blocks := objstore.NewInMemBucket()
	for _, group := range []string{"a", "b"} {
		uploadJob(t, blocks, group)
	}
	full := &fs.PathError{Op: "write", Path: "chunks", Err: syscall.ENOSPC}
	for name, tc := range map[string]struct {
		failures int // of each job
		canceled bool
		done     int
		failed   int
		calls    int
	}{
		"room enough alone":  {failures: 1, done: 2, calls: 4},
		"no room alone":      {failures: 2, failed: 2, calls: 4},
		"canceled meanwhile": {failures: 2, canceled: true, calls: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := compact.New(copyOf(t, blocks), t.TempDir(), &compact.Options{Concurrency: 2})
			testutil.Ok(t, err)
			defer func() { testutil.Ok(t, c.Close()) }()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var mu sync.Mutex
			calls, running, failures := 0, 0, map[string]int{}
			c.SetMerge(func(_ context.Context, job *compact.Job, _ []string, _ string, merge makeFunc) ([]*block.Meta, error) {
				mu.Lock()
				calls++
				running++
				alone := calls > 2
				if alone && running > 1 {
					t.Errorf("%d jobs run that found no room before", running)
				}
				failures[job.Group]++
				fails := failures[job.Group] <= tc.failures
				mu.Unlock()
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					running--
				}()
				if alone && tc.canceled {
					cancel()
					return nil, ctx.Err()
				}
				if fails {
					return nil, full
				}
				return merge()
			})
			r, err := c.RunOnce(ctx)
			testutil.Equals(t, tc.failures > 1, err != nil, "%v", err)
			testutil.Equals(t, tc.failed > 0, errors.Is(err, compact.ErrDiskFull), "%v", err)
			testutil.Equals(t, tc.canceled, errors.Is(err, context.Canceled), "%v", err)
			testutil.Equals(t, tc.failed, len(r.Failed))
			testutil.Equals(t, tc.done, r.Compactions)
			testutil.Equals(t, tc.calls, calls)
			if tc.done > 0 { // What follows from them is planned in the same run.
				testutil.Equals(t, 0, len(r.Plan.Jobs))
			}
		})
	}
}
