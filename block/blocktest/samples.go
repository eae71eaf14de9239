package blocktest

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/promcompat"
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

// samplesPerChunk is how many samples Prometheus puts into a chunk.
const samplesPerChunk = 120

// Chunks encodes samples that ascend in time as Prometheus does: up to 120 a
// chunk, or as many as perChunk says if that is not 0, and a new chunk where the
// type changes and where a histogram does not fit into the one before. It panics
// if the library cannot encode a sample.
func Chunks(perChunk int, samples ...Sample) []block.Chunk {
	if perChunk == 0 {
		perChunk = samplesPerChunk
	}
	e := &chunker{perChunk: perChunk}
	for _, s := range samples {
		e.add(s)
	}
	e.cut()
	return e.out
}

type chunker struct {
	perChunk int
	out      []block.Chunk

	chunk    chunkenc.Chunk
	app      *promcompat.Appender
	vt       chunkenc.ValueType
	min, max int64
}

func (e *chunker) cut() {
	if e.chunk != nil {
		e.out = append(e.out, block.Chunk{MinTime: e.min, MaxTime: e.max, Encoding: e.chunk.Encoding(), Data: e.chunk.Bytes()})
	}
	e.chunk = nil
}

func (e *chunker) open(vt chunkenc.ValueType, t int64) {
	c, err := promcompat.NewChunk(vt)
	if err != nil {
		panic(err)
	}
	app, err := promcompat.NewAppender(c)
	if err != nil {
		panic(err)
	}
	e.chunk, e.app, e.vt, e.min = c, app, vt, t
}

func (e *chunker) add(s Sample) {
	vt := s.Type()
	prev := e.app
	if e.chunk != nil && (e.vt != vt || e.chunk.NumSamples() >= e.perChunk) {
		e.cut()
	}
	if e.chunk == nil {
		e.open(vt, s.T)
	} else {
		prev = nil
	}
	var (
		next    chunkenc.Chunk
		recoded bool
		err     error
	)
	switch vt {
	case chunkenc.ValHistogram:
		next, recoded, err = e.app.AppendHistogram(prev, s.T, s.H.Copy(), false)
	case chunkenc.ValFloatHistogram:
		next, recoded, err = e.app.AppendFloatHistogram(prev, s.T, s.FH.Copy(), false)
	default:
		e.app.Append(s.T, s.F)
	}
	if err != nil {
		panic(err)
	}
	if next != nil {
		if !recoded {
			e.cut()
			e.min = s.T
		}
		e.chunk = next
	}
	e.max = s.T
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
