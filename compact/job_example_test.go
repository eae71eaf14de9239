package compact_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// Blocks on disk of two replicas, each of which was away for a while, become one,
// and its 5m, in one pass.
func ExampleRunJob() {
	dir, err := os.MkdirTemp("", "compact-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	const start = 1_700_000_400_000
	job := &compact.Job{
		MinTime: start, MaxTime: start + 3_600_000, Labels: map[string]string{"cluster": "eu"},
		Outputs: []block.Resolution{block.Raw, block.FiveMinutes},
	}
	var dirs []string
	for replica, samples := range map[string][]float64{"a": {1, 2, 3}, "b": {1, 2, 3, 4, 5}} {
		o := &blocktest.Options{MinTime: start, MaxTime: start + 3_600_000, ExternalLabels: labels.FromStrings("cluster", "eu", "replica", replica)}
		series := blocktest.Floats(labels.FromStrings("__name__", "up"), start, 60_000, samples...)
		m, err := block.WriteBlock(dir, o.Meta(), []block.Series{series}, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		job.Sources = append(job.Sources, m)
		dirs = append(dirs, filepath.Join(dir, m.ULID.String()))
	}

	res, err := compact.RunJob(context.Background(), job, dirs, filepath.Join(dir, "out"), &compact.Options{ReplicaLabels: []string{"replica"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range res.Metas {
		fmt.Println(m.Resolution(), m.Labels(), "level", m.Compaction.Level, "with", m.Stats.NumSamples, "samples of", m.Stats.NumSeries, "series")
	}
	// Output:
	// raw {cluster="eu"} level 2 with 5 samples of 1 series
	// 5m {cluster="eu"} level 2 with 1 samples of 1 series
}
