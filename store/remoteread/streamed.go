package remoteread

import (
	"bufio"
	"context"
	"hash/crc32"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/rechunk"
	"github.com/thanoskit/thanoskit/internal/remoteproto"
)

// streamBuffer is what is gathered before it is written.
const streamBuffer = 32 << 10

// streamed answers in frames, as the Store sends its series.
//
// Source: StreamChunkedReadResponses in Prometheus' storage/remote/codec.go: one
// series, or a part of one, in each frame.
func (a *answer) streamed(ctx context.Context, queries []remoteproto.Query) error {
	a.w.Header().Set("Content-Type", remoteproto.StreamedType+"; proto="+remoteproto.StreamedProto)
	out := bufio.NewWriterSize(&startedWriter{a: a}, streamBuffer)
	s := &frameStream{out: out, maxBytes: a.h.opts.MaxFrameBytes, crc: remoteproto.NewCRC(), frames: a.h.metrics.frames.Inc}
	for i := range queries {
		s.query = uint64(i)
		if err := a.series(ctx, &queries[i], false, s.series); err != nil {
			if a.started {
				_ = out.Flush() // whole frames; err is what matters
			}
			return err
		}
	}
	return out.Flush()
}

// startedWriter writes to the client, and remembers.
type startedWriter struct{ a *answer }

func (w *startedWriter) Write(p []byte) (int, error) {
	w.a.started = true
	return w.a.w.Write(p)
}

// frameStream writes frames.
type frameStream struct {
	out      io.Writer
	maxBytes int
	crc      *crc32.Table
	query    uint64
	frames   func() // counts

	chunks []byte // fields of a ChunkedSeries
	body   []byte
	header []byte
}

// series writes a series.
func (s *frameStream) series(lset []byte, chunks []encoded.Chunk) error {
	chunks, err := rechunk.Merge(chunks)
	if err != nil {
		return err
	}
	s.chunks = s.chunks[:0]
	var chunk []byte
	for i := range chunks {
		chunk = appendChunk(chunk[:0], &chunks[i])
		if len(s.chunks) > 0 && len(lset)+len(s.chunks)+len(chunk) > s.maxBytes {
			if err := s.frame(lset); err != nil {
				return err
			}
		}
		s.chunks = protowire.AppendTag(s.chunks, 2, protowire.BytesType)
		s.chunks = protowire.AppendBytes(s.chunks, chunk)
	}
	if len(s.chunks) == 0 {
		return nil
	}
	return s.frame(lset)
}

// frame writes a ChunkedReadResponse with one ChunkedSeries. Its labels are
// written as those of the StoreAPI are.
func (s *frameStream) frame(lset []byte) error {
	s.body = protowire.AppendTag(s.body[:0], 1, protowire.BytesType)
	s.body = protowire.AppendVarint(s.body, uint64(len(lset)+len(s.chunks)))
	s.body = append(s.body, lset...)
	s.body = append(s.body, s.chunks...)
	s.chunks = s.chunks[:0]
	if s.query > 0 {
		s.body = protowire.AppendTag(s.body, 2, protowire.VarintType)
		s.body = protowire.AppendVarint(s.body, s.query)
	}
	s.header = remoteproto.AppendFrameHeader(s.header[:0], s.body, s.crc)
	if _, err := s.out.Write(s.header); err != nil {
		return err
	}
	_, err := s.out.Write(s.body)
	s.frames()
	return err
}

// appendChunk appends the fields of a Chunk. Its encodings are numbered as those
// of the TSDB are.
func appendChunk(b []byte, c *encoded.Chunk) []byte {
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(c.MinTime))
	b = protowire.AppendTag(b, 2, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(c.MaxTime))
	b = protowire.AppendTag(b, 3, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(c.Raw.Encoding))
	b = protowire.AppendTag(b, 4, protowire.BytesType)
	return protowire.AppendBytes(b, c.Raw.Bytes)
}
