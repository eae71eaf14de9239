package compact_test

import (
	"testing"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/dedup"
)

// BenchmarkCycle is our part of TestRatioCycle, to be profiled.
func BenchmarkCycle(b *testing.B) {
	s := shape{series: 100, blocks: 7, length: 2 * day, step: 15_000}
	c := newCycle(b, &s)
	b.ReportAllocs()
	for b.Loop() {
		fresh(b, func(dir string) { c.remove(b.Context(), b, c.ours(b.Context(), b, dir)) })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.samples()), "ns/sample")
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
			b.ReportAllocs()
			for b.Loop() {
				fresh(b, func(dir string) { run(b.Context(), b, job, dirs, dir, o) })
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(2*s.samples()), "ns/sample")
		})
	}
}
