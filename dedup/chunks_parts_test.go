package dedup_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/recode"
	"github.com/thanoskit/thanoskit/internal/xor"
)

const hour = int64(3_600_000)

// hourly downsamples a counter that is scraped each minute of hours from one to
// another to chunks of 1h. It is infinite in the 8th.
func hourly(tb testing.TB, from, to int64) []dedup.Chunk {
	tb.Helper()
	var samples []blocktest.Sample
	for t := from * hour; t < to*hour; t += 60_000 {
		s := blocktest.Sample{T: t, F: float64(t / 60_000)}
		if t/hour == 7 {
			s.F = math.Inf(1)
		}
		samples = append(samples, s)
	}
	var d downsample.Downsampler
	five, err := d.Append(nil, block.Raw, block.FiveMinutes, blocktest.Series(labels.EmptyLabels(), samples...).Chunks)
	testutil.Ok(tb, err)
	one, err := d.Append(nil, block.FiveMinutes, block.OneHour, five)
	testutil.Ok(tb, err)
	var out []dedup.Chunk
	for _, c := range one {
		out = append(out, dedup.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Encoding, Data: c.Data, Ref: uint64(from + 1)})
	}
	return out
}

// countersOf returns the counters of chunks of floats as they are: hours and values.
func countersOf(tb testing.TB, chunks []dedup.Chunk) (out []string) {
	tb.Helper()
	for _, c := range chunks {
		parts, err := aggr.Parse(c.Data)
		testutil.Ok(tb, err)
		text := ""
		for _, s := range samplesOf(tb, parts[aggr.CounterKind]) {
			text += fmt.Sprintf("%v@%.2f ", s.F, float64(s.T)/float64(hour))
		}
		out = append(out, text)
	}
	return out
}

// TestCounterThatIsNoNumber: a counter of 1h that was infinite for a while has no
// windows after that. Chunks made of a part of it are chunks nevertheless, with what
// it was last, and what another replica counts goes on from that.
func TestCounterThatIsNoNumber(t *testing.T) {
	t.Parallel()
	a, b, c := hourly(t, 0, 7), hourly(t, 5, 19), hourly(t, 11, 13)
	testutil.Equals(t, []string{"300@5.00 359@6.00 419@7.00 779@13.00 839@14.00 899@15.00 959@16.00 1019@17.00 1079@18.00 1139@18.98 1139@18.98 "}, countersOf(t, b))
	m := dedup.ChunkMerger{Algorithm: dedup.Chain{}, Resolution: time.Hour}
	got, err := m.Merge(nil, a, c, b)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{
		"0@0.00 59@1.00 119@2.00 179@3.00 239@4.00 299@5.00 359@6.00 419@6.98 419@6.98 ",
		"419@7.00 419@11.00 419@11.00 ",
		"660@11.00 719@12.00 779@12.98 779@12.98 ",
		"779@13.00 839@14.00 899@15.00 959@16.00 1019@17.00 1079@18.00 1139@18.98 1139@18.98 ",
	}, countersOf(t, got))
	testutil.Equals(t, 19, len(read(t, hour, got).units))
}

// handMade is a chunk of windows with counts, of which the counter is what is given.
func handMade(counter aggr.Sub, windows ...int64) dedup.Chunk {
	count := aggr.Sub{Encoding: chunkenc.EncXOR, Data: xor.Encode(nil, windows, make([]float64, len(windows)))}
	parts := aggr.Chunk{aggr.Count: count, aggr.CounterKind: counter}
	return dedup.Chunk{MinTime: windows[0], MaxTime: windows[len(windows)-1], Encoding: aggr.Encoding, Data: parts.Append(nil)}
}

func floatCounter(tv ...float64) aggr.Sub {
	var ts []int64
	var vs []float64
	for i := 0; i < len(tv); i += 2 {
		ts, vs = append(ts, int64(tv[i])), append(vs, tv[i+1])
	}
	return aggr.Sub{Encoding: chunkenc.EncXOR, Data: xor.Encode(nil, ts, vs)}
}

func histogramCounter(tb testing.TB, ts ...int64) aggr.Sub {
	tb.Helper()
	var e recode.Encoder
	for i, t := range ts {
		testutil.Ok(tb, e.FloatHistogram(t, &histogram.FloatHistogram{Count: float64(i), ZeroCount: float64(i)}))
	}
	c := e.Chunks()[0]
	return aggr.Sub{Encoding: c.Encoding, Data: c.Data}
}

