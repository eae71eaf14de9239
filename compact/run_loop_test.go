package compact_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/fileutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/compact"
)

// listed is a bucket that has list called before it is listed.
type listed struct {
	objstore.Bucket
	list func(ctx context.Context) error
}

func (b *listed) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, opts ...objstore.IterOption) error {
	if err := b.list(ctx); err != nil {
		return err
	}
	return b.Bucket.IterWithAttributes(ctx, dir, f, opts...)
}

func (b *listed) Iter(ctx context.Context, dir string, f func(string) error, opts ...objstore.IterOption) error {
	if err := b.list(ctx); err != nil {
		return err
	}
	return b.Bucket.Iter(ctx, dir, f, opts...)
}

// lines logs without times.
func lines(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// runLoop runs a Compactor of an empty bucket for a while, and returns what it
// logged.
func runLoop(t *testing.T, d time.Duration, opts compact.Options, dir string, list func(ctx context.Context) error) string {
	t.Helper()
	var log bytes.Buffer
	opts.Logger = lines(&log)
	c, err := compact.New(&listed{objstore.NewInMemBucket(), list}, dir, &opts)
	testutil.Ok(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	<-time.After(d)
	synctest.Wait()
	cancel()
	testutil.Ok(t, <-done)
	testutil.Ok(t, c.Close())
	err = c.Run(t.Context())
	testutil.Assert(t, errors.Is(err, context.Canceled), "%v", err)
	return log.String()
}

// Runs and cleanups begin an interval after the one before has ended, a run at
// once, too.
func TestRunIntervals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cleanup time.Duration
		want    []time.Duration
	}{
		"cleanups":    {4 * time.Minute, []time.Duration{0, 4 * time.Minute, 9 * time.Minute, 11 * time.Minute, 14 * time.Minute}},
		"no cleanups": {-1, []time.Duration{0, 11 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got []time.Duration
				began := time.Now()
				log := runLoop(t, 14*time.Minute+30*time.Second, compact.Options{WaitInterval: 10 * time.Minute, CleanupInterval: tc.cleanup}, t.TempDir(),
					func(ctx context.Context) error {
						got = append(got, time.Since(began))
						select {
						case <-time.After(time.Minute):
							return nil
						case <-ctx.Done():
							return ctx.Err()
						}
					})
				testutil.Equals(t, tc.want, got)
				testutil.Assert(t, !strings.Contains(log, "left to the next time"), "%s", log) // though one was canceled
			})
		})
	}
}

// What keeps a run or a cleanup from its end is logged, each time.
func TestRunLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opts := compact.Options{WaitInterval: 10 * time.Minute, CleanupInterval: 7 * time.Minute}
		log := runLoop(t, 11*time.Minute, opts, t.TempDir(), func(context.Context) error { return errRefused })
		got := strings.Split(strings.TrimSpace(log), "\n")
		testutil.Equals(t, 3, len(got), "%s", log)
		for i, of := range []string{"run", "cleanup", "run"} {
			want := `level=ERROR msg="work left to the next time" of=` + of + " class=bucket err="
			testutil.Assert(t, strings.HasPrefix(got[i], want) && strings.Contains(got[i], errRefused.Error()), "%s", got[i])
		}

		dir := t.TempDir()
		lock, _, err := fileutil.Flock(filepath.Join(dir, "compactor.lock"))
		testutil.Ok(t, err)
		log = runLoop(t, time.Minute, opts, dir, func(context.Context) error { return errRefused })
		testutil.Assert(t, strings.HasPrefix(log, `level=INFO msg="nothing done" of=run err=`) && strings.Count(log, "\n") == 1, "%s", log)
		testutil.Ok(t, lock.Release())
	})
}
