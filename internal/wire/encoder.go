package wire

import (
	"encoding/binary"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// Tags of SeriesResponse. SeriesBatch.series has the tag of
// SeriesResponse.series.
const (
	tagSeries = 1<<3 | 2
	tagBatch  = 4<<3 | 2
)

// headroom is what the tag and the length of a batch take at most.
const headroom = 1 + binary.MaxVarintLen64

// Encoder collects series into a thanos.SeriesResponse. The zero value is empty
// and allocates its buffer. It is not safe for concurrent use.
//
// Cost: one copy of the labels and the chunks, and no allocation while the
// response fits into the buffer.
//
// Source: storepb/rpc.proto, SeriesResponse.
type Encoder struct {
	buf []byte // headroom, then entries of SeriesBatch.series
	n   int
}

// Reset empties e and gives it a buffer to write to, whose contents are lost. A
// nil buffer is allocated when it is needed. It grows as necessary.
func (e *Encoder) Reset(buf []byte) {
	*e = Encoder{}
	if cap(buf) > 0 {
		var room [headroom]byte
		e.buf = append(buf[:0], room[:]...)
	}
}

// Add appends a series, or a part of one. Chunks that came from the wire are
// written as they came. The memory of s is copied.
//
// Errors: *store.EncodingError if the encoding of a chunk is not one that the
// StoreAPI carries; nothing is added then.
func (e *Encoder) Add(s *encoded.Series) error {
	size := len(s.Labels)
	for i := range s.Chunks {
		c := &s.Chunks[i]
		if bad := unsupported(c); bad != chunkenc.EncNone {
			sb := labels.NewScratchBuilder(0)
			return &store.EncodingError{Encoding: bad, Series: encoded.Labels(s.Labels, &sb)}
		}
		size += ChunkSize(c)
	}
	if len(e.buf) == 0 {
		e.buf = make([]byte, headroom, headroom+entrySize(size))
	}
	b := binary.AppendUvarint(append(e.buf, tagSeries), uint64(size))
	b = append(b, s.Labels...)
	for i := range s.Chunks {
		b = appendChunk(b, &s.Chunks[i])
	}
	e.buf = b
	e.n++
	return nil
}

// Series is the number of series added since Reset.
func (e *Encoder) Series() int { return e.n }

// Len is the sum of the SeriesSize of the series added since Reset: the size of
// Response, or up to 11 bytes less.
func (e *Encoder) Len() int { return max(len(e.buf)-headroom, 0) }

// Response returns the message: a single series if one was added, otherwise a
// batch, which is only for clients that asked for more than one. The result is
// a part of the buffer and good until the next Add or Reset.
func (e *Encoder) Response() []byte {
	if e.n == 1 {
		return e.buf[headroom:]
	}
	if len(e.buf) == 0 {
		e.buf = make([]byte, headroom)
	}
	var header [headroom]byte
	h := binary.AppendUvarint(append(header[:0], tagBatch), uint64(e.Len()))
	from := headroom - len(h)
	copy(e.buf[from:], h)
	return e.buf[from:]
}

// Buffer returns the buffer that e writes to, for another Reset when the
// response in it is no longer needed.
func (e *Encoder) Buffer() []byte { return e.buf }

// AppendWarning appends a thanos.SeriesResponse that is a warning to dst.
func AppendWarning(dst []byte, warning string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, 2, protowire.BytesType), warning)
}

// AppendHints appends a thanos.SeriesResponse that is hints to dst.
func AppendHints(dst []byte, hints *store.Any) []byte { return appendAny(dst, 3, hints) }

// SeriesSize is the number of bytes that s takes in a response, alone or in a
// batch. A batch takes the sum of them, and up to 11 bytes more.
func SeriesSize(s *encoded.Series) int {
	n := len(s.Labels)
	for i := range s.Chunks {
		n += ChunkSize(&s.Chunks[i])
	}
	return entrySize(n)
}

// ChunkSize is the number of bytes that c adds to the body of its series.
func ChunkSize(c *encoded.Chunk) int { return entrySize(chunkSize(c)) }

// Split says how to send s in parts of at most size bytes each: it returns the
// number of chunks, from the first on, that the first part has. That is at least
// one, however large, if there are any. Each part repeats the labels.
func Split(s *encoded.Series, size int) int {
	n := len(s.Labels)
	for i := range s.Chunks {
		n += ChunkSize(&s.Chunks[i])
		if i > 0 && entrySize(n) > size {
			return i
		}
	}
	return len(s.Chunks)
}

// entrySize is the size of a length-delimited field of n bytes, whose tag is one
// byte.
func entrySize(n int) int { return 1 + protowire.SizeBytes(n) }

func varintSize(x int64) int {
	if x == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(uint64(x))
}

func chunkSize(c *encoded.Chunk) int {
	if c.Wire != nil {
		return len(c.Wire)
	}
	n := varintSize(c.MinTime) + varintSize(c.MaxTime) + dataField(c.Raw)
	if a := c.Aggregates; a != nil {
		n += dataField(a.Count) + dataField(a.Sum) + dataField(a.Min) + dataField(a.Max) + dataField(a.Counter)
	}
	return n
}

// dataField is the size of a field of type Chunk.
func dataField(d encoded.Data) int {
	if d.Encoding == chunkenc.EncNone {
		return 0
	}
	return entrySize(dataSize(d))
}

func dataSize(d encoded.Data) int {
	n := varintSize(int64(d.Encoding) - 1)
	if len(d.Bytes) > 0 {
		n += entrySize(len(d.Bytes))
	}
	return n
}

// appendChunk appends c as a Series.chunks field.
func appendChunk(dst []byte, c *encoded.Chunk) []byte {
	dst = binary.AppendUvarint(append(dst, tagChunk), uint64(chunkSize(c)))
	if c.Wire != nil {
		return append(dst, c.Wire...)
	}
	dst = appendInt64(dst, 1, c.MinTime)
	dst = appendInt64(dst, 2, c.MaxTime)
	dst = appendData(dst, tagRaw, c.Raw)
	if a := c.Aggregates; a != nil {
		dst = appendData(dst, tagCount, a.Count)
		dst = appendData(dst, tagSum, a.Sum)
		dst = appendData(dst, tagMin, a.Min)
		dst = appendData(dst, tagMax, a.Max)
		dst = appendData(dst, tagCounter, a.Counter)
	}
	return dst
}

// appendData appends d as a field of type Chunk, unless there is no data.
func appendData(dst []byte, tag byte, d encoded.Data) []byte {
	if d.Encoding == chunkenc.EncNone {
		return dst
	}
	dst = binary.AppendUvarint(append(dst, tag), uint64(dataSize(d)))
	dst = appendInt64(dst, 1, int64(d.Encoding)-1)
	if len(d.Bytes) > 0 {
		dst = append(binary.AppendUvarint(append(dst, tagData), uint64(len(d.Bytes))), d.Bytes...)
	}
	return dst
}