// TestCountersOfAllForms: which counters are taken, and which are not.
func TestCountersOfAllForms(t *testing.T) {
	t.Parallel()
	w := []int64{299_999, 599_999, 899_999}
	for name, tc := range map[string]struct {
		counter aggr.Sub
		bad     bool
	}{
		"first, windows, last":        {counter: floatCounter(5, 1, 299_999, 2, 599_999, 3, 899_999, 4, 899_999, 4)},
		"no window in the middle":     {counter: floatCounter(5, 1, 299_999, 2, 899_999, 4, 899_999, 4)},
		"one window":                  {counter: floatCounter(5, 1, 599_998, 4, 599_998, 4)},
		"no last":                     {counter: floatCounter(5, 1, 299_999, 2, 599_999, 3, 899_999, 4)},
		"neither first nor last":      {counter: floatCounter(299_999, 2, 599_999, 3, 899_999, 4)},
		"nothing in it":               {counter: floatCounter()},
		"absent":                      {},
		"after its windows":           {counter: floatCounter(5, 1, 299_999, 2, 900_000, 4, 900_000, 4), bad: true},
		"back in time":                {counter: floatCounter(5, 1, 299_999, 2, 299_998, 3, 899_999, 4, 899_999, 4), bad: true},
		"at one time twice":           {counter: floatCounter(5, 1, 299_999, 2, 299_999, 3, 899_999, 4, 899_999, 4), bad: true},
		"histograms":                  {counter: histogramCounter(t, 299_999, 599_999, 899_999)},
		"histograms, with the first":  {counter: histogramCounter(t, 5, 299_999, 599_999, 899_999)},
		"histograms, some missing":    {counter: histogramCounter(t, 5, 599_999)},
		"histograms after windows":    {counter: histogramCounter(t, 299_999, 599_999, 900_000), bad: true},
		"histograms at one time":      {counter: histogramCounter(t, 299_999, 299_999, 899_999), bad: true},
		"histograms that are no such": {counter: aggr.Sub{Encoding: chunkenc.EncFloatHistogram, Data: []byte{0, 9, 0, 1}}, bad: true},
		"of no known encoding":        {counter: aggr.Sub{Encoding: 77, Data: []byte{0, 0, 0, 1}}, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := handMade(tc.counter, w...)
			other := handMade(floatCounter(10, 1, 299_998, 2, 599_998, 3, 599_998, 3), 299_998, 599_998)
			for _, replicas := range [][][]dedup.Chunk{{{c}, {other}}, {{other}, {c}}} {
				m := dedup.ChunkMerger{Algorithm: dedup.Chain{}}
				got, err := m.Merge(nil, replicas...)
				if tc.bad {
					var chunkErr *dedup.ChunkError
					testutil.Assert(t, errors.As(err, &chunkErr) && chunkErr.MaxTime == c.MaxTime, "%v", err)
					continue
				}
				testutil.Ok(t, err)
				windows := 0
				for _, c := range got {
					parts, err := aggr.Parse(c.Data)
					testutil.Ok(t, err)
					windows += len(samplesOf(t, parts[aggr.Count]))
				}
				testutil.Equals(t, 3, windows)
				testutil.Equals(t, int64(899_999), got[len(got)-1].MaxTime)
			}
		})
	}
}

// TestSeams: what a counter is made of where replicas change, the first of them that
// has a window being chosen, whatever it holds. Windows are numbered by their ends,
// in units of five minutes.
func TestSeams(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	// chunk makes one of windows, and a counter of pairs of a time and a value.
	chunk := func(from, to int64, counter ...float64) dedup.Chunk {
		var windows []int64
		for w := from; w <= to; w++ {
			windows = append(windows, w*fiveMinutes-1)
		}
		for i := 0; i < len(counter); i += 2 {
			counter[i] = counter[i]*float64(fiveMinutes) - 1
		}
		return handMade(floatCounter(counter...), windows...)
	}
	for name, tc := range map[string]struct {
		replicas [][]dedup.Chunk
		want     []string
	}{
		"one window of three, what comes first is later than others": {
			replicas: [][]dedup.Chunk{{chunk(1, 1, .5, 10, 1, 12, 1, 12)}, {chunk(1, 3, .1, 1, 3, 4, 3, 4)}},
			want:     []string{"10@0.50 12@1.00 1@1.00", "1@1.00 4@3.00 4@3.00"},
		},
		"one window of three, another last value": {
			replicas: [][]dedup.Chunk{{chunk(1, 3, .5, 1, 3, 4, 3, 4)}, {chunk(3, 4, 2.5, 1, 3, 2, 4, 3, 4, 3)}},
			want:     []string{"1@0.50 4@3.00 2@3.00", "2@3.00 3@4.00 3@4.00"},
		},
		"the first value after what it is the first of": {
			replicas: [][]dedup.Chunk{{chunk(1, 3, 1.5, 1, 1, 1, 3, 4, 3, 4)}, {chunk(3, 4, 2.5, 1, 3, 2, 4, 3, 4, 3)}},
			want:     []string{"1@1.00 1@1.00 4@3.00 2@3.00", "2@3.00 3@4.00 3@4.00"},
		},
		"no number in the windows, nor at the end": {
			replicas: [][]dedup.Chunk{
				{chunk(5, 5, 4.5, 50, 5, 55, 5, 55)},
				{chunk(1, 4, .5, 1, 1, 2, 2, inf, 3, nan, 4, nan, 4, nan), chunk(5, 6, 4.5, 8, 5, 9, 6, 10, 6, 10)},
			},
			want: []string{"1@0.50 2@1.00 +Inf@2.00 NaN@3.00 NaN@4.00 NaN@4.00", "50@4.50 55@5.00 9@5.00", "9@5.00 10@6.00 10@6.00"},
		},
		"no number at the start": {
			replicas: [][]dedup.Chunk{
				{chunk(5, 5, 4.5, 50, 5, 55, 5, 55)},
				{chunk(1, 4, .5, 1, 1, 2, 4, 7, 4, 7), chunk(5, 6, 4.5, inf, 5, nan, 6, 12, 6, 12)},
			},
			want: []string{"1@0.50 2@1.00 7@4.00 7@4.00", "50@4.50 55@5.00 12@5.00", "12@5.00 12@6.00 12@6.00"},
		},
		"no number at all": {
			replicas: [][]dedup.Chunk{
				{chunk(5, 5, 4.5, 50, 5, 55, 5, 55)},
				{chunk(1, 4, .5, 1, 1, 2, 4, 7, 4, 7), chunk(5, 6, 4.5, inf, 5, nan, 6, inf, 6, inf)},
			},
			want: []string{"1@0.50 2@1.00 7@4.00 7@4.00", "50@4.50 55@5.00 7@5.00", "7@5.00 +Inf@6.00 +Inf@6.00"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := dedup.ChunkMerger{Algorithm: dedup.Chain{}}
			chunks, err := m.Merge(nil, tc.replicas...)
			testutil.Ok(t, err)
			var got []string
			for _, c := range chunks {
				parts, err := aggr.Parse(c.Data)
				testutil.Ok(t, err)
				var text []string
				for _, s := range samplesOf(t, parts[aggr.CounterKind]) {
					text = append(text, fmt.Sprintf("%v@%.2f", s.F, float64(s.T)/float64(fiveMinutes)))
				}
				got = append(got, strings.Join(text, " "))
			}
			testutil.Equals(t, tc.want, got)
		})
	}
}

