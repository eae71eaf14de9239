package compact_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// A job that is given up since its index would be too large counts as one that is out
// of date, and is logged; of the one that is done instead, the report says what it
// has replaced.
func TestReportOfJobs(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	bkt, reg := &hooked{Bucket: objstore.NewInMemBucket()}, prometheus.NewRegistry()
	var ids []ulid.ULID
	for k := range int64(5) {
		ids = append(ids, upload(t, bkt, "a", 2, 472_224*hourMS+k*2*hourMS, 2).ULID)
	}
	c, err := compact.New(bkt, t.TempDir(), &compact.Options{Registerer: reg, Logger: lines(&log), Downsampling: compact.DownsampleNone})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	c.SetMerge(func(_ context.Context, job *compact.Job, _ []string, _ string, merge makeFunc) ([]*block.Meta, error) {
		if len(job.Sources) == 4 {
			return nil, &compact.IndexSizeError{Size: 9, Limit: 8}
		}
		return merge()
	})
	r, err := c.RunOnce(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 1, r.Compactions)
	testutil.Equals(t, 1, len(r.Uploaded))
	testutil.Equals(t, r.Uploaded[0].Compaction.Sources, r.Replaced)
	got := metricsOf(t, reg)
	testutil.Equals(t, 1.0, got["thanoskit_compact_job_failures_total class=stale"])
	testutil.Equals(t, 1.0, got["blocks_marked_total marker=no-compact-mark.json reason="+block.ReasonIndexSize])
	testutil.Equals(t, float64(len(r.Replaced)), got["garbage_collected_blocks_total"])
	for _, line := range []string{
		`level=WARN msg="job given up" group="0@{group=\"a\"}" err="block ` + ids[0].String() + ` is marked: `,
		`level=INFO msg="job done" group="0@{group=\"a\"}" kind=Compact blocks=3 made=1 took=`,
	} {
		testutil.Equals(t, 1, strings.Count(log.String(), line), "%s\n%s", line, log.String())
	}
}
