package block

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/recode"
)

// ChunkEncoder encodes the samples of one series into chunks as Prometheus does:
// a new chunk where the type changes, where a histogram does not fit into the one
// before or shows a counter reset, and where a chunk is full. The zero value is
// ready for use.
//
// Concurrency: not safe.
type ChunkEncoder struct {
	// PerChunk is how many samples a chunk has at most, 120 if 0. What is above
	// 65535, which is what a chunk can count to, is taken for that.
	PerChunk int

	enc recode.Encoder
}

// Float appends a float at t, in ms. Times ascend; that is not checked here, but
// where chunks are written. The error is nil.
func (e *ChunkEncoder) Float(t int64, v float64) error {
	e.ready().Float(t, v)
	return nil
}

// Histogram appends a histogram at t, which may be changed so that it fits.
func (e *ChunkEncoder) Histogram(t int64, h *histogram.Histogram) error {
	return e.ready().Histogram(t, h)
}

// FloatHistogram appends a histogram with floating-point counts at t, which may
// be changed so that it fits.
func (e *ChunkEncoder) FloatHistogram(t int64, h *histogram.FloatHistogram) error {
	return e.ready().FloatHistogram(t, h)
}

// Sample appends the sample that an iterator stands on.
func (e *ChunkEncoder) Sample(vt chunkenc.ValueType, it chunkenc.Iterator) error {
	switch vt {
	case chunkenc.ValFloat, chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
		return e.ready().Sample(vt, it)
	default:
		return fmt.Errorf("encode sample of type %s: %w", vt, ErrUnsupported)
	}
}

// Chunks returns the chunks of all samples since the last call. They are the
// caller's.
func (e *ChunkEncoder) Chunks() []Chunk {
	encoded := e.enc.Chunks()
	if len(encoded) == 0 {
		return nil
	}
	out := make([]Chunk, len(encoded))
	for i, c := range encoded {
		out[i] = Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Encoding, Data: c.Data}
	}
	return out
}

func (e *ChunkEncoder) ready() *recode.Encoder {
	e.enc.PerChunk = e.PerChunk
	return &e.enc
}
