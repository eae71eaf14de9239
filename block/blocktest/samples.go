package blocktest

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
)

// Sample is a sample of a series: a histogram if H is there, one with
// floating-point counts if FH is there, else a float.
type Sample struct {
	T  int64 // ms
	F  float64
	H  *histogram.Histogram
	FH *histogram.FloatHistogram
}

// Type returns which of the three the sample is.
func (s Sample) Type() chunkenc.ValueType {
	switch {
	case s.H != nil:
		return chunkenc.ValHistogram
	case s.FH != nil:
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}

// String returns "time value". Floats that are not the same bit for bit are not
// the same string.
func (s Sample) String() string {
	switch {
	case s.H != nil:
		return fmt.Sprintf("%d h%s hint %d schema %d", s.T, s.H, s.H.CounterResetHint, s.H.Schema)
	case s.FH != nil:
		return fmt.Sprintf("%d f%s hint %d schema %d", s.T, s.FH, s.FH.CounterResetHint, s.FH.Schema)
	case math.IsNaN(s.F):
		return fmt.Sprintf("%d NaN(%#x)", s.T, math.Float64bits(s.F))
	}
	return fmt.Sprintf("%d %v", s.T, s.F)
}

// Chunks encodes samples that ascend in time as Prometheus does: up to 120 a
// chunk, or as many as perChunk says if that is not 0. It panics if the library
// cannot encode a sample.
func Chunks(perChunk int, samples ...Sample) []block.Chunk {
	e := block.ChunkEncoder{PerChunk: perChunk}
	for _, s := range samples {
		var err error
		switch s.Type() {
		case chunkenc.ValHistogram:
			err = e.Histogram(s.T, s.H.Copy())
		case chunkenc.ValFloatHistogram:
			err = e.FloatHistogram(s.T, s.FH.Copy())
		default:
			err = e.Float(s.T, s.F)
		}
		must(err)
	}
	return e.Chunks()
}

// Series returns a series of samples that ascend in time.
func Series(lset labels.Labels, samples ...Sample) block.Series {
	return block.Series{Labels: lset, Chunks: Chunks(0, samples...)}
}

// Floats returns a series of floats, a sample each step ms from start on.
func Floats(lset labels.Labels, start, step int64, vs ...float64) block.Series {
	samples := make([]Sample, len(vs))
	for i, v := range vs {
		samples[i] = Sample{T: start + int64(i)*step, F: v}
	}
	return Series(lset, samples...)
}

// Samples decodes chunks that hold samples, in their order.
//
// Errors: of decoding; aggregates are not samples.
func Samples(chunks ...block.Chunk) ([]Sample, error) {
	var out []Sample
	for _, c := range chunks {
		if c.Encoding == block.EncodingAggregates {
			return nil, fmt.Errorf("chunk of [%d, %d] holds aggregates", c.MinTime, c.MaxTime)
		}
		plain, err := c.Plain()
		if err != nil {
			return nil, err
		}
		if out, err = appendSamples(out, plain[0]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func appendSamples(out []Sample, c chunkenc.Chunk) ([]Sample, error) {
	it := c.Iterator(nil)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		s := Sample{T: it.AtT()}
		switch vt {
		case chunkenc.ValHistogram:
			_, s.H = it.AtHistogram(nil)
		case chunkenc.ValFloatHistogram:
			_, s.FH = it.AtFloatHistogram(nil)
		default:
			_, s.F = it.At()
		}
		out = append(out, s)
	}
	return out, it.Err()
}

// must is for what only a test that is wrong itself can run into.
func must(err error) {
	if err != nil {
		panic(err) //nolint:forbidigo // A builder for tests has nobody to return an error to.
	}
}