// TestAggregatesThatAreNone: what is not of the windows that count has is refused, and
// what would not fit into a chunk.
func TestAggregatesThatAreNone(t *testing.T) {
	t.Parallel()
	const w1, w2 = 299_999, 599_999
	other := handMade(floatCounter(10, 1, 299_998, 2, 299_998, 3), 299_998)
	with := func(least aggr.Sub) dedup.Chunk {
		c := handMade(aggr.Sub{}, w1, w2)
		parts, err := aggr.Parse(c.Data)
		testutil.Ok(t, err)
		parts[aggr.Min] = least
		c.Data = parts.Append(nil)
		return c
	}
	outside := with(aggr.Sub{})
	outside.MaxTime--
	var many []int64
	for i := range int64(math.MaxUint16) {
		many = append(many, (i+1)*fiveMinutes-1)
	}
	full := handMade(aggr.Sub{Encoding: chunkenc.EncXOR, Data: xor.Encode(nil, many, make([]float64, len(many)))}, many...)
	for name, tc := range map[string]struct {
		c   dedup.Chunk
		bad bool
	}{
		"as they are":      {c: with(floatCounter(w1, 1, w2, 2))},
		"absent":           {c: with(aggr.Sub{})},
		"fewer":            {c: with(floatCounter(w1, 1)), bad: true},
		"more":             {c: with(floatCounter(w1, 1, w2, 2, w2+1, 3)), bad: true},
		"at another time":  {c: with(floatCounter(w1, 1, w2-1, 2)), bad: true},
		"histograms":       {c: with(histogramCounter(t, w1, w2)), bad: true},
		"not in its range": {c: outside, bad: true},
		"too many":         {c: full, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := dedup.ChunkMerger{Algorithm: dedup.Chain{}}
			_, err := m.Merge(nil, []dedup.Chunk{other}, []dedup.Chunk{tc.c})
			testutil.Equals(t, tc.bad, err != nil, "%v", err)
			testutil.Equals(t, tc.bad, errors.Is(err, dedup.ErrMalformedChunk), "%v", err)
		})
	}
}

// TestAggregatesAtTheEndsOfTime: windows that reach beyond what a time can be are cut.
func TestAggregatesAtTheEndsOfTime(t *testing.T) {
	t.Parallel()
	for _, times := range [][]int64{{math.MaxInt64 - 2, math.MaxInt64 - 1, math.MaxInt64}, {math.MinInt64, math.MinInt64 + 1, math.MinInt64 + 2}} {
		var replicas [][]dedup.Chunk
		for i := range times {
			replicas = append(replicas, []dedup.Chunk{handMade(aggr.Sub{}, times[i:]...)})
		}
		m := dedup.ChunkMerger{Algorithm: dedup.Chain{}}
		got, err := m.Merge(nil, replicas...)
		testutil.Ok(t, err)
		testutil.Equals(t, 1, len(got))
	}
}
