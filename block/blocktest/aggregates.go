package blocktest

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/promcompat"
)

// Aggregates are the chunks in one chunk of downsampled data. One that is nil is
// absent.
type Aggregates struct {
	Count, Sum, Min, Max, Counter chunkenc.Chunk
}

// AggregateChunk makes a chunk of downsampled data. Its range is that of the
// windows, in ms, both inclusive.
func AggregateChunk(minTime, maxTime int64, a Aggregates) block.Chunk {
	var c aggr.Chunk
	for k, sub := range []chunkenc.Chunk{a.Count, a.Sum, a.Min, a.Max, a.Counter} {
		if sub != nil {
			c[k] = aggr.Sub{Encoding: sub.Encoding(), Data: sub.Bytes()}
		}
	}
	return block.Chunk{MinTime: minTime, MaxTime: maxTime, Encoding: block.EncodingAggregates, Data: c.Append(nil)}
}

// SplitAggregates takes a chunk of downsampled data apart.
func SplitAggregates(c block.Chunk) (Aggregates, error) {
	if c.Encoding != block.EncodingAggregates {
		return Aggregates{}, fmt.Errorf("chunk of [%d, %d] holds no aggregates", c.MinTime, c.MaxTime)
	}
	p, err := c.Plain()
	if err != nil {
		return Aggregates{}, err
	}
	return Aggregates{Count: p[aggr.Count], Sum: p[aggr.Sum], Min: p[aggr.Min], Max: p[aggr.Max], Counter: p[aggr.CounterKind]}, nil
}

// windowsPerChunk is how many windows a chunk of aggregates has at most here,
// about as many as Thanos puts into one.
const windowsPerChunk = 140

// Downsample makes aggregates of raw series: a window each resolution, aligned
// to it, known by its last ms or by its last sample if that is the last of its
// chunk; a chunk ends where the schema of histograms changes. NaN and stale
// markers are left out. Of the types that a series has only the first counts. The
// resolution is not Raw.
//
// The counter of floats begins with the first raw value, rises by what the raw
// one does with resets undone, and ends with the last raw value a second time at
// the last window. Histograms have count, sum and counter, all but the first of
// floating-point histograms.
//
// It is a plain rendering of Thanos' format for tests of readers. It is not what
// Thanos makes bit for bit. It panics on chunks that do not decode.
func Downsample(resolution block.Resolution, series ...block.Series) []block.Series {
	out := make([]block.Series, len(series))
	for i, s := range series {
		samples, err := Samples(s.Chunks...)
		must(err)
		out[i] = block.Series{Labels: s.Labels, Chunks: aggregateChunks(int64(resolution), samples)}
	}
	return out
}

func aggregateChunks(r int64, samples []Sample) []block.Chunk {
	var kept []Sample
	for _, s := range samples {
		if s.Type() == chunkenc.ValFloat && math.IsNaN(s.F) {
			continue
		}
		if len(kept) == 0 || (kept[0].Type() == chunkenc.ValFloat) == (s.Type() == chunkenc.ValFloat) {
			kept = append(kept, s)
		}
	}
	var out []block.Chunk
	for len(kept) > 0 {
		n, windows := 0, 0
		for n < len(kept) {
			if n == 0 || windowEnd(kept[n].T, r) != windowEnd(kept[n-1].T, r) {
				if windows == windowsPerChunk {
					break
				}
				windows++
			}
			if schema(kept[n]) != schema(kept[0]) {
				break
			}
			n++
		}
		out = append(out, aggregate(r, kept[:n]))
		kept = kept[n:]
	}
	return out
}

// schema is that of a histogram: a chunk has but one.
func schema(s Sample) int32 {
	if s.Type() == chunkenc.ValFloat {
		return 0
	}
	return asFloats(s).Schema
}

// windowEnd is the last ms of the window that t is in.
func windowEnd(t, r int64) int64 { return t - ((t%r)+r)%r + r - 1 }

// aggregate makes one chunk of samples of one type.
func aggregate(r int64, samples []Sample) block.Chunk {
	last := samples[len(samples)-1].T
	var windows [][]Sample
	for i, s := range samples {
		if i == 0 || windowEnd(s.T, r) != windowEnd(samples[i-1].T, r) {
			windows = append(windows, nil)
		}
		windows[len(windows)-1] = append(windows[len(windows)-1], s)
	}
	at := func(i int) int64 { return min(windowEnd(windows[i][0].T, r), last) }
	a := Aggregates{}
	count := make([]Sample, len(windows))
	for i, w := range windows {
		count[i] = Sample{T: at(i), F: float64(len(w))}
	}
	a.Count = oneChunk(count)
	if samples[0].Type() == chunkenc.ValFloat {
		aggregateFloats(&a, samples, windows, at)
	} else {
		aggregateHistograms(&a, windows, at)
	}
	return AggregateChunk(at(0), at(len(windows)-1), a)
}

func aggregateFloats(a *Aggregates, samples []Sample, windows [][]Sample, at func(int) int64) {
	var sum, low, high []Sample
	counter := []Sample{{T: samples[0].T, F: samples[0].F}}
	total, prev := samples[0].F, samples[0].F
	for i, w := range windows {
		s := Sample{T: at(i)}
		lo, hi := math.Inf(1), math.Inf(-1)
		for _, x := range w {
			s.F += x.F
			lo, hi = min(lo, x.F), max(hi, x.F)
			if x.F >= prev {
				total += x.F - prev
			} else {
				total += x.F
			}
			prev = x.F
		}
		sum = append(sum, s)
		low, high = append(low, Sample{T: s.T, F: lo}), append(high, Sample{T: s.T, F: hi})
		if i > 0 || s.T > counter[0].T {
			counter = append(counter, Sample{T: s.T, F: total})
		}
	}
	counter = append(counter, Sample{T: at(len(windows) - 1), F: prev})
	a.Sum, a.Min, a.Max, a.Counter = oneChunk(sum), oneChunk(low), oneChunk(high), oneChunk(counter)
}

func aggregateHistograms(a *Aggregates, windows [][]Sample, at func(int) int64) {
	var sum, counter []Sample
	for i, w := range windows {
		total := asFloats(w[0]).Copy()
		for _, x := range w[1:] {
			next := asFloats(x).Copy()
			next.CounterResetHint, total.CounterResetHint = histogram.GaugeType, histogram.GaugeType
			t, _, _, err := total.Add(next)
			must(err)
			total = t
		}
		total.CounterResetHint = histogram.GaugeType
		sum = append(sum, Sample{T: at(i), FH: total.Compact(0)})
		counter = append(counter, Sample{T: at(i), FH: asFloats(w[len(w)-1])})
	}
	a.Sum, a.Counter = oneChunk(sum), oneChunk(counter)
}

func asFloats(s Sample) *histogram.FloatHistogram {
	if s.H != nil {
		return s.H.ToFloat(nil)
	}
	return s.FH
}

// oneChunk encodes samples of one type into a single chunk. Histograms are gauges
// in it: only those are never cut.
func oneChunk(samples []Sample) chunkenc.Chunk {
	c, err := promcompat.NewChunk(samples[0].Type())
	must(err)
	app, err := promcompat.NewAppender(c)
	must(err)
	for _, s := range samples {
		if s.FH == nil {
			app.Append(s.T, s.F)
			continue
		}
		h := s.FH.Copy()
		h.CounterResetHint = histogram.GaugeType
		next, _, err := app.AppendFloatHistogram(nil, s.T, h, false)
		must(err)
		if next != nil {
			c = next
		}
	}
	return c
}
