package aggr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Encoding is the encoding byte of an aggregate chunk in a block.
const Encoding = chunkenc.Encoding(0xff)

// ErrMalformed says that bytes are not those of an aggregate chunk.
var ErrMalformed = errors.New("malformed aggregate chunk")

// Kind is what an aggregate of a window says.
type Kind int

// The aggregates in the order in which a chunk holds them, which is not that of
// the StoreAPI.
const (
	Count Kind = iota
	Sum
	Min
	Max
	CounterKind
	Kinds // how many there are
)

// String returns "count", "sum", "min", "max" or "counter".
func (k Kind) String() string {
	if k < 0 || k >= Kinds {
		return fmt.Sprintf("aggregate %d", int(k))
	}
	return [Kinds]string{"count", "sum", "min", "max", "counter"}[k]
}

// Sub is the chunk of one aggregate. It is absent if its Encoding is EncNone.
type Sub struct {
	Encoding chunkenc.Encoding
	Data     []byte
}

// Chunk is an aggregate chunk taken apart, by Kind.
type Chunk [Kinds]Sub

// Parse takes an aggregate chunk apart. What it returns shares b's memory.
//
// Errors: ErrMalformed if b does not end with the fifth aggregate, or one of them
// is neither absent nor has an encoding; which encodings there are is not looked
// at.
//
// Source: Thanos v0.42.4, pkg/compact/downsample/aggr.go.
func Parse(b []byte) (Chunk, error) {
	var c Chunk
	for k := range Kinds {
		size, n := binary.Uvarint(b)
		if n <= 0 {
			return Chunk{}, fmt.Errorf("%w: no length of %s", ErrMalformed, k)
		}
		b = b[n:]
		if size == 0 {
			continue
		}
		if size >= uint64(len(b)) { // there is the encoding too
			return Chunk{}, fmt.Errorf("%w: %s has %d bytes, %d are left", ErrMalformed, k, size, len(b))
		}
		if b[0] == byte(chunkenc.EncNone) {
			return Chunk{}, fmt.Errorf("%w: %s has %d bytes and no encoding", ErrMalformed, k, size)
		}
		c[k] = Sub{Encoding: chunkenc.Encoding(b[0]), Data: b[1 : 1+size : 1+size]}
		b = b[1+size:]
	}
	if len(b) > 0 {
		return Chunk{}, fmt.Errorf("%w: %d bytes after the last aggregate", ErrMalformed, len(b))
	}
	return c, nil
}

// Append appends the bytes of the chunk to dst, those that Thanos writes for the
// same aggregates. A Sub without Data is absent.
func (c *Chunk) Append(dst []byte) []byte {
	size := 0
	for _, s := range c {
		size += binary.MaxVarintLen32 + 1 + len(s.Data)
	}
	dst = slices.Grow(dst, size)
	for _, s := range c {
		dst = binary.AppendUvarint(dst, uint64(len(s.Data)))
		if len(s.Data) > 0 {
			dst = append(dst, byte(s.Encoding))
			dst = append(dst, s.Data...)
		}
	}
	return dst
}
