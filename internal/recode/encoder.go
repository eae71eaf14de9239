package recode

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// SamplesPerChunk is how many samples Prometheus puts into a chunk.
const SamplesPerChunk = 120

// ErrValueType says that a sample is of no type that chunks are made of.
var ErrValueType = errors.New("no encoding for the type of value")

// Chunk is an encoded chunk.
type Chunk struct {
	MinTime, MaxTime int64 // of the first and the last sample in ms
	Encoding         chunkenc.Encoding
	Data             []byte
}

// Encoder encodes the samples of one series into chunks as Prometheus does: a new
// chunk where the type changes, where a histogram does not fit into the one before
// or shows a counter reset, and where a chunk is full. The zero value is ready for
// use. It is not safe for concurrent use.
type Encoder struct {
	// PerChunk is how many samples a chunk has at most, SamplesPerChunk if 0. What is
	// above 65535, which is what a chunk can count to, is taken for that.
	PerChunk int

	out []Chunk
	vt  chunkenc.ValueType // of the open chunk; ValNone if none is
	// ts and vs are the samples of an open chunk of floats.
	ts []int64
	vs []float64
	// chunk is an open chunk of histograms, n and min are how many there are and when
	// the first was, max when the last.
	chunk    chunkenc.Chunk
	n        int
	min, max int64
	// app is the appender of the open chunk, or of the one before, if of histograms.
	app  *promcompat.Appender
	buf  []byte // to encode into
	slab slab   // what Data of floats is cut from
}

// Sampler is what Sample needs of an iterator.
type Sampler interface {
	At() (int64, float64)
	AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram)
	AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram)
}

// Sample appends the sample that an iterator stands on, of type vt. It is an
// ErrValueType if it is none.
func (e *Encoder) Sample(vt chunkenc.ValueType, it Sampler) error {
	switch vt {
	case chunkenc.ValFloat:
		e.Float(it.At())
		return nil
	case chunkenc.ValHistogram:
		return e.Histogram(it.AtHistogram(nil))
	case chunkenc.ValFloatHistogram:
		return e.FloatHistogram(it.AtFloatHistogram(nil))
	default:
		return fmt.Errorf("encode sample of type %s: %w", vt, ErrValueType)
	}
}

// Float appends a float at t, in ms. Times ascend; that is not checked.
func (e *Encoder) Float(t int64, v float64) {
	if e.vt != chunkenc.ValFloat || len(e.ts) >= e.limit() {
		e.cut()
		e.vt = chunkenc.ValFloat
	}
	e.ts, e.vs = append(e.ts, t), append(e.vs, v)
}

// Floats appends floats at ts, in ms, of which there are as many as vs.
func (e *Encoder) Floats(ts []int64, vs []float64) {
	for len(ts) > 0 {
		if e.vt != chunkenc.ValFloat || len(e.ts) >= e.limit() {
			e.cut()
			e.vt = chunkenc.ValFloat
		}
		n := min(len(ts), e.limit()-len(e.ts))
		e.ts, e.vs = append(e.ts, ts[:n]...), append(e.vs, vs[:n]...)
		ts, vs = ts[n:], vs[n:]
	}
}

// Histogram appends a histogram at t, in ms, which may be changed so that it fits.
func (e *Encoder) Histogram(t int64, h *histogram.Histogram) error {
	prev, err := e.ready(chunkenc.ValHistogram, t)
	if err != nil {
		return err
	}
	next, recoded, err := e.app.AppendHistogram(prev, t, h, false)
	return e.moved(next, recoded, err, t)
}

// FloatHistogram appends a histogram with floating-point counts at t, in ms, which
// may be changed so that it fits.
func (e *Encoder) FloatHistogram(t int64, h *histogram.FloatHistogram) error {
	prev, err := e.ready(chunkenc.ValFloatHistogram, t)
	if err != nil {
		return err
	}
	next, recoded, err := e.app.AppendFloatHistogram(prev, t, h, false)
	return e.moved(next, recoded, err, t)
}

// Chunks ends the series and returns its chunks, or those of all samples since the
// last call. The list is valid until the next sample, the data is the caller's until
// Reset. Chunks share memory: one that is kept can keep up to 64 KiB of others, and
// after a Reset as much as there was in all before it.
func (e *Encoder) Chunks() []Chunk {
	e.cut()
	out := e.out
	e.out, e.app = e.out[:0], nil
	return out
}

// Reset takes back the data of all chunks that were returned, to be used again. It
// need not be called.
func (e *Encoder) Reset() {
	e.cut()
	e.out, e.app = e.out[:0], nil
	e.slab.reset()
}

func (e *Encoder) limit() int {
	if e.PerChunk <= 0 {
		return SamplesPerChunk
	}
	return min(e.PerChunk, math.MaxUint16)
}

// ready has a chunk of histograms open that takes another sample of a type. If it
// is a new one, it returns the appender of the one before.
func (e *Encoder) ready(vt chunkenc.ValueType, t int64) (prev *promcompat.Appender, err error) {
	if e.vt == vt && e.n < e.limit() {
		return nil, nil
	}
	e.cut()
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
func (e *Encoder) moved(next chunkenc.Chunk, recoded bool, err error, t int64) error {
	if err != nil {
		return fmt.Errorf("encode histogram at %d: %w", t, err)
	}
	if next != nil {
		if !recoded {
			vt := e.vt
			e.cut()
			e.vt, e.min = vt, t
		}
		e.chunk = next
	}
	e.max = t
	e.n++
	return nil
}

func (e *Encoder) cut() {
	switch {
	case len(e.ts) > 0:
		e.buf = xor.Encode(e.buf[:0], e.ts, e.vs)
		e.out = append(e.out, Chunk{MinTime: e.ts[0], MaxTime: e.ts[len(e.ts)-1], Encoding: chunkenc.EncXOR, Data: e.slab.keep(e.buf)})
		e.ts, e.vs, e.app = e.ts[:0], e.vs[:0], nil
	case e.n > 0:
		e.out = append(e.out, Chunk{MinTime: e.min, MaxTime: e.max, Encoding: e.chunk.Encoding(), Data: e.chunk.Bytes()})
		e.chunk, e.n = nil, 0
	}
	e.vt = chunkenc.ValNone
}
