package recode_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"

	"github.com/thanoskit/thanoskit/internal/recode"
)

func ExampleEncoder() {
	e := recode.Encoder{PerChunk: 2}
	e.Floats([]int64{0, 15_000, 30_000}, []float64{1, 2, 3})
	if err := e.Histogram(45_000, tsdbutil.GenerateTestHistogram(1)); err != nil {
		fmt.Println(err)
	}
	for _, c := range e.Chunks() {
		n, err := recode.Samples(c.Encoding, c.Data)
		fmt.Println(c.MinTime, c.MaxTime, c.Encoding, n, err)
	}
	// Output:
	// 0 15000 XOR 2 <nil>
	// 30000 30000 XOR 1 <nil>
	// 45000 45000 histogram 1 <nil>
}

// sample is one of any kind, for storage's list series too.
type sample struct {
	t  int64
	v  float64
	h  *histogram.Histogram
	fh *histogram.FloatHistogram
}

func (s sample) T() int64                      { return s.t }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return s.h }
func (s sample) FH() *histogram.FloatHistogram { return s.fh }
func (s sample) Type() chunkenc.ValueType {
	switch {
	case s.h != nil:
		return chunkenc.ValHistogram
	case s.fh != nil:
		return chunkenc.ValFloatHistogram
	default:
		return chunkenc.ValFloat
	}
}

func (s sample) Copy() chunks.Sample {
	switch {
	case s.h != nil:
		s.h = s.h.Copy()
	case s.fh != nil:
		s.fh = s.fh.Copy()
	}
	return s
}

// TestEncoderAsPrometheus: the chunks are those of Prometheus' own encoder of
// series, header and all.
func TestEncoderAsPrometheus(t *testing.T) {
	t.Parallel()
	var samples []chunks.Sample
	add := func(s sample) {
		s.t = int64(len(samples)) * 15_000
		samples = append(samples, s)
	}
	for i := range 130 { // a full chunk, and a stale marker
		add(sample{v: float64(i * i)})
	}
	add(sample{v: math.Float64frombits(0x7ff0000000000002)})
	for i := range 125 { // rising counters, over a cut
		add(sample{h: tsdbutil.GenerateTestHistogram(int64(i))})
	}
	add(sample{h: tsdbutil.GenerateTestHistogram(3)}) // a reset
	add(sample{fh: tsdbutil.GenerateTestFloatHistogram(4)})
	for i := range 3 {
		add(sample{h: tsdbutil.GenerateTestGaugeHistogram(int64(9 - i))})
	}
	add(sample{h: tsdbutil.GenerateTestCustomBucketsHistogram(1)})
	wide := tsdbutil.GenerateTestFloatHistogram(5)
	add(sample{fh: wide.Copy()})
	wide.PositiveSpans[1].Length++ // another bucket: the chunk is encoded anew
	wide.PositiveBuckets = append(wide.PositiveBuckets, 7)
	add(sample{fh: wide})
	add(sample{v: 1})

	var want []chunks.Meta
	it := storage.NewSeriesToChunkEncoder(storage.NewListSeries(labels.EmptyLabels(), samples)).Iterator(nil)
	for it.Next() {
		want = append(want, it.At())
	}
	testutil.Ok(t, it.Err())

	var e recode.Encoder
	for range 2 { // and again in the same memory
		list := storage.NewListSeries(labels.EmptyLabels(), samples).Iterator(nil)
		for vt := list.Next(); vt != chunkenc.ValNone; vt = list.Next() {
			if vt == chunkenc.ValHistogram { // which may be changed
				ts, h := list.AtHistogram(nil)
				testutil.Ok(t, e.Histogram(ts, h.Copy()))
				continue
			}
			if vt == chunkenc.ValFloatHistogram {
				ts, h := list.AtFloatHistogram(nil)
				testutil.Ok(t, e.FloatHistogram(ts, h.Copy()))
				continue
			}
			testutil.Ok(t, e.Sample(vt, list))
		}
		got := e.Chunks()
		testutil.Equals(t, len(want), len(got))
		for i, w := range want {
			testutil.Equals(t, w.MinTime, got[i].MinTime)
			testutil.Equals(t, w.MaxTime, got[i].MaxTime)
			testutil.Equals(t, w.Chunk.Encoding(), got[i].Encoding)
			data, bytes := slices.Clone(got[i].Data), w.Chunk.Bytes()
			if w.Chunk.Encoding() != chunkenc.EncXOR && chunkenc.CounterResetHeader(bytes[2]) == chunkenc.UnknownCounterReset {
				// Prometheus' encoder does not look at the chunk before one that was full, its
				// head does.
				data[2] &^= chunkenc.CounterResetHeaderMask
			}
			testutil.Equals(t, bytes, data, "chunk %d", i)
		}
	}
}

func TestEncoderOtherTypes(t *testing.T) {
	t.Parallel()
	var e recode.Encoder
	err := e.Sample(chunkenc.ValNone, nil)
	testutil.Assert(t, errors.Is(err, recode.ErrValueType), "%v", err)
	testutil.Equals(t, 0, len(e.Chunks()))
	e.PerChunk = 1 << 20 // more than can be counted
	ts := make([]int64, math.MaxUint16+1)
	e.Floats(ts, make([]float64, len(ts)))
	testutil.Equals(t, 2, len(e.Chunks()))
}
