package promstore

import (
	"fmt"
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/store"
)

// maxSamplesPerChunk is the number of samples at which Prometheus cuts chunks.
const maxSamplesPerChunk = 120

// encodeSamples encodes the samples and native histograms of a TimeSeries to
// chunks, in order of time.
//
// Source: TimeSeries in Prometheus' prompb/types.proto. Either list is in order
// of time.
func encodeSamples(message []byte) ([]encoded.Chunk, error) {
	var histograms []timedHistogram
	err := eachField(message, func(num protowire.Number, typ protowire.Type, v field) error {
		if num != 4 || typ != protowire.BytesType {
			return nil
		}
		h, err := parseHistogram(v.bytes)
		histograms = append(histograms, h)
		return err
	})
	if err != nil {
		return nil, err
	}
	e := encoder{last: math.MinInt64}
	err = eachField(message, func(num protowire.Number, typ protowire.Type, v field) error {
		if num != 2 || typ != protowire.BytesType {
			return nil
		}
		t, value, err := parseSample(v.bytes)
		if err != nil {
			return err
		}
		for len(histograms) > 0 && histograms[0].t < t {
			if err := e.appendHistogram(histograms[0]); err != nil {
				return err
			}
			histograms = histograms[1:]
		}
		return e.appendFloat(t, value)
	})
	if err != nil {
		return nil, err
	}
	for _, h := range histograms {
		if err := e.appendHistogram(h); err != nil {
			return nil, err
		}
	}
	e.cut()
	return e.chunks, nil
}

// parseSample parses a Sample.
func parseSample(b []byte) (t int64, v float64, err error) {
	err = eachField(b, func(num protowire.Number, typ protowire.Type, f field) error {
		switch {
		case num == 1 && typ == protowire.Fixed64Type:
			v = math.Float64frombits(f.bits)
		case num == 2 && typ == protowire.VarintType:
			t = int64(f.bits)
		}
		return nil
	})
	return t, v, err
}

// encoder cuts the samples of one series into chunks.
type encoder struct {
	chunks []encoded.Chunk

	chunk      chunkenc.Chunk // nil if there is none open
	app        *promcompat.Appender
	previous   *promcompat.Appender // of the chunk before, to see counter resets
	n          int                  // samples in the open chunk
	mint, last int64
}

// open makes the open chunk one that a sample of type vt at time t can be
// appended to.
func (e *encoder) open(vt chunkenc.ValueType, t int64) error {
	if len(e.chunks)+e.n > 0 && t <= e.last {
		return fmt.Errorf("%w: sample at %d follows %d", store.ErrMalformed, t, e.last)
	}
	if e.chunk != nil && (encodingOf(vt) != e.chunk.Encoding() || e.n == maxSamplesPerChunk) {
		e.cut()
	}
	if e.chunk != nil {
		return nil
	}
	c, err := promcompat.NewChunk(vt)
	if err != nil {
		return err
	}
	app, err := promcompat.NewAppender(c)
	if err != nil {
		return err
	}
	e.chunk, e.app, e.n = c, app, 0
	return nil
}

func encodingOf(vt chunkenc.ValueType) chunkenc.Encoding {
	switch vt {
	case chunkenc.ValFloat:
		return chunkenc.EncXOR
	case chunkenc.ValHistogram:
		return chunkenc.EncHistogram
	case chunkenc.ValFloatHistogram:
		return chunkenc.EncFloatHistogram
	}
	return chunkenc.EncNone
}

// appended counts a sample of the open chunk.
func (e *encoder) appended(t int64) {
	if e.n == 0 {
		e.mint = t
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
		MinTime: e.mint, MaxTime: e.last,
		Raw: encoded.Data{Encoding: e.chunk.Encoding(), Bytes: e.chunk.Bytes()},
	})
	e.chunk, e.previous, e.app, e.n = nil, e.app, nil, 0
}

func (e *encoder) appendFloat(t int64, v float64) error {
	if err := e.open(chunkenc.ValFloat, t); err != nil {
		return err
	}
	e.app.Append(t, v)
	e.appended(t)
	return nil
}

func (e *encoder) appendHistogram(h timedHistogram) error {
	vt := chunkenc.ValHistogram
	if h.float != nil {
		vt = chunkenc.ValFloatHistogram
	}
	if err := e.open(vt, h.t); err != nil {
		return err
	}
	var (
		next    chunkenc.Chunk
		recoded bool
		err     error
	)
	if h.float != nil {
		next, recoded, err = e.app.AppendFloatHistogram(e.previous, h.t, h.float, false)
	} else {
		next, recoded, err = e.app.AppendHistogram(e.previous, h.t, h.integer, false)
	}
	switch {
	case err != nil:
		return err
	case next != nil && !recoded: // a reset or another layout: the sample begins a chunk
		app := e.app
		e.cut()
		e.app = app
		e.chunk = next
	case next != nil:
		e.chunk = next
	}
	e.appended(h.t)
	return nil
}
