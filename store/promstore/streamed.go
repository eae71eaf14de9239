package promstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/internal/remoteproto"
	"github.com/thanoskit/thanoskit/store"
)

// minChunkBytes is the size below which a chunk has not even its header, so
// that decoders would fail in ways of their own.
//
// Source: tsdb/docs/format/chunks.md; an XOR chunk begins with the number of
// samples, histogram chunks have a further byte of flags.
const (
	minXORBytes       = 2
	minHistogramBytes = 3
)

// streamed sends the series of a streamed answer as they come.
func (r *remoteReader) streamed(resp *promapi.Response, req *store.SeriesRequest, ordered bool, out *sender) error {
	p := &seriesParser{req: req, ordered: ordered}
	frames := newFrameReader(resp, r.arenas, p.frame)
	defer func() {
		frames.release()
		r.frames.Observe(float64(frames.frames))
	}()
	for {
		a, err := frames.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		err = out.frame(a.frame)
		a.frame.Release()
		if err != nil {
			return err
		}
	}
}

// seriesParser makes views of the series in frames.
//
// Source: ChunkedReadResponse in Prometheus' prompb/remote.proto. Its labels
// are written as those of the StoreAPI are.
type seriesParser struct {
	req *store.SeriesRequest
	// ordered demands that series ascend by their labels.
	ordered bool

	last   []byte // labels of the last series
	series int    // number of series, if there is a limit or an order
}

// frame parses the body of one frame, a ChunkedReadResponse. Its query index is
// of no interest: there is one query.
func (p *seriesParser) frame(a *arena, b []byte) error {
	f := remoteproto.NewFields(b)
	for f.Next() {
		if !f.IsBytes(1) {
			continue
		}
		if err := p.chunkedSeries(a, f.Bytes); err != nil {
			return err
		}
	}
	return f.Err()
}

// chunkedSeries parses a ChunkedSeries, a series or a part of one.
func (p *seriesParser) chunkedSeries(a *arena, b []byte) error {
	var (
		run      remoteproto.LabelRun
		overlaps bool
		bad      error // of a chunk, to be told with the labels of its series
	)
	from := len(a.chunks)
	f := remoteproto.NewFields(b)
	for f.Next() {
		switch {
		case f.IsBytes(1):
			run.Add(f.From, f.To)
		case f.IsBytes(2):
			c, err := parseChunk(f.Bytes)
			if err != nil {
				bad = err
			}
			overlaps = overlaps || (c.MinTime <= p.req.MaxTime && c.MaxTime >= p.req.MinTime)
			if !p.req.SkipChunks {
				a.chunks = append(a.chunks, c)
			}
		}
	}
	if f.Err() != nil {
		return f.Err()
	}
	lset, err := run.Canonical(b)
	switch {
	case err != nil:
		return err
	case bad != nil:
		return ofSeries(bad, lset)
	case !overlaps:
		a.chunks = a.chunks[:from]
		return nil
	}
	return p.add(a, encoded.Series{Labels: lset, Chunks: a.chunks[from:len(a.chunks):len(a.chunks)]})
}

// add adds a series to the arena if it may be sent.
func (p *seriesParser) add(a *arena, s encoded.Series) error {
	if p.ordered || p.req.Limit > 0 {
		if p.series == 0 || !bytes.Equal(p.last, s.Labels) {
			if p.ordered && p.series > 0 && encoded.CompareLabels(p.last, s.Labels) > 0 {
				return fmt.Errorf("%w: the server may add external labels that are not known here", store.ErrUnsorted)
			}
			if p.req.Limit > 0 && p.series == p.req.Limit {
				return io.EOF
			}
			p.series++
			p.last = append(p.last[:0], s.Labels...)
		}
	}
	a.frame.Series = append(a.frame.Series, s)
	return nil
}

var errShortChunk = fmt.Errorf("%w: chunk without header", store.ErrMalformed)

// parseChunk parses a Chunk.
func parseChunk(b []byte) (encoded.Chunk, error) {
	var (
		c   encoded.Chunk
		enc uint64
	)
	f := remoteproto.NewFields(b)
	for f.Next() {
		switch {
		case f.IsVarint(1):
			c.MinTime = int64(f.Bits)
		case f.IsVarint(2):
			c.MaxTime = int64(f.Bits)
		case f.IsVarint(3):
			enc = f.Bits
		case f.IsBytes(4):
			c.Raw.Bytes = slices.Clip(f.Bytes)
		}
	}
	if f.Err() != nil {
		return c, f.Err()
	}
	least := minHistogramBytes
	switch e := chunkenc.Encoding(enc); {
	case enc > 0xff:
		return c, fmt.Errorf("%w: chunk encoding %d", store.ErrMalformed, enc)
	case e == chunkenc.EncXOR:
		least = minXORBytes
	case e != chunkenc.EncHistogram && e != chunkenc.EncFloatHistogram:
		return c, &store.EncodingError{Encoding: e}
	}
	c.Raw.Encoding = chunkenc.Encoding(enc)
	if len(c.Raw.Bytes) < least {
		return c, errShortChunk
	}
	return c, nil
}

// ofSeries adds the series to an error.
func ofSeries(err error, lset []byte) error {
	sb := labels.NewScratchBuilder(0)
	series := encoded.Labels(lset, &sb)
	if enc, ok := errors.AsType[*store.EncodingError](err); ok {
		return &store.EncodingError{Encoding: enc.Encoding, Series: series}
	}
	return fmt.Errorf("series %s: %w", series, err)
}
