package block

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
)

// samplesPerChunk is how many samples Prometheus puts into a chunk.
const samplesPerChunk = 120

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

	out      []Chunk
	chunk    chunkenc.Chunk
	app      *promcompat.Appender
	vt       chunkenc.ValueType
	n        int
	min, max int64
}

// Float appends a float at t, in ms. Times ascend; that is not checked here, but
// where chunks are written.
func (e *ChunkEncoder) Float(t int64, v float64) error {
	if _, err := e.ready(chunkenc.ValFloat, t); err != nil {
		return err
	}
	e.app.Append(t, v)
	e.appended(t)
	return nil
}

// Histogram appends a histogram at t, which may be changed so that it fits.
func (e *ChunkEncoder) Histogram(t int64, h *histogram.Histogram) error {
	prev, err := e.ready(chunkenc.ValHistogram, t)
	if err != nil {
		return err
	}
	next, recoded, err := e.app.AppendHistogram(prev, t, h, false)
	return e.moved(next, recoded, err, t)
}

// FloatHistogram appends a histogram with floating-point counts at t, which may
// be changed so that it fits.
func (e *ChunkEncoder) FloatHistogram(t int64, h *histogram.FloatHistogram) error {
	prev, err := e.ready(chunkenc.ValFloatHistogram, t)
	if err != nil {
		return err
	}
	next, recoded, err := e.app.AppendFloatHistogram(prev, t, h, false)
	return e.moved(next, recoded, err, t)
}

// Sample appends the sample that an iterator stands on.
func (e *ChunkEncoder) Sample(vt chunkenc.ValueType, it chunkenc.Iterator) error {
	switch vt {
	case chunkenc.ValFloat:
		return e.Float(it.At())
	case chunkenc.ValHistogram:
		return e.Histogram(it.AtHistogram(nil))
	case chunkenc.ValFloatHistogram:
		return e.FloatHistogram(it.AtFloatHistogram(nil))
	}
	return fmt.Errorf("encode sample of type %s: %w", vt, ErrUnsupported)
}

// Chunks returns the chunks of all samples since the last call. They are the
// caller's.
func (e *ChunkEncoder) Chunks() []Chunk {
	e.cut()
	out := e.out
	e.out, e.app = nil, nil
	return out
}

// ready has a chunk open that takes another sample of a type. If it is a new one,
// it returns the appender of the one before.
func (e *ChunkEncoder) ready(vt chunkenc.ValueType, t int64) (prev *promcompat.Appender, err error) {
	limit := min(e.PerChunk, math.MaxUint16)
	if limit <= 0 {
		limit = samplesPerChunk
	}
	if e.chunk != nil && (e.vt != vt || e.n >= limit) {
		e.cut()
	}
	if e.chunk != nil {
		return nil, nil
	}
	c, err := promcompat.NewChunk(vt)
	if err != nil {
		return nil, err
	}
	app, err := promcompat.NewAppender(c)
	if err != nil {
		return nil, err
	}
	prev = e.app
	e.chunk, e.app, e.vt, e.min, e.n = c, app, vt, t, 0
	return prev, nil
}

// moved goes on with the chunk that a histogram went into.
func (e *ChunkEncoder) moved(next chunkenc.Chunk, recoded bool, err error, t int64) error {
	if err != nil {
		return fmt.Errorf("encode histogram at %d: %w", t, err)
	}
	if next != nil {
		if !recoded {
			e.cut()
			e.min, e.n = t, 0
		}
		e.chunk = next
	}
	e.appended(t)
	return nil
}

func (e *ChunkEncoder) appended(t int64) {
	e.max = t
	e.n++
}

func (e *ChunkEncoder) cut() {
	if e.chunk != nil && e.n > 0 {
		e.out = append(e.out, Chunk{MinTime: e.min, MaxTime: e.max, Encoding: e.chunk.Encoding(), Data: e.chunk.Bytes()})
	}
	e.chunk = nil
}
