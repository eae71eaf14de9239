package compact

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/metric"
)

// metrics are those of a Compactor. They carry Thanos' names where they mean the
// same.
type metrics struct {
	iterations      prometheus.Counter
	retries         prometheus.Counter
	halted          prometheus.Gauge
	cleanups        prometheus.Counter
	partialAttempts prometheus.Counter
	cleaned         prometheus.Counter
	cleanFailures   prometheus.Counter
	marked          *prometheus.CounterVec
	deleteDelay     prometheus.Gauge

	garbage         prometheus.Counter
	garbageRuns     prometheus.Counter
	garbageFailures prometheus.Counter
	garbageDuration prometheus.Histogram

	compactions       *prometheus.CounterVec
	runsStarted       *prometheus.CounterVec
	runsCompleted     *prometheus.CounterVec
	compactFailures   *prometheus.CounterVec
	vertical          *prometheus.CounterVec
	downsamples       *prometheus.CounterVec
	downsampleFailed  *prometheus.CounterVec
	downsampleSeconds *prometheus.HistogramVec

	todoCompactions prometheus.Gauge
	todoBlocks      prometheus.Gauge
	todoDownsample  prometheus.Gauge
	todoDeletion    prometheus.Gauge
	remainingBytes  prometheus.Gauge
	remainingTime   prometheus.Gauge

	quarantined *prometheus.CounterVec
	failures    *prometheus.CounterVec
	running     prometheus.Gauge
	held        prometheus.Gauge
	uncovered   prometheus.Counter
	heldLongest prometheus.Gauge
	ownerless   prometheus.Gauge
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		iterations:      counter("thanos_compact_iterations_total", "Runs that did all there was to do."),
		retries:         counter("thanos_compact_retries_total", "Runs that left something to the next one, because of an error."),
		halted:          gauge("thanos_compact_halted", "Always 0: nothing halts the compactor."),
		cleanups:        counter("thanos_compact_block_cleanup_loops_total", "Cleanups of aborted uploads and marked blocks that did all there was to do."),
		partialAttempts: counter("thanos_compact_aborted_partial_uploads_deletion_attempts_total", "Deletions begun of uploads that nobody goes on with."),
		cleaned:         counter("thanos_compact_blocks_cleaned_total", "Blocks deleted."),
		cleanFailures:   counter("thanos_compact_block_cleanup_failures_total", "Deletions of blocks that failed."),
		marked:          counters("thanos_compact_blocks_marked_total", "Marks put.", "marker", "reason"),
		deleteDelay:     gauge("thanos_delete_delay_seconds", "How long blocks stay that are marked for deletion."),

		garbage:         counter("thanos_compact_garbage_collected_blocks_total", "Blocks marked for deletion because others have replaced them."),
		garbageRuns:     counter("thanos_compact_garbage_collection_total", "Garbage collections that marked all there was to mark."),
		garbageFailures: counter("thanos_compact_garbage_collection_failures_total", "Garbage collections that did not."),
		garbageDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "thanos_compact_garbage_collection_duration_seconds",
			Help:    "Time that garbage collections took.",
			Buckets: []float64{0.01, 0.1, 0.3, 0.6, 1, 3, 6, 9, 20, 30, 60, 90, 120, 240, 360, 720},
		}),

		compactions:      counters("thanos_compact_group_compactions_total", "Compactions whose output is in the bucket.", "resolution"),
		runsStarted:      counters("thanos_compact_group_compaction_runs_started_total", "Compactions begun.", "resolution"),
		runsCompleted:    counters("thanos_compact_group_compaction_runs_completed_total", "Compactions that ended without an error.", "resolution"),
		compactFailures:  counters("thanos_compact_group_compactions_failures_total", "Compactions that failed.", "resolution"),
		vertical:         counters("thanos_compact_group_vertical_compactions_total", "Compactions of blocks that overlap.", "resolution"),
		downsamples:      counters("thanos_compact_downsample_total", "Blocks downsampled on their own or with their compaction, by the resolution that they had.", "resolution"),
		downsampleFailed: counters("thanos_compact_downsample_failures_total", "Downsamplings that failed.", "resolution"),
		downsampleSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "thanos_compact_downsample_duration_seconds",
			Help:    "Time that downsamplings on their own took, downloads and uploads included.",
			Buckets: []float64{1, 10, 60, 300, 900, 1800, 3600, 7200, 14400},
		}, []string{"resolution"}),

		todoCompactions: gauge("thanos_compact_todo_compactions", "Compactions planned."),
		todoBlocks:      gauge("thanos_compact_todo_compaction_blocks", "Blocks that are to be compacted."),
		todoDownsample:  gauge("thanos_compact_todo_downsample_blocks", "Blocks that are to be downsampled."),
		todoDeletion:    gauge("thanos_compact_todo_deletion_blocks", "Blocks that are to be marked for deletion or deleted."),
		remainingBytes:  gauge("thanoskit_compact_remaining_bytes", "Bytes of the blocks that planned jobs have still to read."),
		remainingTime:   gauge("thanoskit_compact_remaining_seconds", "Time that planned jobs will still take at the pace of those before; 0 if not known."),

		quarantined: counters("thanoskit_compact_quarantined_blocks_total", "Blocks marked because something is wrong with them.", "marker", "reason"),
		failures:    counters("thanoskit_compact_job_failures_total", "Jobs left to the next run, by what kept them from their end.", "class"),
		running:     gauge("thanoskit_compact_running_jobs", "Jobs that run."),
		held:        gauge("thanoskit_compact_held_blocks", "Blocks past retention that are kept until a coarser resolution covers them."),
		heldLongest: gauge("thanoskit_compact_held_seconds", "How long the first of them has been held."),
		uncovered:   counter("thanoskit_compact_uncovered_blocks_total", "Blocks past retention marked for deletion though no coarser resolution has what is in them, since they must or can not be downsampled."),
		ownerless:   gauge("thanoskit_compact_groups_without_owner", "Groups with work that no compactor has done over two runs."),
	}
	return m, errors.Join(
		metric.Register(reg, &m.iterations), metric.Register(reg, &m.retries), metric.Register(reg, &m.halted),
		metric.Register(reg, &m.cleanups), metric.Register(reg, &m.partialAttempts), metric.Register(reg, &m.cleaned),
		metric.Register(reg, &m.cleanFailures), metric.Register(reg, &m.marked), metric.Register(reg, &m.deleteDelay),
		metric.Register(reg, &m.garbage), metric.Register(reg, &m.garbageRuns), metric.Register(reg, &m.garbageFailures),
		metric.Register(reg, &m.garbageDuration), metric.Register(reg, &m.compactions), metric.Register(reg, &m.runsStarted),
		metric.Register(reg, &m.runsCompleted), metric.Register(reg, &m.compactFailures), metric.Register(reg, &m.vertical),
		metric.Register(reg, &m.downsamples), metric.Register(reg, &m.downsampleFailed), metric.Register(reg, &m.downsampleSeconds),
		metric.Register(reg, &m.todoCompactions), metric.Register(reg, &m.todoBlocks), metric.Register(reg, &m.todoDownsample),
		metric.Register(reg, &m.todoDeletion), metric.Register(reg, &m.remainingBytes), metric.Register(reg, &m.remainingTime),
		metric.Register(reg, &m.quarantined), metric.Register(reg, &m.failures), metric.Register(reg, &m.running),
		metric.Register(reg, &m.held), metric.Register(reg, &m.heldLongest), metric.Register(reg, &m.ownerless),
		metric.Register(reg, &m.uncovered),
	)
}

