package dedup_test

import (
	"errors"
	"fmt"
	"math"
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
