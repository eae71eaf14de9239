package compact_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// metricsOf are all counters and gauges that are not 0, and how often something was
// observed of histograms, by name and labels.
func metricsOf(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	testutil.Ok(t, err)
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var pairs []string
			for _, l := range m.GetLabel() {
				pairs = append(pairs, l.GetName()+"="+l.GetValue())
			}
			v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			if name := strings.TrimPrefix(f.GetName(), "thanos_compact_"); v != 0 {
				out[strings.TrimSpace(name+" "+strings.Join(pairs, " "))] = v
			}
		}
	}
	return out
}

// upload uploads a block of a group, with a sample in every hour.
func upload(t *testing.T, bkt objstore.Bucket, group string, level int, from, hours int64) *block.Meta {
	t.Helper()
	var samples []blocktest.Sample
	for h := range hours {
		samples = append(samples, blocktest.Sample{T: from + h*hourMS, F: 1})
	}
	dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{
		MinTime: from, MaxTime: from + hours*hourMS, Level: level, Source: block.SourceCompactor, ExternalLabels: labels.FromStrings("group", group),
	}, blocktest.Series(labels.FromStrings("__name__", "m"), samples...))
	m, err := block.Upload(t.Context(), bkt, dir, nil)
	testutil.Ok(t, err)
	return m
}

// What a run did, and what it left, is in its metrics: of each kind of job one that
// comes to its end, and one that does not until the next run.
func TestMetricsOfRuns(t *testing.T) {
	t.Parallel()
	bkt, reg := objstore.NewInMemBucket(), prometheus.NewRegistry()
	from := int64(1400) * 14 * 24 * hourMS
	for _, group := range []string{"compacted", "fails"} {
		uploadJob(t, bkt, group)
	}
	for _, k := range []int64{0, 5, 6} {
		upload(t, bkt, "compacted and downsampled", 3, from+k*8*hourMS, 8)
	}
	upload(t, bkt, "overlaps", 2, from, 2)
	upload(t, bkt, "overlaps", 2, from+hourMS, 2)
	upload(t, bkt, "downsampled", 4, from, 48)
	held := upload(t, bkt, "fails to be downsampled", 4, from, 48)
	upload(t, bkt, "fails to be downsampled", 4, from+48*hourMS, 48)

	rule := compact.RetentionRule{
		Matchers:  []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "group", "fails to.*")},
		Retention: compact.Retention{Raw: time.Hour},
	}
	c, err := compact.New(bkt, t.TempDir(), &compact.Options{Registerer: reg, RetentionRules: []compact.RetentionRule{rule}})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	c.SetMerge(func(_ context.Context, job *compact.Job, _ []string, _ string, merge makeFunc) ([]*block.Meta, error) {
		if strings.HasPrefix(job.Labels["group"], "fails") {
			return nil, errors.New("defect")
		}
		return merge()
	})
	_, err = c.RunOnce(t.Context())
	testutil.NotOk(t, err)
	got := metricsOf(t, reg)
	since := time.UnixMilli(held.MaxTime).Add(time.Hour)
	late := time.Since(since).Seconds() - got["thanoskit_compact_held_seconds"]
	testutil.Assert(t, late >= 0 && late < 60, "held for %v seconds less than since %v", late, since)
	delete(got, "thanoskit_compact_held_seconds")
	testutil.Equals(t, map[string]float64{
		"retries_total": 1,
		// Of two plans: the second one is that nothing is left.
		"block_cleanup_loops_total":                2,
		"garbage_collection_total":                 2,
		"garbage_collection_duration_seconds":      2,
		"thanos_blocks_meta_syncs_total":           2,
		"thanos_blocks_meta_sync_duration_seconds": 2,
		"thanos_blocks_meta_synced state=loaded":   19, // 14, 3 compacted and 2 downsampled
		"thanos_delete_delay_seconds":              48 * 3600,

		"group_compaction_runs_started_total resolution=0":      4,
		"group_compaction_runs_completed_total resolution=0":    3,
		"group_compactions_total resolution=0":                  3,
		"group_compactions_failures_total resolution=0":         1,
		"group_vertical_compactions_total resolution=0":         1,
		"downsample_total resolution=0":                         2,
		"downsample_duration_seconds resolution=0":              1,
		"downsample_failures_total resolution=0":                2,
		"thanoskit_compact_job_failures_total class=output":     3,
		"blocks_marked_total marker=deletion-mark.json reason=": 6,
		"garbage_collected_blocks_total":                        6,

		"todo_compactions":              1,
		"todo_compaction_blocks":        2,
		"todo_downsample_blocks":        2,
		"todo_deletion_blocks":          2,
		"thanoskit_compact_held_blocks": 2,
	}, got)

	c.SetMerge(func(_ context.Context, _ *compact.Job, _ []string, _ string, merge makeFunc) ([]*block.Meta, error) {
		return merge()
	})
	_, err = c.RunOnce(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, map[string]float64{
		"retries_total":    1,
		"iterations_total": 1,
		// Of three plans more: the second one marks what has been downsampled.
		"block_cleanup_loops_total":                5,
		"garbage_collection_total":                 5,
		"garbage_collection_duration_seconds":      5,
		"thanos_blocks_meta_syncs_total":           5,
		"thanos_blocks_meta_sync_duration_seconds": 5,
		"thanos_blocks_meta_synced state=loaded":   22,
		"thanos_delete_delay_seconds":              48 * 3600,

		"group_compaction_runs_started_total resolution=0":      5,
		"group_compaction_runs_completed_total resolution=0":    4,
		"group_compactions_total resolution=0":                  4,
		"group_compactions_failures_total resolution=0":         1,
		"group_vertical_compactions_total resolution=0":         1,
		"downsample_total resolution=0":                         4,
		"downsample_duration_seconds resolution=0":              3,
		"downsample_failures_total resolution=0":                2,
		"thanoskit_compact_job_failures_total class=output":     3,
		"blocks_marked_total marker=deletion-mark.json reason=": 10,
		"garbage_collected_blocks_total":                        8,
	}, metricsOf(t, reg))
}

