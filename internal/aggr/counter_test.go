package aggr_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/internal/aggr"
)

// sample is a float; with histogram set, only its time counts.
type sample struct {
	t         int64
	v         float64
	histogram bool
}

func floats(tv ...float64) (out []sample) {
	for i := 0; i < len(tv); i += 2 {
		out = append(out, sample{t: int64(tv[i]), v: tv[i+1]})
	}
	return out
}

func ExampleCounter() {
	// Two counter aggregates: first raw value, one per window, the last raw
	// value at the last time once more. The counter fell to 3 between them.
	var c aggr.Counter
	for _, chunk := range []struct {
		ts []int64
		vs []float64
	}{
		{[]int64{10, 99, 199, 199}, []float64{5, 20, 40, 30}},
		{[]int64{210, 299, 299}, []float64{3, 8, 8}},
	} {
		n := c.Floats(chunk.ts, chunk.vs)
		fmt.Println(chunk.ts[:n], chunk.vs[:n])
	}
	// Output:
	// [10 99 199] [5 20 40]
	// [210 299] [43 48]
}

func TestCounter(t *testing.T) {
	t.Parallel()
	stale := math.Float64frombits(0x7ff0000000000002)
	for name, tc := range map[string]struct {
		chunks [][]sample
		want   []sample
	}{
		"nothing": {},
		"rises": {
			chunks: [][]sample{floats(1, 10, 2, 12), floats(3, 15)},
			want:   floats(1, 10, 2, 12, 3, 15),
		},
		"the first value stays, below zero too": {
			chunks: [][]sample{floats(-5, -3, -4, -1)},
			want:   floats(-5, -3, -4, -1),
		},
		"reset within a chunk of raw data": {
			chunks: [][]sample{floats(1, 10, 2, 4, 3, 6)},
			want:   floats(1, 10, 2, 14, 3, 16),
		},
		"reset between chunks": {
			chunks: [][]sample{floats(1, 10, 2, 12), floats(3, 2)},
			want:   floats(1, 10, 2, 12, 3, 14),
		},
		"the duplicated time tells the true last value": {
			// The windows' total is 40, the raw counter was reset within and
			// ended at 15: 18 is no reset.
			chunks: [][]sample{floats(1, 10, 2, 40, 2, 15), floats(3, 18)},
			want:   floats(1, 10, 2, 40, 3, 43),
		},
		"the true last value shows a reset that the total hides": {
			chunks: [][]sample{floats(1, 10, 2, 40, 2, 40), floats(3, 39, 4, 50)},
			want:   floats(1, 10, 2, 40, 3, 79, 4, 90),
		},
		"NaN and stale markers": {
			chunks: [][]sample{floats(1, stale, 2, 5, 3, math.NaN(), 4, stale), floats(5, 7)},
			want:   floats(2, 5, 5, 7),
		},
		"overlap: the first chunk counts": {
			// At 3 the second chunk has the last value of the first once more:
			// taken for its true last one.
			chunks: [][]sample{floats(1, 10, 2, 20, 3, 30), floats(2, 5, 3, 31, 4, 41)},
			want:   floats(1, 10, 2, 20, 3, 30, 4, 40),
		},
		"goes back in time within a chunk": {
			chunks: [][]sample{floats(5, 10, 3, 11, 6, 12)},
			want:   floats(5, 10, 6, 12),
		},
		"infinite": {
			chunks: [][]sample{floats(1, 1, 2, math.Inf(1), 3, 4)},
			want:   floats(1, 1, 2, math.Inf(1), 3, math.Inf(1)),
		},
		"the first time there is": {
			chunks: [][]sample{floats(math.MinInt64, 1, 0, 2)},
			want:   floats(math.MinInt64, 1, 0, 2),
		},
		"histograms pass": {
			chunks: [][]sample{
				floats(1, 10),
				{{t: 2, histogram: true}, {t: 3, histogram: true}},
				{{t: 3, histogram: true}, {t: 4, histogram: true}},
				floats(4, 99, 5, 4),
			},
			// The float at 4 is not later than the histogram there, but is the
			// last value that is known.
			want: []sample{{t: 1, v: 10}, {t: 2, histogram: true}, {t: 3, histogram: true}, {t: 4, histogram: true}, {t: 5, v: 14}},
		},
		"histograms first": {
			chunks: [][]sample{{{t: 2, histogram: true}}, floats(2, 3, 3, 4, 4, 1)},
			want:   []sample{{t: 2, histogram: true}, {t: 3, v: 4}, {t: 4, v: 5}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c aggr.Counter
			var got []sample
			for _, chunk := range tc.chunks {
				got = append(got, feed(&c, chunk)...)
			}
			testutil.Equals(t, fmt.Sprint(tc.want), fmt.Sprint(got))
		})
	}
}

// feed puts a chunk, of floats or of histograms, through the counter.
func feed(c *aggr.Counter, chunk []sample) (got []sample) {
	if chunk[0].histogram {
		for _, s := range chunk {
			if c.Histogram(s.t) {
				got = append(got, s)
			}
		}
		return got
	}
	var ts []int64
	var vs []float64
	for _, s := range chunk {
		ts, vs = append(ts, s.t), append(vs, s.v)
	}
	for i := range c.Floats(ts, vs) {
		got = append(got, sample{t: ts[i], v: vs[i]})
	}
	return got
}

func BenchmarkCounter(b *testing.B) {
	ts, vs, raw := make([]int64, 120), make([]float64, 120), make([]float64, 120)
	for i := range ts {
		ts[i], raw[i] = int64(i), float64(i%100)
	}
	b.ReportAllocs()
	for b.Loop() {
		var c aggr.Counter
		copy(vs, raw)
		c.Floats(ts, vs)
	}
}
