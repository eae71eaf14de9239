package compact_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// What is left is estimated from the pace of all plans of a run.
func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		job := func(bytes int64) *compact.Job {
			m := &block.Meta{}
			m.Thanos.Files = []block.File{{RelPath: block.IndexFile, SizeBytes: bytes}}
			return &compact.Job{Sources: []*block.Meta{m}}
		}
		small, large := job(100), job(300)
		var p compact.ProgressOf
		p.Begin(small, large)
		p.Run()
		<-time.After(10 * time.Second)
		testutil.Equals(t, compact.Progress{Running: 1, Total: 2, TotalBytes: 400}, p.Now())
		p.Ended(small)
		testutil.Equals(t, compact.Progress{Jobs: 1, Total: 2, Bytes: 100, TotalBytes: 400, Left: 30 * time.Second}, p.Now())
		p.Run()
		<-time.After(30 * time.Second)
		p.Ended(large)
		testutil.Equals(t, compact.Progress{Jobs: 2, Total: 2, Bytes: 400, TotalBytes: 400}, p.Now())
		p.Begin(job(50))
		testutil.Equals(t, compact.Progress{Total: 1, TotalBytes: 50, Left: 5 * time.Second}, p.Now())
	})
}
