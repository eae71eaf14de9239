package block

import (
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/internal/recode"
)

// EncodingAggregates is the encoding of chunks of downsampled data: up to five
// chunks in one, for count, sum, min, max and counter.
const EncodingAggregates = aggr.Encoding

// ChunkRef says where in a block a chunk lies: the number of the segment,
// counted from 0, in the upper 32 bits, the offset in it in the lower.
type ChunkRef uint64

// Segment returns the number of the segment, counted from 0.
func (r ChunkRef) Segment() int { return int(r >> 32) }

// Offset returns the offset in bytes into the segment.
func (r ChunkRef) Offset() uint32 { return uint32(r) }

// String returns "segment 0 at 8".
func (r ChunkRef) String() string { return fmt.Sprintf("segment %d at %d", r.Segment(), r.Offset()) }

// ChunkMeta is what an index says about a chunk. Its range is in ms, both ends
// inclusive.
type ChunkMeta struct {
	MinTime, MaxTime int64
	Ref              ChunkRef
}

// Chunk is a chunk of a series as it is in a block.
type Chunk struct {
	// MinTime and MaxTime are those of the first and the last sample in ms.
	MinTime, MaxTime int64
	// Encoding is one of chunkenc's, or EncodingAggregates.
	Encoding chunkenc.Encoding
	// Data is the chunk without length, encoding and checksum.
	Data []byte
	// Record is the chunk as it lies in a segment: length, encoding, data and
	// CRC-32C. It is nil for a chunk that does not come from a block. A Writer
	// that is given a Record copies it, checksum and all, and goes by nothing
	// else for what the chunk holds: who changes Encoding or Data clears it.
	Record []byte
}

// knownEncoding reports whether this version can tell what is in a chunk.
func knownEncoding(e chunkenc.Encoding) bool {
	return e == EncodingAggregates || promcompat.PlainEncoding(e)
}

// NumSamples returns how many samples the chunk says that it has, without
// decoding it: for aggregates, how many windows.
//
// Errors: if there are too few bytes, or the encoding is not known.
func (c *Chunk) NumSamples() (int, error) {
	switch {
	case c.Encoding == EncodingAggregates:
		a, err := aggr.Parse(c.Data)
		if err != nil {
			return 0, err
		}
		count := a[aggr.Count]
		if count.Encoding == chunkenc.EncNone {
			return 0, nil
		}
		return plainSamples(count.Encoding, count.Data)
	default:
		return plainSamples(c.Encoding, c.Data)
	}
}

func plainSamples(e chunkenc.Encoding, data []byte) (int, error) {
	if !promcompat.PlainEncoding(e) {
		return 0, fmt.Errorf("chunk encoding %d: %w", e, ErrUnsupported)
	}
	return recode.Samples(e, data)
}

// plain wraps a chunk that has what its header says, as far as that is not found
// out by decoding it.
func plain(e chunkenc.Encoding, data []byte) (chunkenc.Chunk, error) {
	if _, err := plainSamples(e, data); err != nil {
		return nil, err
	}
	return recode.Open(e, data)
}

// Plain returns the chunks in c that hold samples, in the order count, sum, min,
// max, counter for aggregates, absent ones nil, and c alone for any other.
//
// Output: chunks over c's memory, none of which may be appended to.
// Errors: bytes that are no chunk, and ErrUnsupported for an encoding that is
// not known.
func (c *Chunk) Plain() ([]chunkenc.Chunk, error) {
	if c.Encoding != EncodingAggregates {
		p, err := plain(c.Encoding, c.Data)
		return []chunkenc.Chunk{p}, err
	}
	a, err := aggr.Parse(c.Data)
	if err != nil {
		return nil, err
	}
	out := make([]chunkenc.Chunk, aggr.Kinds)
	for k, sub := range a {
		if sub.Encoding == chunkenc.EncNone {
			continue
		}
		if out[k], err = plain(sub.Encoding, sub.Data); err != nil {
			return nil, fmt.Errorf("%s: %w", aggr.Kind(k), err)
		}
	}
	return out, nil
}
