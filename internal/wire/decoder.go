package wire

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// Kind says what a Response is.
type Kind uint8

// A response is one of these.
const (
	// KindUnknown is a response of a kind that is not known, or empty. It means
	// nothing.
	KindUnknown Kind = iota
	// KindSeries is one series.
	KindSeries
	// KindBatch is any number of series.
	KindBatch
	// KindWarning is a warning.
	KindWarning
	// KindHints are hints that the store sends back.
	KindHints
)

// Response is what a thanos.SeriesResponse says beside its series.
type Response struct {
	Kind    Kind
	Warning string
	Hints   store.Any
}

// Limits counts what the responses to one request hold, and bounds it. It is not
// safe for concurrent use.
type Limits struct {
	// MaxSeries and MaxChunks are the numbers allowed; 0 is unlimited.
	MaxSeries, MaxChunks int64
	// Series and Chunks are the numbers so far. A series that is sent in parts
	// counts once for each part.
	Series, Chunks int64
}

// Decoder decodes responses to series requests into frames. It holds the memory
// that the series of a frame point to beside the response's own bytes, so that
// there is one Decoder for each frame, and the two are reused together. The zero
// value is ready for use. It is not safe for concurrent use.
type Decoder struct {
	// Limits, if not nil, are enforced while decoding. The decoders of one
	// answer share them.
	Limits *Limits

	arena
}

// Reset drops all references to the last response and what was decoded from it.
// It is called when the frame has been released for the last time.
func (d *Decoder) Reset() { d.drop() }

// Response decodes b, a thanos.SeriesResponse, replacing what f holds.
//
// Input: b is not changed, and must stay as it is while f is in use.
//
// Output: for KindSeries and KindBatch, f.Series are views of b and of the
// Decoder's memory, good until the next call of Response or Reset; for other
// kinds it is empty. The Response shares no memory with b. Label sets that are
// not canonical on the wire are made so. f.Size is set.
//
// Errors: store.ErrMalformed if b is damaged, or a series has a label name twice
// or a label of 16 MiB; *store.LimitError; *store.EncodingError with the series.
// f is empty then.
//
// Cost: one pass, and no allocation once the Decoder and the frame have grown to
// the size of the responses. They grow by at most 128 bytes for each byte of b.
//
// Source: storepb/rpc.proto, SeriesResponse. Of several results in one message
// the last counts, whole, as in Thanos' decoder.
func (d *Decoder) Response(b []byte, f *encoded.Frame) (Response, error) {
	var r Response
	m := message{rest: b}
	d.begin(f)
	for m.next() {
		if m.num < 1 || m.num > 4 || !m.is(protowire.BytesType) {
			continue
		}
		d.begin(f)
		switch m.num {
		case 1:
			r = Response{Kind: KindSeries}
			m.err = d.one(m.data, f)
		case 2:
			r = Response{Kind: KindWarning, Warning: m.string()}
		case 3:
			r = Response{Kind: KindHints}
			hints := &r.Hints
			m.err = decodeAny(m.data, &hints)
		case 4:
			r = Response{Kind: KindBatch}
			m.err = d.batch(m.data, f)
		}
	}
	if m.err != nil {
		d.begin(f)
		return Response{}, responseError(m.err)
	}
	f.Size = len(b) + d.size() + len(f.Series)*sizeofSeries
	return r, nil
}

func responseError(err error) error {
	if errors.Is(err, store.ErrLimit) || errors.Is(err, store.ErrEncoding) {
		return fmt.Errorf("decode series response: %w", err)
	}
	return malformed("series response", err)
}

// begin empties the frame and the arena.
func (d *Decoder) begin(f *encoded.Frame) {
	clear(f.Series)
	f.Series, f.Size = f.Series[:0], 0
	d.rewind()
}

// one decodes the body of a response that is one series.
func (d *Decoder) one(b []byte, f *encoded.Frame) error {
	d.msg, d.isBatch = b, false
	return d.addSeries(b, f)
}

// batch decodes the body of a SeriesBatch.
func (d *Decoder) batch(b []byte, f *encoded.Frame) error {
	d.msg, d.isBatch = b, true
	p := 0
	for p < len(b) && b[p] == tagSeries {
		body, next := lengthDelimited(b, p+1)
		if next < 0 {
			break
		}
		if err := d.addSeries(body, f); err != nil {
			return err
		}
		p = next
	}
	m := message{rest: b[p:]} // mostly nothing
	for m.next() {
		if m.num == 1 {
			m.sub(func(b []byte) error { return d.addSeries(b, f) })
		}
	}
	return m.err
}

// addSeries decodes b, the body of a Series, into another series of f.
func (d *Decoder) addSeries(b []byte, f *encoded.Frame) error {
	most := math.MaxInt
	if l := d.Limits; l != nil {
		if most = left(l.MaxSeries, l.Series); most == 0 {
			return &store.LimitError{Limit: "series", Max: l.MaxSeries}
		}
		l.Series++
	}
	n := len(f.Series)
	if n == cap(f.Series) {
		d.growSeries(f, most)
	}
	f.Series = f.Series[:n+1]
	d.chunkStart, d.aggrStart = len(d.chunks), len(d.aggrs)
	if ok, err := d.usualSeries(b, &f.Series[n]); ok || err != nil {
		return err
	}
	return d.anySeries(b, &f.Series[n])
}

// addChunk adds a chunk, of which b is the body, to the series being decoded.
func (d *Decoder) addChunk(b []byte) (*encoded.Chunk, error) {
	most := math.MaxInt
	if l := d.Limits; l != nil {
		if most = left(l.MaxChunks, l.Chunks); most == 0 {
			return nil, &store.LimitError{Limit: "chunks", Max: l.MaxChunks}
		}
		l.Chunks++
	}
	c := d.newChunk(most)
	c.Wire = b
	return c, nil
}

// left is how many more a limit allows.
func left(most, soFar int64) int {
	if most <= 0 {
		return math.MaxInt
	}
	return int(min(max(most-soFar, 0), math.MaxInt))
}

// seriesChunks returns the chunks of the series being decoded.
func (d *Decoder) seriesChunks() []encoded.Chunk {
	return d.chunks[d.chunkStart:len(d.chunks):len(d.chunks)]
}
