package dedup_test

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// TestFollowToTheLastTime: samples up to the last time that there is are merged as
// any others are, whichever replica has them. The first one misses two scrapes
// and then comes soon after the one that is followed instead.
func TestFollowToTheLastTime(t *testing.T) {
	t.Parallel()
	const interval, n = 40_000, 16
	ending := func(before int64) (r deduptest.Replica) {
		for k := int64(n); k > 0; k-- {
			if before > 0 && (k == 4 || k == 5) {
				continue
			}
			at := math.MaxInt64 - before - (k-1)*interval
			r = append(r, deduptest.Sample{T: at, Type: chunkenc.ValFloat, V: float64(n - k)})
		}
		return r
	}
	for _, before := range [][]int64{{0, 0}, {0, 35_000}, {35_000, 0}, {75_000, 35_000, 0}} {
		var replicas []deduptest.Replica
		for _, b := range before {
			replicas = append(replicas, ending(b))
		}
		iterables := deduptest.Iterables(replicas)
		want, err := deduptest.Walk(dedup.Stepping(dedup.Follow{}.Merge(nil, dedup.Untyped, iterables...)))
		if err != nil {
			t.Fatal(err)
		}
		if end := want[len(want)-1].T; end < math.MaxInt64-interval {
			t.Errorf("ending %v ms before the last time: nothing after %d", before, end)
		}
		for length := 1; length <= n; length++ {
			for i := range replicas {
				iterables[i] = replicas[i].Runs(length)
			}
			got, err := deduptest.Walk(dedup.Follow{}.Merge(nil, dedup.Untyped, iterables...))
			if err != nil {
				t.Fatal(err)
			}
			if at := deduptest.Differ(want, got); at >= 0 {
				t.Errorf("ending %v ms before the last time, runs of %d: %v, want %v", before, length, got, want)
			}
		}
	}
}
