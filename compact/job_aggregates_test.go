package compact_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"

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

// TestVerticalAggregates: replicas' blocks of 5m and of 1h are merged window by
// window. Of replicas that are the same, one comes out; of one that has what the
// other misses, all windows do.
func TestVerticalAggregates(t *testing.T) {
	t.Parallel()
	floats := &blocktest.RandomOptions{Start: jobStart, Samples: 1500, Kinds: []blocktest.Kind{blocktest.Counter}}
	build := func(replica string, bounds ...int64) (raw, five, one []string) {
		raw = cut(t, blocktest.Options{ExternalLabels: replicaLabels(replica)}, blocktest.Random(6, floats), bounds...)
		for _, dir := range raw {
			five = append(five, standAlone(t, dir, block.FiveMinutes))
			one = append(one, standAlone(t, five[len(five)-1], block.OneHour))
		}
		return raw, five, one
	}
	_, a5, a1 := build("a", jobStart, jobStart+8*hourMS)
	_, b5, b1 := build("b", jobStart, jobStart+3*hourMS) // and nothing later
	for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}} {
		o := &compact.Options{Algorithm: alg, ReplicaLabels: []string{"replica"}}
		for _, dirs := range [][]string{{a5[0], b5[0]}, {b5[0], a5[0]}, {a1[0], b1[0]}} {
			job := jobOf(t, dirs, jobOf(t, dirs).Sources[0].Resolution())
			made := runOK(t, job, dirs, o)
			windows := func(dir string) map[string]int {
				n := map[string]int{}
				r, err := block.Open(dir)
				testutil.Ok(t, err)
				defer func() { testutil.Ok(t, r.Close()) }()
				for s, err := range r.All(context.Background()) {
					testutil.Ok(t, err)
					for _, c := range s.Chunks {
						samples, err := c.NumSamples()
						testutil.Ok(t, err)
						n[s.Labels.String()] += samples
					}
				}
				return n
			}
			whole := a5[0]
			if job.Outputs[0] == block.OneHour {
				whole = a1[0]
			}
			testutil.Equals(t, windows(whole), windows(made[0]))
		}
	}
}
