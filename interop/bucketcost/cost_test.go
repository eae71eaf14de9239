package bucketcost_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
)

const (
	hour     = int64(3_600_000)
	blocks   = 4
	perBlock = 5000 // Series.
	latency  = 20 * time.Millisecond
)

// fill puts blocks of 2 h one after the other into a bucket, all of the same
// series, one sample each 15 s: 50 metrics of 100 instances each. Of 20 metrics
// values hardly ever change, 20 are counters, 8 are floats, 2 native histograms.
func fill(t testing.TB, bkt objstore.Bucket, stats bool) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	for b := range blocks {
		start := int64(b) * 2 * hour
		series := make([]block.Series, perBlock)
		for i := range series {
			metric, instance := i%50, i/50
			samples := make([]blocktest.Sample, 4*store.SamplesPerChunk)
			for j := range samples {
				samples[j] = sample(rnd, metric, j)
				samples[j].T = start + int64(j)*15_000
			}
			series[i] = blocktest.Series(labels.FromStrings(
				"__name__", fmt.Sprintf("metric_%02d_total", metric), "cluster", "eu1",
				"instance", fmt.Sprintf("host-%d.example.org:9100", instance), "job", "node", "id", fmt.Sprintf("%05d", i),
				"path", "/"+strings.Repeat("x", i*7%11*metric/2),
			), samples...)
		}
		dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{MinTime: start, MaxTime: start + 2*hour, NoIndexStats: !stats}, series...)
		_, err := block.Upload(t.Context(), bkt, dir, nil)
		testutil.Ok(t, err)
	}
}

func sample(rnd *rand.Rand, metric, j int) blocktest.Sample {
	switch {
	case metric < 20:
		return blocktest.Sample{F: float64(j / 200)}
	case metric < 40:
		return blocktest.Sample{F: float64(j*10 + rnd.IntN(8))}
	case metric < 48:
		return blocktest.Sample{F: rnd.Float64()}
	}
	h := &histogram.Histogram{Schema: 3, PositiveSpans: []histogram.Span{{Offset: 0, Length: 40}}, CounterResetHint: histogram.GaugeType}
	last := int64(0)
	for range 40 {
		n := int64(rnd.IntN(1000))
		h.PositiveBuckets = append(h.PositiveBuckets, n-last)
		h.Count += uint64(n)
		last = n
	}
	h.Sum = rnd.Float64()
	return blocktest.Sample{H: h}
}

// cost is what an answer was and what it took.
type cost struct {
	series, chunks int
	bytes          int64 // Of chunks sent.
	stats          blocktest.Stats
}

func (c cost) String() string {
	return fmt.Sprintf("%d requests, %d bytes, %d trips", c.stats.Requests, c.stats.Gets().Read, c.stats.Trips)
}

// ask returns the cost of an answer.
func ask(t testing.TB, s store.Store, bkt *blocktest.Bucket, m *labels.Matcher) cost {
	t.Helper()
	bkt.Reset()
	var c cost
	var out store.Outcome
	for series, err := range store.All(t.Context(), s, &store.SeriesRequest{MaxTime: blocks * 2 * hour, Matchers: []*labels.Matcher{m}, Strategy: store.Abort}, &out) {
		testutil.Ok(t, err)
		c.series++
		c.chunks += len(series.Chunks)
		for _, chunk := range series.Chunks {
			c.bytes += int64(len(chunk.Raw.Bytes))
		}
	}
	testutil.Equals(t, 0, len(out.Warnings()))
	c.stats = bkt.Stats()
	return c
}

// TestCost asks both gateways, whose index headers are there, first with nothing in
// their caches, then again.
func TestCost(t *testing.T) {
	for _, stats := range []bool{false, true} {
		inner := objstore.NewInMemBucket()
		fill(t, inner, stats)
		dirs := map[string]string{}
		gateways := map[string]gateway{"thanos": thanos, "ours": ours}
		for name, open := range gateways { // Index headers.
			dirs[name] = t.TempDir()
			_, closing := open(t, inner, dirs[name])
			testutil.Ok(t, closing())
		}
		for _, tc := range []struct {
			name    string
			matcher *labels.Matcher
			series  int
			fewer   map[bool]float64 // By how much bytes are fewer at least, by whether there are stats.
		}{
			{"one series", labels.MustNewMatcher(labels.MatchEqual, "id", "02345"), 1, map[bool]float64{false: 5, true: 1.5}},
			{"1 % scattered", labels.MustNewMatcher(labels.MatchEqual, "instance", "host-42.example.org:9100"), perBlock / 100, map[bool]float64{false: 3, true: 1.3}},
			{"one metric", labels.MustNewMatcher(labels.MatchEqual, "__name__", "metric_27_total"), perBlock / 50, nil},
		} {
			t.Run(fmt.Sprintf("%s, index_stats %t", tc.name, stats), func(t *testing.T) {
				costs := map[string][2]cost{}
				for name, open := range gateways {
					bkt := blocktest.NewBucket(inner)
					s, closing := open(t, bkt, dirs[name])
					bkt.Delay(blocktest.Latency(latency))
					cold := ask(t, s, bkt, tc.matcher)
					warm := ask(t, s, bkt, tc.matcher)
					t.Logf("%-6s cold: %v; warm: %v; for %d bytes of chunks", name, cold, warm, cold.bytes)
					costs[name] = [2]cost{cold, warm}
					testutil.Ok(t, closing())
					testutil.Equals(t, 0, bkt.OpenBodies())
				}
				for i, theirs := range costs["thanos"] {
					mine := costs["ours"][i]
					testutil.Equals(t, tc.series, mine.series)
					testutil.Equals(t, theirs.series, mine.series)
					testutil.Equals(t, theirs.chunks, mine.chunks)
					testutil.Equals(t, theirs.bytes, mine.bytes)
				}
				cold, warm := costs["ours"][0], costs["ours"][1]
				if cold.stats.Trips > 3 || warm.stats.Trips > 2 {
					t.Errorf("%d trips cold, %d warm", cold.stats.Trips, warm.stats.Trips)
				}
				ratio := float64(costs["thanos"][0].stats.Gets().Read) / float64(cold.stats.Gets().Read)
				t.Logf("bytes, thanos/ours: %.2f", ratio)
				if ratio < tc.fewer[stats] {
					t.Errorf("bytes are fewer by %.2f, not %.1f", ratio, tc.fewer[stats])
				}
			})
		}
	}
}
