package compact_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/dedup"
)

// BenchmarkCycle is our part of TestRatioCycle, to be profiled.
func BenchmarkCycle(b *testing.B) {
	s := shape{series: 100, blocks: 7, length: 2 * day, step: 15_000}
	c := newCycle(b, &s)
	timed(b, s.samples(), func() {
		fresh(b, func(dir string) { c.remove(b.Context(), b, c.ours(b.Context(), b, dir)) })
	})
}

// timed runs f over and over, and reports what a sample takes of time and of
// processor time, which depends less on what else the machine does.
func timed(b *testing.B, samples int, f func()) {
	b.ReportAllocs()
	begun := processorTime(b)
	for b.Loop() {
		f()
	}
	n := float64(b.N) * float64(samples)
	b.ReportMetric(float64(processorTime(b)-begun)/n, "cpu-ns/sample")
	b.ReportMetric(float64(b.Elapsed())/n, "ns/sample")
}

// processorTime is what this process has had so far, in user and in kernel mode.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	testutil.Ok(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkVertical is our part of TestRatioVertical.
func BenchmarkVertical(b *testing.B) {
	s := shape{series: 500, blocks: 1, length: day, step: 15_000}
	dirs := s.build(b, "a")
	s.offset = 100
	dirs = append(dirs, s.build(b, "b")...)
	job := jobOf(b, dirs, block.Raw)
	for name, alg := range map[string]dedup.Algorithm{"follow": dedup.Follow{}, "penalty": dedup.Penalty{}, "chain": dedup.Chain{}} {
		b.Run(name, func(b *testing.B) {
			o := &compact.Options{Algorithm: alg, ReplicaLabels: []string{"replica"}}
			timed(b, 2*s.samples(), func() {
				fresh(b, func(dir string) { run(b.Context(), b, job, dirs, dir, o) })
			})
		})
	}
}

// BenchmarkHorizontal is our part of TestRatioHorizontal.
func BenchmarkHorizontal(b *testing.B) {
	s := shape{series: 5000, blocks: 4, length: 2 * hour, step: 15_000}
	dirs := s.build(b, "a")
	job := jobOf(b, dirs, block.Raw)
	timed(b, s.samples(), func() {
		fresh(b, func(dir string) { run(b.Context(), b, job, dirs, dir, nil) })
	})
}
