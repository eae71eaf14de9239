package downsample_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/internal/xor"
)

const fiveMinutes = int64(block.FiveMinutes)

// written is an aggregate as text: value@time, in windows of 5m, of which the last ms
// is the end. A histogram is its count.
func written(t testing.TB, c chunkenc.Chunk) string {
	t.Helper()
	if c == nil {
		return "none"
	}
	var out []string
	for _, s := range decode(t, c) {
		v := s.F
		if s.FH != nil {
			v = s.FH.Count
		}
		at := fmt.Sprintf("%.4g", float64(s.T)/float64(fiveMinutes))
		if (s.T+1)%fiveMinutes == 0 {
			at = fmt.Sprint((s.T + 1) / fiveMinutes)
		}
		out = append(out, fmt.Sprintf("%.4g@%s", v, at))
	}
	return strings.Join(out, " ")
}

// floatsIn makes samples that are evenly spread over windows of 5m.
func floatsIn(windows ...[]float64) (out []blocktest.Sample) {
	for w, vs := range windows {
		for i, v := range vs {
			out = append(out, blocktest.Sample{T: int64(w)*fiveMinutes + int64(i)*fiveMinutes/int64(len(vs)), F: v})
		}
	}
	return out
}

func countsIn(windows ...[]float64) []blocktest.Sample {
	out := floatsIn(windows...)
	for i, s := range out {
		if !math.IsNaN(s.F) {
			out[i] = blocktest.Sample{T: s.T, H: &histogram.Histogram{Count: uint64(s.F), ZeroCount: uint64(s.F), ZeroThreshold: 0.1}}
		}
	}
	return out
}

// TestRules: what the package comment says.
func TestRules(t *testing.T) {
	t.Parallel()
	stale, inf := math.Float64frombits(value.StaleNaN), math.Inf(1)
	for _, tc := range []struct {
		name    string
		samples []blocktest.Sample
		// Each chunk as count, sum, min, max, counter.
		want []string
	}{
		{
			"the drawing of floats", floatsIn([]float64{10, 20, 40}, []float64{5, 10}, []float64{30, 50}),
			[]string{"3@1 2@2 2@2.5, 70@1 15@2 80@2.5, 10@1 5@2 30@2.5, 40@1 10@2 50@2.5, 10@0 40@1 50@2 90@2.5 50@2.5"},
		},
		{
			"the drawing of histograms", countsIn([]float64{10, 20, 40}, []float64{5, 10}, []float64{30, 50}),
			[]string{
				"3@0.6667, 70@0.6667, none, none, 10@0 40@0.6667",
				"2@2 2@2.5, 15@2 80@2.5, none, none, 5@1 10@2 50@2.5",
			},
		},
		{
			"more resets in a window", countsIn([]float64{10}, []float64{3, 4, 2, 1, 1, 5}, []float64{6}),
			[]string{
				"1@0, 10@0, none, none, 10@0",
				"3@1.333, 9@1.333, none, none, 3@1 6@1.333",
				"3@2 1@2, 7@2 6@2, none, none, 1@1.5 5@2 6@2",
			},
		},
		{"one sample", floatsIn([]float64{7}), []string{"1@0, 7@0, 7@0, 7@0, 7@0 7@0 7@0"}},
		{"stale markers and NaN", floatsIn([]float64{math.NaN(), 1, stale}, []float64{math.NaN()}, []float64{stale, 4, math.NaN()}), []string{"1@1 1@2.333, 1@1 4@2.333, 1@1 4@2.333, 1@1 4@2.333, 1@0.3333 1@1 4@2.333 4@2.333"}},
		{"negative zero", floatsIn([]float64{math.Copysign(0, -1)}), []string{"1@0, 0@0, -0@0, -0@0, -0@0 -0@0 -0@0"}},
		{"nothing but NaN", floatsIn([]float64{math.NaN(), stale}), nil},
		{"infinities", floatsIn([]float64{inf, inf}, []float64{-inf}), []string{"2@1 1@1, +Inf@1 -Inf@1, 1.798e+308@1 -Inf@1, +Inf@1 -1.798e+308@1, +Inf@0 NaN@1 NaN@1 -Inf@1"}},
		{"stale markers among histograms", append(countsIn([]float64{1, 2}), blocktest.Sample{T: fiveMinutes, H: &histogram.Histogram{Sum: stale}}), []string{"2@0.5, 3@0.5, none, none, 1@0 2@0.5"}},
		{"floats, then histograms", append(floatsIn([]float64{1, 2}), blocktest.Sample{T: fiveMinutes - 1, H: countsIn([]float64{3})[0].H}), []string{
			"2@0.5, 3@0.5, 1@0.5, 2@0.5, 1@0 2@0.5 2@0.5", "1@1, 3@1, none, none, 3@1",
		}},
		{"no samples", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var d downsample.Downsampler
			chunks, err := d.Append(nil, block.Raw, block.FiveMinutes, blocktest.Chunks(0, tc.samples...))
			testutil.Ok(t, err)
			var got []string
			for _, c := range chunks {
				p := parts(t, c)
				var texts []string
				for _, sub := range []chunkenc.Chunk{p.Count, p.Sum, p.Min, p.Max, p.Counter} {
					texts = append(texts, written(t, sub))
				}
				got = append(got, strings.Join(texts, ", "))
			}
			testutil.Equals(t, tc.want, got)
		})
	}
}

