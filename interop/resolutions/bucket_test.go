package resolutions

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
)

const (
	hour = int64(time.Hour / time.Millisecond)
	// start is a multiple of two days.
	start = int64(1_699_488_000_000)
	// Two days of each: 1h alone, 5m and 1h, all three, raw and 5m, raw alone.
	parts = 5
	part  = 48 * hour
	step  = int64(time.Minute / time.Millisecond)
)

// kept are the resolutions that there are of each part.
func kept() [parts][]block.Resolution {
	return [parts][]block.Resolution{
		{block.OneHour},
		{block.FiveMinutes, block.OneHour},
		{block.Raw, block.FiveMinutes, block.OneHour},
		{block.Raw, block.FiveMinutes},
		{block.Raw},
	}
}

// Values of series by the number of their minute.
func requests(n int64, i int) float64 { return float64(n % (3000 + 100*int64(i)) * int64(i+1)) }
func temperature(n int64) float64     { return 20 + 5*math.Sin(float64(n)/170) }

// irregular has more samples in some hours than in others, and none in a few.
func irregular(n int64) (v float64, ok bool) { return float64(n % 11), n%70 < 7*(n/300%8) }

// samples returns the series of a part.
func samples(from int64) []block.Series {
	var (
		requestsOf [3][]blocktest.Sample
		temp, irr  []blocktest.Sample
		latency    []blocktest.Sample
	)
	for t := from; t < from+part; t += step {
		n := (t - start) / step
		for i := range requestsOf {
			requestsOf[i] = append(requestsOf[i], blocktest.Sample{T: t, F: requests(n, i)})
		}
		temp = append(temp, blocktest.Sample{T: t, F: temperature(n)})
		if v, ok := irregular(n); ok {
			irr = append(irr, blocktest.Sample{T: t, F: v})
		}
		if n%2 == 0 {
			v := n / 2 % 900
			latency = append(latency, blocktest.Sample{T: t, H: &histogram.Histogram{
				Schema: 1, ZeroThreshold: 0.001, ZeroCount: uint64(v), Count: uint64(7 * v), Sum: float64(3 * v),
				PositiveSpans:   []histogram.Span{{Offset: 0, Length: 2}, {Offset: 2, Length: 1}},
				PositiveBuckets: []int64{v, v, v},
			}})
		}
	}
	named := func(name string, more ...string) labels.Labels {
		return labels.FromStrings(append([]string{labels.MetricName, name}, more...)...)
	}
	out := []block.Series{blocktest.Series(named("irregular"), irr...), blocktest.Series(named("latency_seconds"), latency...)}
	for i := range requestsOf {
		out = append(out, blocktest.Series(named("requests_total", "i", fmt.Sprint(i)), requestsOf[i]...))
	}
	return append(out, blocktest.Series(named("temperature"), temp...))
}

// bucket makes the bucket and returns Thanos' configuration of it.
func bucket(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	bkt, err := filesystem.NewBucket(root)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, bkt.Close()) }()
	for i, resolutions := range kept() {
		from := start + int64(i)*part
		dirs := map[block.Resolution]string{block.Raw: blocktest.Build(t, t.TempDir(), &blocktest.Options{
			MinTime: from, MaxTime: from + part, Level: 3, Source: block.SourceCompactor,
			ExternalLabels: labels.FromStrings("cluster", "c1", "replica", "a"),
		}, samples(from)...)}
		for _, res := range []block.Resolution{block.FiveMinutes, block.OneHour} {
			finer := map[block.Resolution]block.Resolution{block.FiveMinutes: block.Raw, block.OneHour: block.FiveMinutes}[res]
			out := t.TempDir()
			m, err := downsample.Block(t.Context(), dirs[finer], out, res, nil)
			testutil.Ok(t, err)
			dirs[res] = filepath.Join(out, m.ULID.String())
		}
		for _, res := range resolutions {
			_, err := block.Upload(t.Context(), bkt, dirs[res], nil)
			testutil.Ok(t, err)
		}
	}
	return fmt.Sprintf("{type: FILESYSTEM, config: {directory: %q}}", root)
}
