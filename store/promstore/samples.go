package promstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/store"
)

// encoder encodes series after series, using its memory again.
type encoder struct {
	floats     floatCursor
	histograms histogramCursor

	size     int // of the series as it came, in bytes
	chunks   []encoded.Chunk
	chunk    chunkenc.Chunk // nil if there is none open
	app      *promcompat.Appender
	previous *promcompat.Appender // of the chunk before, to see counter resets
	n        int                  // samples in the open chunk
	first    int64                // time of the first sample of the open chunk
	last     int64                // time of the last sample
}

// encode encodes the samples and native histograms of a TimeSeries to chunks, in
// order of time. The chunks are the caller's.
//
// Source: TimeSeries in Prometheus' prompb/types.proto. Either list is in order
// of time.
func (e *encoder) encode(s *sampledSeries) ([]encoded.Chunk, error) {
	e.size, e.chunks, e.chunk, e.app, e.previous, e.n = len(s.message), nil, nil, nil, nil, 0
	f, h := &e.floats, &e.histograms
	f.fields, h.fields = fields{b: s.message}, fields{}
	if s.histograms {
		h.fields.b = s.message
	}
	if err := errors.Join(f.next(), h.next()); err != nil {
		return nil, err
	}
	for f.ok || h.ok {
		var err error
		if f.ok && (!h.ok || f.t <= h.t) {
			if err = e.appendFloat(f.t, f.v); err == nil {
				err = f.next()
			}
		} else if err = e.appendHistogram(h); err == nil {
			err = h.next()
		}
		if err != nil {
			return nil, err
		}
	}
	e.cut()
	return e.chunks, nil
}

// floatCursor moves over the samples of a TimeSeries.
type floatCursor struct {
	fields fields
	ok     bool // it is at a sample
	t      int64
	v      float64
}

// next moves to the next sample.
func (c *floatCursor) next() error {
	c.ok = false
	for !c.ok && c.fields.next() {
		c.ok = c.fields.isBytes(2)
	}
	if !c.ok {
		return c.fields.err
	}
	return c.parse(c.fields.bytes)
}

// parse parses a Sample. As Prometheus writes them, that is a double and a
// varint, one after the other.
func (c *floatCursor) parse(b []byte) error {
	if len(b) > 10 && b[0] == 1<<3|byte(protowire.Fixed64Type) && b[9] == 2<<3|byte(protowire.VarintType) {
		if t, n := protowire.ConsumeVarint(b[10:]); n == len(b)-10 {
			c.t, c.v = int64(t), math.Float64frombits(binary.LittleEndian.Uint64(b[1:]))
			return nil
		}
	}
	c.t, c.v = 0, 0
	f := fields{b: b}
	for f.next() {
		switch {
		case f.isFixed64(1):
			c.v = math.Float64frombits(f.bits)
		case f.isVarint(2):
			c.t = int64(f.bits)
		}
	}
	return f.err
}

// open makes the open chunk one of encoding enc that a sample at time t can be
// appended to.
func (e *encoder) open(enc chunkenc.Encoding, t int64) error {
	if len(e.chunks)+e.n > 0 && t <= e.last {
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

// newChunk returns an empty chunk with memory for what came at most, so that many
// series of few samples do not take many times their size.
func (e *encoder) newChunk(enc chunkenc.Encoding) chunkenc.Chunk {
	const usual = 128
	var (
		c      chunkenc.Chunk
		header = minHistogramBytes
	)
	switch enc {
	case chunkenc.EncHistogram:
		c = &chunkenc.HistogramChunk{}
	case chunkenc.EncFloatHistogram:
		c = &chunkenc.FloatHistogramChunk{}
	default:
		c, header = &chunkenc.XORChunk{}, minXORBytes
	}
	c.Reset(make([]byte, header, min(usual, header+e.size)))
	return c
}

// appended counts a sample of the open chunk.
func (e *encoder) appended(t int64) {
	if e.n == 0 {
		e.first = t
	}
	e.n++
	e.last = t
}

// cut closes the open chunk.
func (e *encoder) cut() {
	if e.chunk == nil {
		return
	}
	e.chunks = append(e.chunks, encoded.Chunk{
		MinTime: e.first, MaxTime: e.last,
		Raw: encoded.Data{Encoding: e.chunk.Encoding(), Bytes: e.chunk.Bytes()},
	})
	e.chunk, e.previous, e.app, e.n = nil, e.app, nil, 0
}

func (e *encoder) appendFloat(t int64, v float64) error {
	if err := e.open(chunkenc.EncXOR, t); err != nil {
		return err
	}
	e.app.Append(t, v)
	e.appended(t)
	return nil
}

func (e *encoder) appendHistogram(h *histogramCursor) error {
	enc := chunkenc.EncHistogram
	if h.isFloat {
		enc = chunkenc.EncFloatHistogram
	}
	if err := e.open(enc, h.t); err != nil {
		return err
	}
	var (
		next    chunkenc.Chunk
		recoded bool
		err     error
	)
	if h.isFloat {
		next, recoded, err = e.app.AppendFloatHistogram(e.previous, h.t, &h.float, false)
	} else {
		next, recoded, err = e.app.AppendHistogram(e.previous, h.t, &h.integer, false)
	}
	if err != nil {
		return err
	}
	if next != nil { // the appender has moved on to it
		if !recoded { // a reset or another layout: the sample begins a chunk
			app := e.app
			e.cut()
			e.app = app
		}
		e.chunk = next
	}
	e.appended(h.t)
	return nil
}
