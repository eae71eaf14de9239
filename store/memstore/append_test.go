package memstore_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

var up = labels.FromStrings("__name__", "up", "job", "node")

func TestAppendCutsChunks(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	var want []string
	for i := range int64(250) {
		testutil.Ok(t, s.Append(up, i*1000, float64(i)))
		want = append(want, point(i*1000, float64(i)))
	}
	got := collect(t, &s, everything())
	testutil.Equals(t, 1, len(got))
	testutil.Equals(t, want, points(t, got[0].Chunks))
	testutil.Equals(t, 3, len(got[0].Chunks))
	for i, n := range []int{120, 120, 10} {
		c, err := got[0].Chunks[i].Raw.Chunk()
		testutil.Ok(t, err)
		testutil.Equals(t, n, c.NumSamples())
	}
}

// TestAppendKinds appends samples that change kind and layout, and reads them
// back as they were.
func TestAppendKinds(t *testing.T) {
	t.Parallel()
	stale := math.Float64frombits(value.StaleNaN)
	gauge := tsdbutil.GenerateTestGaugeHistogram(2)
	custom := &histogram.Histogram{
		Schema: histogram.CustomBucketsSchema, Count: 5, Sum: 18.4,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{2, 1}, CustomValues: []float64{1, 10},
	}
	wider := tsdbutil.GenerateTestHistogram(7)
	wider.PositiveSpans = append(wider.PositiveSpans, histogram.Span{Offset: 3, Length: 1})
	wider.PositiveBuckets = append(wider.PositiveBuckets, 0)
	wider.Count += uint64(wider.PositiveBuckets[0] + wider.PositiveBuckets[1] + wider.PositiveBuckets[2] + wider.PositiveBuckets[3])

	samples := []any{
		1.0, 2.0,
		tsdbutil.GenerateTestHistogram(1), tsdbutil.GenerateTestHistogram(2),
		tsdbutil.GenerateTestFloatHistogram(3),
		tsdbutil.GenerateTestHistogram(6), wider, // more buckets: recoded
		tsdbutil.GenerateTestHistogram(2), // fewer: a reset
		gauge, custom,
		&histogram.Histogram{Sum: stale}, &histogram.FloatHistogram{Sum: stale},
		tsdbutil.GenerateTestGaugeFloatHistogram(4),
		stale, math.Inf(1), 3.0,
	}
	var s memstore.Store
	for i, x := range samples {
		ts := int64(i)
		switch x := x.(type) {
		case float64:
			testutil.Ok(t, s.Append(up, ts, x))
		case *histogram.Histogram:
			before := x.Copy()
			testutil.Ok(t, s.AppendHistogram(up, ts, x))
			testutil.Assert(t, before.Equals(x), "the caller's histogram changed at %d", i)
		case *histogram.FloatHistogram:
			before := x.Copy()
			testutil.Ok(t, s.AppendFloatHistogram(up, ts, x))
			testutil.Assert(t, before.Equals(x), "the caller's histogram changed at %d", i)
		}
	}
	got := collect(t, &s, everything())
	testutil.Equals(t, 1, len(got))
	i := 0
	for _, c := range got[0].Chunks {
		dec, err := c.Raw.Chunk()
		testutil.Ok(t, err)
		it := dec.Iterator(nil)
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			testutil.Equals(t, int64(i), it.AtT())
			switch want := samples[i].(type) {
			case float64:
				_, v := it.At()
				testutil.Equals(t, math.Float64bits(want), math.Float64bits(v))
			case *histogram.Histogram:
				_, h := it.AtHistogram(nil)
				testutil.Equals(t, want.Copy().Compact(0).String(), h.Compact(0).String())
			case *histogram.FloatHistogram:
				_, h := it.AtFloatHistogram(nil)
				testutil.Equals(t, want.Copy().Compact(0).String(), h.Compact(0).String())
			}
			i++
		}
		testutil.Ok(t, it.Err())
	}
	testutil.Equals(t, len(samples), i)
}

