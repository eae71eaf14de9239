package downsample_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
)

var ratioPairs = flag.Int("ratio", 0, "time `n` pairs of Thanos and thanoskit at the same work in the tests named Ratio, 15 at least, over more data; 0 times none")

// ratioBlock builds a block of 48 h of floats, scraped every 15 s: half of the
// series are counters of integers, three of ten gauges with two decimals, the rest
// does not change.
func ratioBlock(t testing.TB, dir string, series int) (string, int) {
	t.Helper()
	const n = 48 * 60 * 4
	start := int64(1_700_006_400_000)
	rnd := rand.New(rand.NewPCG(1, 2))
	all := make([]block.Series, series)
	for i := range all {
		lset := labels.FromStrings(
			"__name__", fmt.Sprintf("http_requests_%d_total", i%50), "cluster", "eu-west-1", "namespace", fmt.Sprintf("team-%d", i%7),
			"pod", fmt.Sprintf("api-%06d-x7k2p", i), "instance", fmt.Sprintf("10.0.%d.%d:9100", i/250, i%250),
			"job", "api", "code", "200", "method", "GET",
		)
		samples := make([]blocktest.Sample, n)
		v := float64(rnd.IntN(1000))
		for j := range samples {
			switch i % 10 {
			case 0, 1, 2, 3, 4:
				v += float64(rnd.IntN(40))
			case 5, 6, 7:
				v = math.Round(100*(v+rnd.NormFloat64())) / 100
			}
			samples[j] = blocktest.Sample{T: start + int64(j)*15_000 + rnd.Int64N(5), F: v}
		}
		all[i] = blocktest.Series(lset, samples...)
	}
	return blocktest.Build(t, dir, nil, all...), series * n
}

// TestRatio downsamples raw data to 5m, and 5m to 1h, on one core and on two.
func TestRatio(t *testing.T) {
	series := 60
	if *ratioPairs > 0 {
		series = 500
	}
	dir := t.TempDir()
	raw, samples := ratioBlock(t, dir, series)
	five := thanos(t, raw, dir, block.FiveMinutes)
	for _, tc := range []struct {
		name  string
		dir   string
		to    block.Resolution
		cores int
		// allocs and ratio are how many times as many allocations and as much time
		// Thanos needs at least.
		allocs, ratio float64
	}{
		{"5m on one core", raw, block.FiveMinutes, 1, 3, 2},
		{"5m on two cores", raw, block.FiveMinutes, 2, 3, 3},
		{"1h on one core", five, block.OneHour, 1, 3, 1.5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(tc.cores))
			out := t.TempDir()
			opts := &downsample.Options{Concurrency: tc.cores}
			sameChunks(t, thanos(t, tc.dir, t.TempDir(), tc.to), ours(t, tc.dir, t.TempDir(), tc.to, opts))
			theirs, us, r := pair.Work{
				Items:  samples,
				Thanos: func() { testutil.Ok(t, os.RemoveAll(thanos(t, tc.dir, out, tc.to))) },
				Ours:   func() { testutil.Ok(t, os.RemoveAll(ours(t, tc.dir, out, tc.to, opts))) },
			}.Compare(t, *ratioPairs)
			testutil.Assert(t, us.Allocs*tc.allocs <= theirs.Allocs, "%.0f allocations beside %.0f", us.Allocs, theirs.Allocs)
			testutil.Assert(t, us.Bytes <= theirs.Bytes, "%.0f bytes allocated beside %.0f", us.Bytes, theirs.Bytes)
			testutil.Assert(t, r.N == 0 || r.Median >= tc.ratio, "median %.2f", r.Median)
		})
	}
}

// TestRatioHistograms downsamples raw histograms to 5m, and 5m to 1h, on one core.
func TestRatioHistograms(t *testing.T) {
	series, n := 8, 2000
	if *ratioPairs > 0 {
		series, n = 40, 48*60*4
	}
	dir := t.TempDir()
	all := make([]block.Series, series)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range all {
		all[i] = randomHistograms(rnd, labels.FromStrings("__name__", "h", "i", fmt.Sprint(i)), 1_700_006_400_000, n, shapes[i%len(shapes)])
	}
	raw := blocktest.Build(t, dir, nil, all...)
	five := thanos(t, raw, dir, block.FiveMinutes)
	for _, tc := range []struct {
		name          string
		dir           string
		to            block.Resolution
		allocs, ratio float64
	}{
		{"5m", raw, block.FiveMinutes, 10, 2},
		{"1h", five, block.OneHour, 3, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			out := t.TempDir()
			opts := &downsample.Options{Concurrency: 1}
			sameHistogramChunks(t, thanos(t, tc.dir, t.TempDir(), tc.to), ours(t, tc.dir, t.TempDir(), tc.to, opts))
			theirs, us, r := pair.Work{
				Items:  series * n,
				Thanos: func() { testutil.Ok(t, os.RemoveAll(thanos(t, tc.dir, out, tc.to))) },
				Ours:   func() { testutil.Ok(t, os.RemoveAll(ours(t, tc.dir, out, tc.to, opts))) },
			}.Compare(t, *ratioPairs)
			testutil.Assert(t, us.Allocs*tc.allocs <= theirs.Allocs, "%.0f allocations beside %.0f", us.Allocs, theirs.Allocs)
			testutil.Assert(t, r.N == 0 || r.Median >= tc.ratio, "median %.2f", r.Median)
		})
	}
}