// While a job runs, metrics say what has still to be read, at the pace of the jobs
// before.
func TestMetricsWhileJobsRun(t *testing.T) {
	t.Parallel()
	bkt, reg := objstore.NewInMemBucket(), prometheus.NewRegistry()
	var bytes [2]float64 // of the jobs
	for i, group := range []string{"a", "b"} {
		for _, m := range uploadJob(t, bkt, group)[:2] {
			for _, f := range m.Thanos.Files {
				bytes[i] += float64(f.SizeBytes)
			}
		}
	}
	c, err := compact.New(bkt, t.TempDir(), &compact.Options{Registerer: reg, Downsampling: compact.DownsampleNone})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, c.Close()) }()
	jobs := 0
	c.SetMerge(func(_ context.Context, _ *compact.Job, _ []string, _ string, merge makeFunc) ([]*block.Meta, error) {
		got := metricsOf(t, reg)
		testutil.Equals(t, 1.0, got["thanoskit_compact_running_jobs"])
		testutil.Equals(t, 2.0, got["todo_compactions"])
		testutil.Equals(t, 4.0, got["todo_compaction_blocks"])
		testutil.Equals(t, float64(jobs+1), got["group_compaction_runs_started_total resolution=0"])
		testutil.Equals(t, float64(jobs), got["group_compaction_runs_completed_total resolution=0"])
		progress := c.Progress()
		testutil.Equals(t, []int{jobs, 1, 2}, []int{progress.Jobs, progress.Running, progress.Total})
		left := got["thanoskit_compact_remaining_bytes"]
		if jobs++; jobs == 1 {
			testutil.Equals(t, bytes[0]+bytes[1], left)
			testutil.Equals(t, 0.0, got["thanoskit_compact_remaining_seconds"])
		} else {
			testutil.Equals(t, bytes[1], left)
			testutil.Assert(t, got["thanoskit_compact_remaining_seconds"] > 0)
		}
		return merge()
	})
	_, err = c.RunOnce(t.Context())
	testutil.Ok(t, err)
	testutil.Equals(t, 2, jobs)
	testutil.Equals(t, compact.Progress{}, c.Progress())
	got := metricsOf(t, reg)
	for _, name := range []string{"running_jobs", "remaining_bytes", "remaining_seconds"} {
		testutil.Equals(t, 0.0, got["thanoskit_compact_"+name], name)
	}
}