// TestAppendCounterResetHeaders checks what readers of histogram chunks rely on:
// whether the counter was reset between one chunk and the next.
func TestAppendCounterResetHeaders(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		// value of the histogram at i
		value  func(i int) int
		float  bool
		counts []int
		want   []chunkenc.CounterResetHeader
	}{
		"growing counter": {
			value: func(i int) int { return i }, counts: []int{120, 30},
			want: []chunkenc.CounterResetHeader{chunkenc.UnknownCounterReset, chunkenc.NotCounterReset},
		},
		"growing float counter": {
			value: func(i int) int { return i }, float: true, counts: []int{120, 30},
			want: []chunkenc.CounterResetHeader{chunkenc.UnknownCounterReset, chunkenc.NotCounterReset},
		},
		"reset within a chunk": {
			value: func(i int) int { return i % 100 }, counts: []int{100, 50},
			want: []chunkenc.CounterResetHeader{chunkenc.UnknownCounterReset, chunkenc.CounterReset},
		},
		"reset where a chunk is cut": {
			value: func(i int) int { return i % 120 }, counts: []int{120, 30},
			want: []chunkenc.CounterResetHeader{chunkenc.UnknownCounterReset, chunkenc.CounterReset},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s memstore.Store
			for i := range 150 {
				if tc.float {
					testutil.Ok(t, s.AppendFloatHistogram(up, int64(i), tsdbutil.GenerateTestFloatHistogram(int64(tc.value(i)))))
				} else {
					testutil.Ok(t, s.AppendHistogram(up, int64(i), tsdbutil.GenerateTestHistogram(int64(tc.value(i)))))
				}
			}
			got := collect(t, &s, everything())[0]
			var headers []chunkenc.CounterResetHeader
			var counts []int
			for _, c := range got.Chunks {
				dec, err := c.Raw.Chunk()
				testutil.Ok(t, err)
				headers = append(headers, dec.(interface {
					GetCounterResetHeader() chunkenc.CounterResetHeader
				}).GetCounterResetHeader())
				counts = append(counts, dec.NumSamples())
			}
			testutil.Equals(t, tc.counts, counts)
			testutil.Equals(t, tc.want, headers)
		})
	}
}

func TestAppendErrors(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	testutil.Ok(t, s.Append(up, 1000, 1))
	for name, err := range map[string]error{
		"same time":        s.Append(up, 1000, 1),
		"earlier":          s.Append(up, 999, 1),
		"earlier, of kind": s.AppendHistogram(up, 500, tsdbutil.GenerateTestHistogram(1)),
	} {
		testutil.Assert(t, errors.Is(err, memstore.ErrOutOfOrder), "%s: %v", name, err)
	}
	bad := &histogram.Histogram{Count: 10} // counts do not add up
	testutil.NotOk(t, s.AppendHistogram(up, 2000, bad))
	testutil.NotOk(t, s.AppendFloatHistogram(up, 2000, &histogram.FloatHistogram{Count: -1}))
	testutil.Equals(t, []string{point(1000, 1.0)}, points(t, collect(t, &s, everything())[0].Chunks))

	// A failed append makes no series.
	testutil.NotOk(t, s.AppendHistogram(labels.FromStrings("job", "new"), 1, bad))
	testutil.Equals(t, 1, len(collect(t, &s, everything())))
}

func TestAppendLabels(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	testutil.Ok(t, s.Append(labels.FromStrings("a", "1", "b", ""), 1, 1))
	testutil.Ok(t, s.Append(labels.FromStrings("a", "1"), 2, 2))
	sb := labels.NewScratchBuilder(2)
	sb.Add("b", "1")
	sb.Add("a", "1") // not sorted
	testutil.Assert(t, errors.Is(s.Append(sb.Labels(), 3, 3), store.ErrMalformed))
	sb.Reset()
	sb.Add("a", "1")
	sb.Add("a", "2")
	testutil.Assert(t, errors.Is(s.AddSeries(&store.Series{Labels: sb.Labels(), Chunks: []store.Chunk{chunk(t, 1)}}), store.ErrMalformed))

	got := collect(t, &s, everything())
	testutil.Equals(t, []string{`{a="1"}`}, names(got))
	testutil.Equals(t, []string{point(1, 1.0), point(2, 2.0)}, points(t, got[0].Chunks))
}

