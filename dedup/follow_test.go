package dedup_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

func TestWindowOf(t *testing.T) {
	t.Parallel()
	const w = 300_000
	for _, tc := range []struct{ t, since, until int64 }{
		{0, 0, w - 1},
		{w - 1, 0, w - 1},
		{w, w, 2*w - 1},
		{-1, -w, -1},
		{-w, -w, -1},
		{-w - 1, -2 * w, -w - 1},
		{math.MaxInt64, math.MaxInt64 - math.MaxInt64%w, math.MaxInt64},
		{math.MinInt64, math.MinInt64, math.MinInt64 - math.MinInt64%w - 1},
	} {
		if since, until := dedup.WindowOf(tc.t); since != tc.since || until != tc.until {
			t.Errorf("window of %d: %d to %d, want %d to %d", tc.t, since, until, tc.since, tc.until)
		}
	}
}

// TestFollowMeetsItself: of two replicas, each of which could be followed for ever,
// the second one because the first shows what is older and so is out of line, the
// same one is followed a while later, wherever one began.
func TestFollowMeetsItself(t *testing.T) {
	t.Parallel()
	const interval, end = 40_000, 3_600_000
	for _, lag := range []int64{12_000, 15_000, 18_500} {
		var want []deduptest.Sample
		for from := int64(0); from < end/2; from += 13_000 {
			var a, b deduptest.Replica
			for at := int64(0); at < end; at += interval {
				if t := at + 32_000; t >= from {
					a = append(a, float(t, float64(t-lag)))
				}
				if t := at + 21_500; t >= from {
					b = append(b, float(t, float64(t-1000)))
				}
			}
			out, err := mergeAll(dedup.Follow{}, a, b)
			if err != nil {
				t.Fatal(err)
			}
			settled := slices.IndexFunc(out, func(s deduptest.Sample) bool { return s.T > end/2+4*dedup.FollowWindow.Milliseconds() })
			if want == nil {
				want = out[settled:]
			}
			if at := deduptest.Differ(want, out[settled:]); at >= 0 {
				t.Errorf("values %d ms old, begun at %d: %v, want %v", lag, from, out[settled:], want)
			}
		}
	}
}

// TestFollowRunsAreSteps merges with and without what runs knows, from replicas
// that have runs and from ones that have none.
func TestFollowRunsAreSteps(t *testing.T) {
	t.Parallel()
	var ran int
	for seed := range uint64(1000 / raceDivisor) {
		rng := rand.New(rand.NewPCG(seed, 6))
		replicas := deduptest.Random(rng)
		switch seed % 3 {
		case 1:
			replicas = long(rng)
		case 2:
			replicas = newScene(rng).replicas
		}
		iterables := deduptest.Iterables(replicas)
		want, err := deduptest.Walk(dedup.Stepping(dedup.Follow{}.Merge(nil, dedup.Untyped, iterables...)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range replicas {
			if rng.IntN(3) > 0 {
				iterables[i] = replicas[i].Runs(1 + rng.IntN(120))
			}
		}
		it := dedup.Follow{}.Merge(nil, dedup.Untyped, iterables...)
		got, err := deduptest.Walk(it)
		if err != nil {
			t.Fatal(err)
		}
		if at := deduptest.Differ(want, got); at >= 0 {
			t.Fatalf("seed %d: sample %d of %v, want %v", seed, at, got, want)
		}
		if dedup.HasRun(it) {
			ran++
		}
	}
	if ran < 400/raceDivisor {
		t.Errorf("only %d cases had runs", ran)
	}
}

// long makes replicas of hours, with gaps and stale markers at any time.
func long(rng *rand.Rand) []deduptest.Replica {
	out := make([]deduptest.Replica, 2+rng.IntN(3))
	for i := range out {
		v := 0.0
		for t := rng.Int64N(15_000); t < 4*3600_000; t += 15_000 {
			if rng.IntN(200) == 0 {
				t += rng.Int64N(900_000)
			}
			if v += rng.Float64(); rng.IntN(300) == 0 {
				v = 0
			}
			out[i] = append(out[i], deduptest.Sample{T: t + rng.Int64N(50), Type: chunkenc.ValFloat, V: v})
			if rng.IntN(100) == 0 {
				out[i] = append(out[i], deduptest.Sample{T: t + 50 + rng.Int64N(14_000), Type: chunkenc.ValFloat, V: math.Float64frombits(value.StaleNaN)})
			}
		}
	}
	return out
}
