package promcompat_test

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
)

func ExampleNewAppender() {
	chunk := chunkenc.NewXORChunk()
	app, err := promcompat.NewAppender(chunk)
	if err != nil {
		fmt.Println(err)
		return
	}
	app.Append(1000, 1.5)
	app.Append(2000, 2.5)

	for it := chunk.Iterator(nil); it.Next() != chunkenc.ValNone; {
		fmt.Println(it.At())
	}
	// Output:
	// 1000 1.5
	// 2000 2.5
}

func TestAppendFloats(t *testing.T) {
	t.Parallel()
	type sample struct {
		T    int64
		Bits uint64
	}
	want := []sample{
		{T: math.MinInt64 / 2, Bits: math.Float64bits(-1)},
		{T: -15000, Bits: 0x7ff0000000000002}, // The stale marker.
		{T: 0, Bits: math.Float64bits(math.Inf(1))},
		{T: 15001, Bits: math.Float64bits(math.Copysign(0, -1))},
		{T: 30000, Bits: math.Float64bits(math.MaxFloat64)},
	}
	c, err := promcompat.NewChunk(chunkenc.ValFloat)
	testutil.Ok(t, err)
	// A second appender continues where the first stopped.
	for _, part := range [][]sample{want[:2], want[2:]} {
		app, err := promcompat.NewAppender(c)
		testutil.Ok(t, err)
		for _, s := range part {
			app.Append(s.T, math.Float64frombits(s.Bits))
		}
	}

	var got []sample
	it := c.Iterator(nil)
	for it.Next() == chunkenc.ValFloat {
		ts, v := it.At()
		got = append(got, sample{T: ts, Bits: math.Float64bits(v)})
		testutil.Equals(t, int64(0), promcompat.StartTimestamp(it))
	}
	testutil.Ok(t, it.Err())
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("samples differ (-want +got):\n%s", d)
	}
}

// hist is a histogram of n observations in each of buckets buckets.
func hist(buckets int, n int64) *histogram.Histogram {
	h := &histogram.Histogram{
		Count:         uint64(int64(buckets) * n),
		Sum:           float64(n),
		ZeroThreshold: 1e-128,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: uint32(buckets)}},
	}
	for i := range buckets {
		if i == 0 {
			h.PositiveBuckets = append(h.PositiveBuckets, n)
		} else {
			h.PositiveBuckets = append(h.PositiveBuckets, 0)
		}
	}
	return h
}

// appendAs appends h as it is, or with floating-point counts.
func appendAs(float bool, app, prev *promcompat.Appender, t int64, h *histogram.Histogram, appendOnly bool) (chunkenc.Chunk, bool, error) {
	if float {
		return app.AppendFloatHistogram(prev, t, h.ToFloat(nil), appendOnly)
	}
	return app.AppendHistogram(prev, t, h, appendOnly)
}

func resetHeader(t *testing.T, c chunkenc.Chunk) chunkenc.CounterResetHeader {
	t.Helper()
	h, ok := c.(interface {
		GetCounterResetHeader() chunkenc.CounterResetHeader
	})
	testutil.Assert(t, ok, "%T has no counter-reset header", c)
	return h.GetCounterResetHeader()
}

func TestAppendHistograms(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		typ   chunkenc.ValueType
		float bool
	}{
		{name: "integer counts", typ: chunkenc.ValHistogram},
		{name: "floating-point counts", typ: chunkenc.ValFloatHistogram, float: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			first, err := promcompat.NewChunk(tc.typ)
			testutil.Ok(t, err)
			app, err := promcompat.NewAppender(first)
			testutil.Ok(t, err)

			c, recoded, err := appendAs(tc.float, app, nil, 1000, hist(2, 5), false)
			testutil.Ok(t, err)
			testutil.Assert(t, c == nil && !recoded, "the first sample fits the chunk")

			// More buckets than the chunk's layout has: the chunk is written anew.
			c, recoded, err = appendAs(tc.float, app, nil, 2000, hist(3, 6), false)
			testutil.Ok(t, err)
			testutil.Assert(t, c != nil && recoded, "a wider histogram recodes the chunk")
			testutil.Equals(t, 2, c.NumSamples())

			// Smaller counts: a reset, which starts a chunk.
			_, _, err = appendAs(tc.float, app, nil, 3000, hist(3, 1), true)
			testutil.NotOk(t, err)
			after, recoded, err := appendAs(tc.float, app, nil, 3000, hist(3, 1), false)
			testutil.Ok(t, err)
			testutil.Assert(t, after != nil && !recoded, "a reset starts a chunk")
			testutil.Equals(t, chunkenc.CounterReset, resetHeader(t, after))

			// The appender has moved on to that chunk.
			next, _, err := appendAs(tc.float, app, nil, 4000, hist(3, 2), false)
			testutil.Ok(t, err)
			testutil.Assert(t, next == nil, "a larger histogram fits the chunk")
			testutil.Equals(t, 2, after.NumSamples())
		})
	}
}