// TestAbsentAggregates: what is not in 5m is not in 1h, and the rest is as it would be.
func TestAbsentAggregates(t *testing.T) {
	t.Parallel()
	for _, samples := range [][]blocktest.Sample{
		floatsIn([]float64{1, 2}, []float64{3}, []float64{1}, []float64{2, 3}),
		countsIn([]float64{1, 2}, []float64{3}, []float64{5}, []float64{6, 7}),
	} {
		for i := range samples {
			samples[i].T += 1_700_000_400_000
		}
		var d downsample.Downsampler
		five, err := d.Append(nil, block.Raw, block.FiveMinutes, blocktest.Chunks(0, samples...))
		testutil.Ok(t, err)
		hour, err := d.Append(nil, block.FiveMinutes, block.OneHour, five)
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(hour))
		whole := parts(t, hour[0])
		for missing := range 1 << 5 {
			all := parts(t, five[0])
			drop := func(a *blocktest.Aggregates) []*chunkenc.Chunk {
				var out []*chunkenc.Chunk
				for k, c := range []*chunkenc.Chunk{&a.Count, &a.Sum, &a.Min, &a.Max, &a.Counter} {
					if missing&(1<<k) != 0 {
						*c = nil
					}
					out = append(out, c)
				}
				return out
			}
			left := drop(&all)
			without := blocktest.AggregateChunk(five[0].MinTime, five[0].MaxTime, all)
			got, err := d.Append(nil, block.FiveMinutes, block.OneHour, []block.Chunk{without})
			testutil.Ok(t, err)
			any := false
			for _, c := range left {
				any = any || *c != nil
			}
			if !any {
				testutil.Equals(t, 0, len(got))
				continue
			}
			testutil.Equals(t, []int64{hour[0].MinTime, hour[0].MaxTime}, []int64{got[0].MinTime, got[0].MaxTime})
			want, have := whole, parts(t, got[0])
			drop(&want)
			testutil.Equals(t, describe(t, want), describe(t, have), "%b", missing)
		}
	}
}

// TestTimesGoBack: samples that go back in time do not count, within a chunk and
// from one to the next, with and without a stale marker before them.
func TestTimesGoBack(t *testing.T) {
	t.Parallel()
	stale := math.Float64frombits(value.StaleNaN)
	chunk := func(from int64, ts []int64, vs []float64) block.Chunk {
		return block.Chunk{MinTime: from, MaxTime: from, Encoding: chunkenc.EncXOR, Data: xor.Encode(nil, ts, vs)}
	}
	var d downsample.Downsampler
	out, err := d.Append(nil, block.Raw, block.FiveMinutes, []block.Chunk{
		chunk(0, []int64{10, 30, 20, 40}, []float64{1, 2, 100, 3}),
		chunk(1, []int64{35, 50, 60, 45}, []float64{100, stale, 4, 100}),
	})
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(out))
	testutil.Equals(t, []int64{60, 60}, []int64{out[0].MinTime, out[0].MaxTime})
	var got []float64
	for _, c := range []chunkenc.Chunk{parts(t, out[0]).Count, parts(t, out[0]).Sum, parts(t, out[0]).Max} {
		got = append(got, decode(t, c)[0].F)
	}
	testutil.Equals(t, []float64{4, 10, 4}, got)
}

// TestResetOfChunk: whether a chunk begins with a reset is found out, whatever its
// header says, also if its first sample does not count.
func TestResetOfChunk(t *testing.T) {
	t.Parallel()
	chunk := func(header chunkenc.CounterResetHeader, from int64, ts []int64, counts []float64) block.Chunk {
		samples := countsIn(counts)
		for i := range samples {
			samples[i].T = ts[i]
		}
		c := blocktest.Chunks(0, samples...)[0]
		c.Data[2] = c.Data[2]&^chunkenc.CounterResetHeaderMask | byte(header)
		c.MinTime = from
		return c
	}
	const minute = 60_000
	for last, want := range map[float64][]string{
		30: {"2@1 1@1.2, 30@1 30@1.2, none, none, 10@0 20@1 30@1.2"},
		7:  {"2@0.2, 30@0.2, none, none, 10@0 20@0.2", "1@1.2, 7@1.2, none, none, 7@1.2"},
	} {
		for _, header := range []chunkenc.CounterResetHeader{chunkenc.CounterReset, chunkenc.NotCounterReset, chunkenc.UnknownCounterReset} {
			for _, before := range [][]float64{nil, {6}} { // at a time that was there before
				ts := []int64{minute, 6 * minute}
				var d downsample.Downsampler
				out, err := d.Append(nil, block.Raw, block.FiveMinutes, []block.Chunk{
					chunk(chunkenc.UnknownCounterReset, 0, []int64{0, minute}, []float64{10, 20}),
					chunk(header, minute+1, ts[1-len(before):], append(before, last)),
				})
				testutil.Ok(t, err)
				var got []string
				for _, c := range out {
					got = append(got, strings.Join(describe(t, parts(t, c)), ", "))
				}
				testutil.Equals(t, want, got, "%v, header %v, %d before", last, header, len(before))
			}
		}
	}
}

