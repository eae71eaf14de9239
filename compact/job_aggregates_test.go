package compact_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/dedup"
)

// chunksOf returns the chunks of blocks by series, in the order of blocks.
func chunksOf(t testing.TB, dirs ...string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, dir := range dirs {
		r, err := block.Open(dir)
		testutil.Ok(t, err)
		for s, err := range r.All(context.Background()) {
			testutil.Ok(t, err)
			for _, c := range s.Chunks {
				out[s.Labels.String()] = append(out[s.Labels.String()], fmt.Sprintf("[%d, %d] %d %x", c.MinTime, c.MaxTime, c.Encoding, c.Data))
			}
		}
		testutil.Ok(t, r.Close())
	}
	return out
}

// TestCompactionOfAggregates: blocks of 5m and of 1h are compacted in their own
// group, chunk for chunk, and 5m blocks make 1h on the way.
func TestCompactionOfAggregates(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(6, &blocktest.RandomOptions{Start: jobStart, Samples: 1500, Jitter: 3000})
	raw := cut(t, blocktest.Options{ExternalLabels: replicaLabels("a")}, series, jobStart, jobStart+2*hourMS, jobStart+4*hourMS, jobStart+8*hourMS)
	var five, one []string
	for _, dir := range raw {
		five = append(five, standAlone(t, dir, block.FiveMinutes))
		one = append(one, standAlone(t, five[len(five)-1], block.OneHour))
	}
	made := runOK(t, jobOf(t, five, block.FiveMinutes, block.OneHour), five, nil)
	testutil.Equals(t, chunksOf(t, five...), chunksOf(t, made[0]))
	sameBlock(t, standAlone(t, made[0], block.OneHour), made[1])
	made = runOK(t, jobOf(t, one, block.OneHour), one, nil)
	testutil.Equals(t, chunksOf(t, one...), chunksOf(t, made[0]))
	m, err := block.ReadMeta(made[0])
	testutil.Ok(t, err)
	testutil.Equals(t, block.OneHour, m.Resolution())
}

// windowsOf returns how many windows a block has of each series, and of how many
// samples.
func windowsOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	for s, err := range r.All(context.Background()) {
		testutil.Ok(t, err)
		var windows int
		var samples float64
		for _, c := range s.Chunks {
			plain, err := c.Plain()
			testutil.Ok(t, err)
			count := plain[0].Iterator(nil)
			for count.Next() != chunkenc.ValNone {
				_, v := count.At()
				samples += v
				windows++
			}
			testutil.Ok(t, count.Err())
		}
		out[s.Labels.String()] = fmt.Sprint(windows, " windows of ", samples, " samples")
	}
	return out
}

// TestVerticalAggregates: replicas' blocks of 5m and of 1h are merged window by
// window, series of every kind. Of replicas that are the same, one comes out; of one
// that has what the other misses, all windows do.
func TestVerticalAggregates(t *testing.T) {
	t.Parallel()
	o := &blocktest.RandomOptions{Start: jobStart, Samples: 1500, Series: 2 * len(blocktest.Kinds())}
	build := func(replica string, bounds ...int64) (five, one string) {
		raw := cut(t, blocktest.Options{ExternalLabels: replicaLabels(replica)}, blocktest.Random(6, o), bounds...)
		five = standAlone(t, raw[0], block.FiveMinutes)
		return five, standAlone(t, five, block.OneHour)
	}
	a5, a1 := build("a", jobStart, jobStart+8*hourMS)
	b5, b1 := build("b", jobStart, jobStart+3*hourMS) // and nothing later
	c5, c1 := build("c", jobStart, jobStart+8*hourMS)
	for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}} {
		o := &compact.Options{Algorithm: alg, ReplicaLabels: []string{"replica"}}
		for _, dirs := range [][]string{{a5, b5}, {b5, a5}, {a1, b1}, {b5, c5}, {c1, b1}, {a5, b5, c5}} {
			job := jobOf(t, dirs, jobOf(t, dirs).Sources[0].Resolution())
			made := runOK(t, job, dirs, o)
			whole := a5
			if job.Outputs[0] == block.OneHour {
				whole = a1
			}
			testutil.Equals(t, windowsOf(t, whole), windowsOf(t, made[0]))
		}
	}
}
