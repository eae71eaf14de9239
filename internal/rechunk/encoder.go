package rechunk

import (
	"fmt"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/store"
)

// Encoder encodes the samples of series after series. The zero value is ready
// for the first. It is not safe for concurrent use.
//
// Samples of a series ascend strictly by time; another is a
// store.ErrMalformed. A native histogram whose buckets do not fit the open
// chunk, or that shows a counter reset, begins another, whose header says so.
type Encoder struct {
	size     int // of the series, in bytes, as far as is known
	chunks   []encoded.Chunk
	chunk    chunkenc.Chunk // nil if there is none open
	app      *promcompat.Appender
	previous *promcompat.Appender // of the chunk before, to see counter resets
	n        int                  // samples in the open chunk
	first    int64                // time of the first sample of the open chunk
	last     int64                // time of the last sample
	any      bool                 // there was a sample
}

// Reset begins a series. size is about how many bytes its samples took where
// they come from, so that many series of few samples do not take many times
// their size; 0 if that is not known.
func (e *Encoder) Reset(size int) {
	*e = Encoder{size: size}
}

// Chunks ends the series and returns its chunks, or those that Take has not
// returned. They are the caller's.
func (e *Encoder) Chunks() []encoded.Chunk {
	e.cut()
	return e.Take()
}

// Take returns the chunks that are full, which are then the caller's, and
// forgets them.
func (e *Encoder) Take() []encoded.Chunk {
	chunks := e.chunks
	e.chunks = nil
	return chunks
}

// Sampler is what Sample needs of an iterator.
type Sampler interface {
	At() (int64, float64)
	AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram)
	AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram)
}

// Sample appends the sample that an iterator stands on, of type vt. Histograms
// are copied.
func (e *Encoder) Sample(vt chunkenc.ValueType, it Sampler) error {
	switch vt {
	case chunkenc.ValFloat:
		return e.Float(it.At())
	case chunkenc.ValHistogram:
		return e.Histogram(it.AtHistogram(nil))
	case chunkenc.ValFloatHistogram:
		return e.FloatHistogram(it.AtFloatHistogram(nil))
	default:
		return fmt.Errorf("encode sample: no encoding for value type %s", vt)
	}
}

// Float appends a float sample at t, in milliseconds.
func (e *Encoder) Float(t int64, v float64) error {
	if err := e.open(chunkenc.EncXOR, t); err != nil {
		return err
	}
	e.app.Append(t, v)
	e.appended(t)
	return nil
}

// Histogram appends a native histogram with integer counts at t, in
// milliseconds. The histogram may have buckets added so that it fits the chunk;
// it is not kept.
func (e *Encoder) Histogram(t int64, h *histogram.Histogram) error {
	if err := e.open(chunkenc.EncHistogram, t); err != nil {
		return err
	}
	next, recoded, err := e.app.AppendHistogram(e.previous, t, h, false)
	return e.moved(next, recoded, err, t)
}

// FloatHistogram does for histograms with float counts what Histogram does for
// those with integer ones.
func (e *Encoder) FloatHistogram(t int64, h *histogram.FloatHistogram) error {
	if err := e.open(chunkenc.EncFloatHistogram, t); err != nil {
		return err
	}
	next, recoded, err := e.app.AppendFloatHistogram(e.previous, t, h, false)
	return e.moved(next, recoded, err, t)
}

// moved goes on in the chunk that the appender has moved on to, if any.
func (e *Encoder) moved(next chunkenc.Chunk, recoded bool, err error, t int64) error {
	if err != nil {
		return err
	}
	if next != nil {
		if !recoded { // a reset or another layout: the sample begins a chunk
			app := e.app
			e.cut()
			e.app = app
		}
		e.chunk = next
	}
	e.appended(t)
	return nil
}

// open makes the open chunk one of encoding enc that a sample at time t can be
// appended to.
func (e *Encoder) open(enc chunkenc.Encoding, t int64) error {
	if e.any && t <= e.last {
		return fmt.Errorf("%w: sample at %d follows %d", store.ErrMalformed, t, e.last)
	}
	if e.chunk != nil && (e.chunk.Encoding() != enc || e.n == store.SamplesPerChunk) {
		e.cut()
	}
	if e.chunk != nil {
		return nil
	}
	c := e.newChunk(enc)
	app, err := promcompat.NewAppender(c)
	if err != nil {
		return err
	}
	e.chunk, e.app, e.n = c, app, 0
	return nil
}

// The headers of empty chunks: the number of samples and, of histograms, a byte
// of flags.
//
// Source: tsdb/docs/format/chunks.md.
const (
	xorHeader       = 2
	histogramHeader = 3
)

// newChunk returns an empty chunk with memory for what came at most.
func (e *Encoder) newChunk(enc chunkenc.Encoding) chunkenc.Chunk {
	const usual = 128
	var (
		c      chunkenc.Chunk
		header = histogramHeader
	)
	switch enc {
	case chunkenc.EncHistogram:
		c = &chunkenc.HistogramChunk{}
	case chunkenc.EncFloatHistogram:
		c = &chunkenc.FloatHistogramChunk{}
	default:
		c, header = &chunkenc.XORChunk{}, xorHeader
	}
	size := usual
	if e.size > 0 {
		size = min(usual, header+e.size)
	}
	c.Reset(make([]byte, header, size))
	return c
}

// appended counts a sample of the open chunk.
func (e *Encoder) appended(t int64) {
	if e.n == 0 {
		e.first = t
	}
	e.n++
	e.last, e.any = t, true
}

// cut closes the open chunk.
func (e *Encoder) cut() {
	if e.chunk == nil {
		return
	}
	e.chunks = append(e.chunks, encoded.Chunk{
		MinTime: e.first, MaxTime: e.last,
		Raw: encoded.Data{Encoding: e.chunk.Encoding(), Bytes: e.chunk.Bytes()},
	})
	e.chunk, e.previous, e.app, e.n = nil, e.app, nil, 0
}