// TestAbsentCounts: of resets within a window all else is there, if counts are not.
func TestAbsentCounts(t *testing.T) {
	t.Parallel()
	samples := countsIn([]float64{10}, []float64{3, 4, 2, 1, 1, 5}, []float64{6})
	var d downsample.Downsampler
	five, err := d.Append(nil, block.Raw, block.FiveMinutes, blocktest.Chunks(0, samples...))
	testutil.Ok(t, err)
	without := make([]block.Chunk, len(five))
	for i, c := range five {
		a := parts(t, c)
		a.Count = nil
		without[i] = blocktest.AggregateChunk(c.MinTime, c.MaxTime, a)
	}
	want, err := d.Append(nil, block.FiveMinutes, block.OneHour, five)
	testutil.Ok(t, err)
	got, err := d.Append(nil, block.FiveMinutes, block.OneHour, without)
	testutil.Ok(t, err)
	testutil.Equals(t, 3, len(want))
	testutil.Equals(t, len(want), len(got))
	for i, c := range got {
		whole := parts(t, want[i])
		whole.Count = nil
		testutil.Equals(t, describe(t, whole), describe(t, parts(t, c)))
	}
}

func describe(t testing.TB, a blocktest.Aggregates) (out []string) {
	t.Helper()
	for _, c := range []chunkenc.Chunk{a.Count, a.Sum, a.Min, a.Max, a.Counter} {
		out = append(out, written(t, c))
	}
	return out
}

// TestAppendKeepsDst: after an error there is nothing new, and chunks of before stay
// as they were.
func TestAppendKeepsDst(t *testing.T) {
	t.Parallel()
	var d downsample.Downsampler
	good := blocktest.Floats(labels.EmptyLabels(), 0, 15_000, make([]float64, 500)...).Chunks
	out, err := d.Append(nil, block.Raw, block.FiveMinutes, good)
	testutil.Ok(t, err)
	before := written(t, parts(t, out[0]).Counter)
	bad := append(slices.Clip(good), block.Chunk{MinTime: 1e9, MaxTime: 1e9, Encoding: chunkenc.EncHistogram, Data: []byte{0, 1, 2}})
	for range 100 {
		got, err := d.Append(out, block.Raw, block.FiveMinutes, bad)
		testutil.NotOk(t, err)
		testutil.Equals(t, len(out), len(got))
	}
	testutil.Equals(t, before, written(t, parts(t, out[0]).Counter))
}

// TestEmptyChunks: chunks without samples make no difference.
func TestEmptyChunks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind  blocktest.Kind
		empty block.Chunk
	}{
		{blocktest.Counter, block.Chunk{Encoding: chunkenc.EncXOR, Data: []byte{0, 0}}},
		{blocktest.IntHistogram, block.Chunk{Encoding: chunkenc.EncHistogram, Data: []byte{0, 0, 0}}},
		{blocktest.FloatHistogram, block.Chunk{Encoding: chunkenc.EncFloatHistogram, Data: []byte{0, 0, 0}}},
	} {
		chunks := blocktest.Random(1, &blocktest.RandomOptions{Series: 1, Kinds: []blocktest.Kind{tc.kind}})[0].Chunks
		var d downsample.Downsampler
		want, err := d.Append(nil, block.Raw, block.FiveMinutes, chunks)
		testutil.Ok(t, err)
		var mixed []block.Chunk
		for _, c := range chunks {
			tc.empty.MinTime, tc.empty.MaxTime = c.MaxTime+1, c.MaxTime+1
			mixed = append(mixed, c, tc.empty)
		}
		got, err := d.Append(nil, block.Raw, block.FiveMinutes, mixed)
		testutil.Ok(t, err)
		testutil.Equals(t, want, got)
		got, err = d.Append(nil, block.Raw, block.FiveMinutes, []block.Chunk{tc.empty})
		testutil.Ok(t, err)
		testutil.Equals(t, 0, len(got))
	}
	var d downsample.Downsampler
	got, err := d.Append(nil, block.FiveMinutes, block.OneHour, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(got))
}
