package compactor

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// Killed at any moment, our compactor leaves a bucket in which every sample is to
// be seen, and the next one goes on, whether it finds the directory or not.
func TestKills(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			program := examples.Binary(t, "compactor") // built before anything is timed
			b, dir := newBucket(t, kind), t.TempDir()
			left := map[string]int{}
			for n := range *kills {
				b.upload(t)
				p := proc.Start(t, "compactor", program, append(b.args("ours", dir),
					"--wait", "--wait-interval=20ms", "--compact.cleanup-interval=50ms", "--http-address="+proc.FreeAddr(t))...)
				// It has done most of its work after about a second.
				timer := time.NewTimer(100*time.Millisecond + time.Duration(rand.Int64N(int64(1500*time.Millisecond))))
				<-timer.C
				p.Kill()
				b.complete(t, fmt.Sprintf("kill %d", n))
				for range b.view(t).Partial {
					left["uploads or deletions that had not ended"]++
				}
				jobs, err := os.ReadDir(dir + "/jobs")
				if err == nil && len(jobs) > 0 {
					left["jobs that had not ended"]++
				}
				if n%3 == 2 {
					testutil.Ok(t, os.RemoveAll(dir))
				}
			}
			b.compact(t, "ours", dir)
			b.complete(t, "in the end")
			b.awaitDeleted(t, func() { b.compact(t, "ours", dir) })
			b.complete(t, "after deletions")
			b.tidy(t, "in the end")
			b.compact(t, "thanos", t.TempDir())
			b.complete(t, "after Thanos")
			t.Logf("%d kills: %v; blocks: %v", *kills, left, spans(b.tidy(t, "after Thanos")))
		})
	}
}
