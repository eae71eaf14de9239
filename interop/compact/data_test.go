package compact_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

var ratioPairs = flag.Int("ratio", 0, "time `n` pairs of Thanos and thanoskit at the same work in the tests named Ratio, 15 at least, over more data; 0 times none")

const (
	hour  = int64(3_600_000)
	day   = 24 * hour
	start = 19_600 * day // of the first block, ms; a multiple of 14 days
)

// shape says how much data there is.
type shape struct {
	series int
	blocks int   // that follow each other
	length int64 // of each of them, ms
	step   int64 // between samples, ms
	offset int64 // of a replica's scrapes, ms
}

func (s *shape) samplesEach() int { return int(s.length / s.step) }

// samples is how many there are in all.
func (s *shape) samples() int { return s.series * s.blocks * s.samplesEach() }

// lset returns the labels of a series: as many as a Kubernetes pod has.
func lset(i int) labels.Labels {
	return labels.FromStrings(
		"__name__", fmt.Sprintf("http_requests_%d_total", i%25), "container", "api-server", "instance", fmt.Sprintf("10.0.%d.%d:9090", i/250, i%250),
		"job", "kubernetes-pods", "namespace", fmt.Sprintf("team-%03d", i%100), "pod", fmt.Sprintf("api-server-7c9f6b7d5-%05d", i),
	)
}

// build writes the blocks of one replica. Half of the series are counters with
// resets, the others gauges; what a replica scrapes is its own.
func (s *shape) build(t testing.TB, replica string) []string {
	t.Helper()
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(uint64(len(replica)), uint64(s.offset)))
	last := make([]float64, s.series)
	dirs := make([]string, s.blocks)
	for n := range dirs {
		from := start + int64(n)*s.length
		series := make([]block.Series, s.series)
		for i := range series {
			samples := make([]blocktest.Sample, s.samplesEach())
			for j := range samples {
				if i%2 == 0 {
					last[i] += float64(rnd.IntN(100))
					if rnd.IntN(20_000) == 0 {
						last[i] = 0
					}
				} else {
					last[i] = float64(rnd.IntN(1000)) / 8
				}
				samples[j] = blocktest.Sample{T: from + s.offset + int64(j)*s.step, F: last[i]}
			}
			series[i] = blocktest.Series(lset(i), samples...)
		}
		dirs[n] = blocktest.Build(t, dir, &blocktest.Options{
			MinTime: from, MaxTime: from + max(s.length, s.offset+int64(s.samplesEach())*s.step), ExternalLabels: externalLabels(replica), Source: block.SourceCompactor, Level: 3,
		}, series...)
	}
	return dirs
}

func externalLabels(replica string) labels.Labels {
	return labels.FromStrings("cluster", "eu-1", "replica", replica)
}

// jobOf returns the job that compacts blocks to some resolutions.
func jobOf(t testing.TB, dirs []string, outputs ...block.Resolution) *compact.Job {
	t.Helper()
	job := &compact.Job{Outputs: outputs, Labels: map[string]string{"cluster": "eu-1"}}
	for i, dir := range dirs {
		m, err := block.ReadMeta(dir)
		testutil.Ok(t, err)
		job.Sources = append(job.Sources, m)
		if i == 0 {
			job.MinTime, job.MaxTime = m.MinTime, m.MaxTime
		}
		job.MinTime, job.MaxTime = min(job.MinTime, m.MinTime), max(job.MaxTime, m.MaxTime)
	}
	return job
}

// run runs a job and returns the directories of what it made.
func run(ctx context.Context, t testing.TB, job *compact.Job, dirs []string, out string, o *compact.Options) []string {
	t.Helper()
	res, err := compact.RunJob(ctx, job, dirs, out, o)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(res.Empty))
	made := make([]string, len(res.Metas))
	for i, m := range res.Metas {
		made[i] = filepath.Join(out, m.ULID.String())
	}
	return made
}