// resolutionLabel is how Thanos writes a resolution as a label: in ms.
func resolutionLabel(r block.Resolution) string { return strconv.FormatInt(int64(r), 10) }

// ran counts a run that has ended.
func (m *metrics) ran(err error) {
	if err != nil {
		m.retries.Inc()
		return
	}
	m.iterations.Inc()
}

// planned shows what there is to do, jobs that failed before among it, which the
// plan leaves to the next run.
func (m *metrics) planned(plan *Plan, failed []*JobError, now time.Time) {
	left := plan.Remaining
	for _, e := range failed {
		if e.Job.Kind == Compact {
			left.Compactions++
			left.CompactionBlocks += len(e.Job.Sources)
			left.Downsamplings--
		}
		left.Downsamplings += len(e.Job.Outputs)
	}
	m.todoCompactions.Set(float64(left.Compactions))
	m.todoBlocks.Set(float64(left.CompactionBlocks))
	m.todoDownsample.Set(float64(left.Downsamplings))
	m.todoDeletion.Set(float64(left.Deletions))
	m.held.Set(float64(len(plan.Held)))
	var longest time.Duration
	for i := range plan.Held {
		longest = max(longest, now.Sub(plan.Held[i].Since))
	}
	m.heldLongest.Set(longest.Seconds())
}

// show shows how far jobs have come.
func (m *metrics) show(p Progress) {
	m.remainingBytes.Set(float64(p.TotalBytes - p.Bytes))
	m.remainingTime.Set(p.Left.Seconds())
}

// started counts a job that begins.
func (m *metrics) started(job *Job) {
	m.running.Inc()
	if job.Kind == Compact {
		m.runsStarted.WithLabelValues(resolutionLabel(job.Sources[0].Resolution())).Inc()
	}
}

// ended counts a job that has ended.
func (m *metrics) ended(job *Job, took time.Duration, err error) {
	m.running.Dec()
	res := resolutionLabel(job.Sources[0].Resolution())
	if err != nil {
		m.failures.WithLabelValues(string(ClassOf(err))).Inc()
	}
	switch {
	case job.Kind != Compact && err != nil:
		m.downsampleFailed.WithLabelValues(res).Inc()
	case job.Kind != Compact:
		m.downsamples.WithLabelValues(res).Inc()
		m.downsampleSeconds.WithLabelValues(res).Observe(took.Seconds())
	case err != nil:
		m.compactFailures.WithLabelValues(res).Inc()
	default:
		m.runsCompleted.WithLabelValues(res).Inc()
		m.compactions.WithLabelValues(res).Inc()
		for i := range job.Outputs[1:] { // Each is made of the one before it.
			m.downsamples.WithLabelValues(resolutionLabel(job.Outputs[i])).Inc()
		}
		if job.Vertical {
			m.vertical.WithLabelValues(res).Inc()
		}
	}
}
