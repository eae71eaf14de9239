package downsample_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// The oracle knows raw samples and windows, and nothing of how chunks are cut: it
// says what all that is told of one aligned window must come to.

// floorEnd is the last ms of the aligned window of t.
func floorEnd(t int64, r block.Resolution) int64 {
	return int64(math.Floor(float64(t)/float64(r)))*int64(r) + int64(r) - 1
}

// keptFloat reports whether a sample counts among floats.
func keptFloat(s blocktest.Sample) bool {
	return s.Type() == chunkenc.ValFloat && !math.IsNaN(s.F)
}

// keptHistogram returns the histogram with floating-point counts of a sample that
// counts among histograms.
func keptHistogram(s blocktest.Sample) *histogram.FloatHistogram {
	switch {
	case s.H != nil && !value.IsStaleNaN(s.H.Sum):
		return s.H.ToFloat(nil)
	case s.FH != nil && !value.IsStaleNaN(s.FH.Sum):
		return s.FH.Copy()
	}
	return nil
}

// told is what chunks of aggregates say of a window.
type told struct {
	count, sum, low, high float64
	hist                  histogramTotal
}

// histogramTotal is what histograms add up to. If some of them have custom buckets
// and some have not, or zero buckets that cut each other's buckets in two, how often
// something was observed is all that can be said.
type histogramTotal struct {
	h     *histogram.FloatHistogram
	vague bool
}

func (s *histogramTotal) add(h *histogram.FloatHistogram) {
	h = h.Copy()
	h.CounterResetHint = histogram.GaugeType
	if s.h == nil {
		s.h = h
		return
	}
	if s.vague || s.h.UsesCustomBuckets() != h.UsesCustomBuckets() {
		s.h = &histogram.FloatHistogram{CounterResetHint: histogram.GaugeType, Count: s.h.Count + h.Count, Sum: s.h.Sum + h.Sum}
		s.vague = true
		return
	}
	if _, _, _, err := s.h.Add(h); err != nil {
		panic(err)
	}
}

func newTold() *told { return &told{low: math.MaxFloat64, high: -math.MaxFloat64} }

// rawWindows is what is to be told of floats and of histograms, by window.
func rawWindows(r block.Resolution, samples []blocktest.Sample) (floats, hists map[int64]*told) {
	floats, hists = map[int64]*told{}, map[int64]*told{}
	of := func(m map[int64]*told, t int64) *told {
		end := floorEnd(t, r)
		if m[end] == nil {
			m[end] = newTold()
		}
		return m[end]
	}
	for _, s := range samples {
		if keptFloat(s) {
			w := of(floats, s.T)
			w.count++
			w.sum += s.F
			w.low, w.high = lesser(s.F, w.low), greater(s.F, w.high)
		} else if h := keptHistogram(s); h != nil {
			w := of(hists, s.T)
			w.count++
			w.hist.add(h)
		}
	}
	return floats, hists
}

func lesser(v, than float64) float64 {
	if v < than {
		return v
	}
	return than
}

func greater(v, than float64) float64 {
	if v > than {
		return v
	}
	return than
}

// toldWindows is what chunks of aggregates tell, by window.
func toldWindows(t testing.TB, r block.Resolution, chunks []block.Chunk) (floats, hists map[int64]*told) {
	t.Helper()
	floats, hists = map[int64]*told{}, map[int64]*told{}
	for _, c := range chunks {
		p := parts(t, c)
		m := floats
		if p.Sum.Encoding() != chunkenc.EncXOR {
			m = hists
		}
		for k, sub := range []chunkenc.Chunk{p.Count, p.Sum, p.Min, p.Max} {
			if sub == nil {
				continue
			}
			for _, s := range decode(t, sub) {
				testutil.Assert(t, c.MinTime <= s.T && s.T <= c.MaxTime, "window at %d in a chunk of [%d, %d]", s.T, c.MinTime, c.MaxTime)
				end := floorEnd(s.T, r)
				if m[end] == nil {
					m[end] = newTold()
				}
				w := m[end]
				switch {
				case k == 0:
					w.count += s.F
				case s.FH != nil:
					w.hist.add(s.FH)
				case k == 1:
					w.sum += s.F
				case k == 2:
					w.low = lesser(s.F, w.low)
				case k == 3:
					w.high = greater(s.F, w.high)
				}
			}
		}
	}
	return floats, hists
}

func parts(t testing.TB, c block.Chunk) blocktest.Aggregates {
	t.Helper()
	p, err := blocktest.SplitAggregates(c)
	testutil.Ok(t, err)
	return p
}

func decode(t testing.TB, c chunkenc.Chunk) []blocktest.Sample {
	t.Helper()
	out, err := blocktest.Samples(block.Chunk{Encoding: c.Encoding(), Data: c.Bytes()})
	testutil.Ok(t, err)
	return out
}

// sameWindows compares what is told with what is to be.
func sameWindows(t testing.TB, want, got map[int64]*told) {
	t.Helper()
	for end, w := range want {
		g := got[end]
		if g == nil {
			t.Fatalf("nothing is told of the window up to %d", end)
		}
		testutil.Equals(t, w.count, g.count, "count of the window up to %d", end)
		if w.hist.h != nil {
			sameHistograms(t, w.hist, g.hist, fmt.Sprintf("sum of the window up to %d", end))
			continue
		}
		testutil.Assert(t, near(w.sum, g.sum, w.count*max(math.Abs(w.low), math.Abs(w.high))), "sum of the window up to %d: %v, not %v", end, g.sum, w.sum)
		testutil.Equals(t, w.low, g.low, "min of the window up to %d", end)
		testutil.Equals(t, w.high, g.high, "max of the window up to %d", end)
	}
	testutil.Equals(t, len(want), len(got))
}

// near reports whether two numbers that were added up in another order are the
// same; scale is what was added up.
func near(a, b, scale float64) bool {
	if a == b || math.IsNaN(a) && math.IsNaN(b) || math.IsInf(scale, 0) {
		return true
	}
	return math.Abs(a-b) <= 1e-9*(math.Abs(a)+math.Abs(b)+scale)
}

// sameHistograms compares histograms bucket by bucket, at the coarser of both
// schemata and with the wider zero bucket of both.
func sameHistograms(t testing.TB, w, g histogramTotal, what string) {
	t.Helper()
	want, got := w.h, g.h
	testutil.Assert(t, got != nil, "%s: missing", what)
	testutil.Assert(t, near(want.Count, got.Count, 0) && near(want.Sum, got.Sum, want.Count), "%s:\n%s, not\n%s", what, got, want)
	if w.vague || g.vague || want.UsesCustomBuckets() || got.UsesCustomBuckets() {
		return
	}
	diff := want.Copy()
	diff.CounterResetHint = histogram.GaugeType
	other := got.Copy()
	other.CounterResetHint = histogram.GaugeType
	_, _, _, err := diff.Sub(other)
	testutil.Ok(t, err)
	for it := diff.AllBucketIterator(); it.Next(); {
		testutil.Assert(t, near(it.At().Count, 0, want.Count), "%s: %s:\n%s, not\n%s", what, it.At(), got, want)
	}
}