func TestAddSeries(t *testing.T) {
	t.Parallel()
	var s memstore.Store
	testutil.Ok(t, s.Append(up, 25, 0))
	in := &store.Series{Labels: up, Chunks: []store.Chunk{chunk(t, 30, 40), chunk(t, 10, 20), chunk(t, 10, 15)}}
	testutil.Ok(t, s.AddSeries(in))
	testutil.Ok(t, s.AddSeries(&store.Series{Labels: labels.FromStrings("no", "chunks")}))
	for i := range in.Chunks { // what was added is a copy
		clear(in.Chunks[i].Raw.Bytes)
	}
	testutil.Assert(t, errors.Is(s.Append(up, 40, 1), memstore.ErrOutOfOrder))
	testutil.Ok(t, s.Append(up, 41, 1))
	testutil.Ok(t, s.Append(up, 42, 2))

	got := collect(t, &s, everything())
	testutil.Equals(t, []string{up.String()}, names(got))
	want := []string{
		point(10, 10.0), point(15, 15.0), point(10, 10.0), point(20, 20.0), point(25, 0.0),
		point(30, 30.0), point(40, 40.0), point(41, 1.0), point(42, 2.0),
	}
	testutil.Equals(t, want, points(t, got[0].Chunks))
	for _, c := range got[0].Chunks { // what is sent is a copy
		clear(c.Raw.Bytes)
	}
	testutil.Equals(t, want, points(t, collect(t, &s, everything())[0].Chunks))
}

func TestAddSeriesErrors(t *testing.T) {
	t.Parallel()
	raw, agg := chunk(t, 10, 20), aggregated(t, 10, 20)
	both := agg
	both.Raw = raw.Raw
	backwards := raw
	backwards.MinTime = 30
	strange := raw
	strange.Raw.Encoding = 99
	strangeAggregate := agg
	strangeAggregate.Aggregated = &store.AggregatedChunk{Sum: strange.Raw}
	empty := store.Chunk{MinTime: 10, MaxTime: 20}
	emptyAggregate := empty
	emptyAggregate.Aggregated = &store.AggregatedChunk{}

	for name, tc := range map[string]struct {
		resolution time.Duration
		chunk      store.Chunk
		want       error
	}{
		"aggregates as raw":             {0, agg, store.ErrMalformed},
		"raw with aggregates":           {0, both, store.ErrMalformed},
		"aggregates with raw":           {time.Minute, both, store.ErrMalformed},
		"raw as aggregates":             {time.Minute, raw, store.ErrMalformed},
		"negative resolution":           {-time.Minute, agg, store.ErrMalformed},
		"ends before it begins":         {0, backwards, store.ErrMalformed},
		"no data":                       {0, empty, store.ErrMalformed},
		"no aggregate":                  {time.Minute, emptyAggregate, store.ErrMalformed},
		"unknown encoding":              {0, strange, store.ErrEncoding},
		"unknown encoding of aggregate": {time.Minute, strangeAggregate, store.ErrEncoding},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s memstore.Store
			series := &store.Series{Labels: up, Chunks: []store.Chunk{tc.chunk}}
			add := s.AddSeries
			if tc.resolution != 0 {
				add = func(in *store.Series) error { return s.AddDownsampled(tc.resolution, in) }
			}
			err := add(series)
			testutil.Assert(t, errors.Is(err, tc.want), "%v", err)
			testutil.Equals(t, 0, len(collect(t, &s, everything())))
		})
	}
	var s memstore.Store
	testutil.Assert(t, errors.Is(s.AddDownsampled(0, &store.Series{}), store.ErrMalformed))
}
