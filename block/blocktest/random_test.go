package blocktest_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block/blocktest"
)

// TestKinds: each kind of native histogram is there: integer and floating-point
// counts, counters and gauges, exponential and custom buckets.
func TestKinds(t *testing.T) {
	t.Parallel()
	for kind, want := range map[blocktest.Kind]struct{ floats, gauge, custom bool }{
		blocktest.IntHistogram:        {},
		blocktest.FloatHistogram:      {floats: true},
		blocktest.GaugeHistogram:      {gauge: true},
		blocktest.GaugeFloatHistogram: {floats: true, gauge: true},
		blocktest.CustomBuckets:       {custom: true},
		blocktest.CustomFloats:        {floats: true, custom: true},
		blocktest.CustomGauge:         {gauge: true, custom: true},
	} {
		series := blocktest.Random(3, &blocktest.RandomOptions{Series: 1, Kinds: []blocktest.Kind{kind}})
		samples, err := blocktest.Samples(series[0].Chunks...)
		testutil.Ok(t, err)
		testutil.Equals(t, 480, len(samples))
		falls := false
		var before float64
		for _, s := range samples {
			h := s.FH
			if !want.floats {
				testutil.Equals(t, chunkenc.ValHistogram, s.Type())
				h = s.H.ToFloat(nil)
			}
			testutil.Equals(t, want.gauge, h.CounterResetHint == histogram.GaugeType, "%s: %s", kind, s)
			testutil.Equals(t, want.custom, histogram.IsCustomBucketsSchema(h.Schema), "%s: %s", kind, s)
			// A reset falls to almost nothing, a gauge does not.
			falls = falls || h.Count < before && h.Count > before/2
			before = h.Count
		}
		testutil.Equals(t, want.gauge, falls, "%s", kind)
	}
}