// TestPreviousAppender cuts a chunk by hand, as one does when it is full: the
// appender of the chunk before decides the header of the next.
func TestPreviousAppender(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		prev int64 // Observations per bucket in the chunk before; 0 is no such chunk.
		want chunkenc.CounterResetHeader
	}{
		{name: "none", want: chunkenc.UnknownCounterReset},
		{name: "smaller", prev: 3, want: chunkenc.NotCounterReset},
		{name: "larger", prev: 9, want: chunkenc.CounterReset},
	} {
		for _, typ := range []chunkenc.ValueType{chunkenc.ValHistogram, chunkenc.ValFloatHistogram} {
			t.Run(fmt.Sprintf("%s/%s", tc.name, typ), func(t *testing.T) {
				t.Parallel()
				float := typ == chunkenc.ValFloatHistogram
				open := func() (chunkenc.Chunk, *promcompat.Appender) {
					c, err := promcompat.NewChunk(typ)
					testutil.Ok(t, err)
					app, err := promcompat.NewAppender(c)
					testutil.Ok(t, err)
					return c, app
				}
				var prev *promcompat.Appender
				if tc.prev > 0 {
					_, prev = open()
					_, _, err := appendAs(float, prev, nil, 1000, hist(2, tc.prev), false)
					testutil.Ok(t, err)
				}
				c, app := open()
				_, _, err := appendAs(float, app, prev, 2000, hist(2, 5), false)
				testutil.Ok(t, err)
				testutil.Equals(t, tc.want, resetHeader(t, c))
			})
		}
	}
}

// TestPreviousOfAnotherEncoding: a series that turns from floats to histograms
// has an appender before that cannot tell a reset.
func TestPreviousOfAnotherEncoding(t *testing.T) {
	t.Parallel()
	floats, err := promcompat.NewAppender(chunkenc.NewXORChunk())
	testutil.Ok(t, err)
	c := chunkenc.NewHistogramChunk()
	app, err := promcompat.NewAppender(c)
	testutil.Ok(t, err)
	_, _, err = app.AppendHistogram(floats, 1000, hist(2, 5), false)
	testutil.Ok(t, err)
	testutil.Equals(t, chunkenc.UnknownCounterReset, c.GetCounterResetHeader())
}

func TestNewChunk(t *testing.T) {
	t.Parallel()
	for typ, want := range map[chunkenc.ValueType]chunkenc.Encoding{
		chunkenc.ValFloat:          chunkenc.EncXOR,
		chunkenc.ValHistogram:      chunkenc.EncHistogram,
		chunkenc.ValFloatHistogram: chunkenc.EncFloatHistogram,
	} {
		c, err := promcompat.NewChunk(typ)
		testutil.Ok(t, err)
		testutil.Equals(t, want, c.Encoding())
		testutil.Equals(t, 0, c.NumSamples())
		testutil.Assert(t, promcompat.PlainEncoding(c.Encoding()), "the StoreAPI carries %s", c.Encoding())
	}
	_, err := promcompat.NewChunk(chunkenc.ValNone)
	testutil.NotOk(t, err)
}

func TestPlainEncoding(t *testing.T) {
	t.Parallel()
	// The encodings added since v0.309 have the numbers 4, 5 and 6 on disk.
	for e, want := range map[chunkenc.Encoding]bool{0: false, 1: true, 2: true, 3: true, 4: false, 5: false, 6: false, 255: false} {
		testutil.Equals(t, want, promcompat.PlainEncoding(e))
	}
}

// startIterator stands on a sample that has a start timestamp, in every version.
type startIterator struct{ chunkenc.Iterator }

func (startIterator) AtST() int64 { return 42 }

func TestStartTimestamp(t *testing.T) {
	t.Parallel()
	testutil.Equals(t, int64(42), promcompat.StartTimestamp(startIterator{}))
	testutil.Equals(t, int64(0), promcompat.StartTimestamp(chunkenc.NewXORChunk().Iterator(nil)))
}

// brokenChunk has an appender that cannot be used, or none.
type brokenChunk struct {
	*chunkenc.XORChunk
	err error
}

func (c brokenChunk) Appender() (chunkenc.Appender, error) { return nil, c.err }

func TestNewAppenderErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("bytes end early")
	_, err := promcompat.NewAppender(brokenChunk{chunkenc.NewXORChunk(), cause})
	testutil.Assert(t, errors.Is(err, cause), "got %v", err)

	_, err = promcompat.NewAppender(brokenChunk{chunkenc.NewXORChunk(), nil})
	testutil.Assert(t, errors.Is(err, promcompat.ErrUnknownAppender), "got %v", err)
}

func BenchmarkAppendFloat(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		app, err := promcompat.NewAppender(chunkenc.NewXORChunk())
		if err != nil {
			b.Fatal(err)
		}
		for i := range int64(120) {
			app.Append(i*15000, float64(i))
		}
	}
	b.ReportMetric(float64(120*b.N)/b.Elapsed().Seconds(), "samples/s")
}
