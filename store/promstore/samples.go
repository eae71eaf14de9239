package promstore

import (
	"encoding/binary"
	"errors"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/rechunk"
	"github.com/thanoskit/thanoskit/internal/remoteproto"
)

// encoder encodes series after series, using its memory again.
type encoder struct {
	floats     floatCursor
	histograms histogramCursor
	chunks     rechunk.Encoder
}

// encode encodes the samples and native histograms of a TimeSeries to chunks, in
// order of time. The chunks are the caller's.
//
// Source: TimeSeries in Prometheus' prompb/types.proto. Either list is in order
// of time.
func (e *encoder) encode(s *sampledSeries) ([]encoded.Chunk, error) {
	e.chunks.Reset(len(s.message))
	f, h := &e.floats, &e.histograms
	f.fields, h.fields = remoteproto.NewFields(s.message), remoteproto.Fields{}
	if s.histograms {
		h.fields = remoteproto.NewFields(s.message)
	}
	if err := errors.Join(f.next(), h.next()); err != nil {
		return nil, err
	}
	for f.ok || h.ok {
		var err error
		if f.ok && (!h.ok || f.t <= h.t) {
			if err = e.chunks.Float(f.t, f.v); err == nil {
				err = f.next()
			}
		} else if err = h.append(&e.chunks); err == nil {
			err = h.next()
		}
		if err != nil {
			return nil, err
		}
	}
	return e.chunks.Chunks(), nil
}

// floatCursor moves over the samples of a TimeSeries.
type floatCursor struct {
	fields remoteproto.Fields
	ok     bool // it is at a sample
	t      int64
	v      float64
}

// next moves to the next sample.
func (c *floatCursor) next() error {
	c.ok = false
	for !c.ok && c.fields.Next() {
		c.ok = c.fields.IsBytes(2)
	}
	if !c.ok {
		return c.fields.Err()
	}
	return c.parse(c.fields.Bytes)
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
	f := remoteproto.NewFields(b)
	for f.Next() {
		switch {
		case f.IsFixed64(1):
			c.v = math.Float64frombits(f.Bits)
		case f.IsVarint(2):
			c.t = int64(f.Bits)
		}
	}
	return f.Err()
}
