package block

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// checkBuckets refuses a histogram chunk that says that it has more buckets than
// it has bits. Its iterator takes their number on trust and has memory made for
// them, so that 20 bytes can ask for all that there is.
//
// Source: prometheus/tsdb/docs/format/chunks.md, histogram chunk data.
func checkBuckets(e chunkenc.Encoding, data []byte) error {
	if e == chunkenc.EncXOR || data[0]|data[1] == 0 {
		return nil
	}
	r := bitReader{b: data[minChunkSize(e):]}
	if r.take(8) == 255 { // the zero threshold
		r.take(64)
	}
	r.varbit() // the schema
	limit := uint64(8 * len(data))
	buckets := uint64(0)
	for range 2 { // positive, negative
		spans := r.varbit()
		if spans > limit {
			return fmt.Errorf("%w: %d spans in %d bytes", errMalformedChunk, spans, len(data))
		}
		for range spans {
			buckets += uint64(uint32(r.varbit()))
			r.varbit() // the offset
		}
		if buckets > limit {
			return fmt.Errorf("%w: %d buckets in %d bytes", errMalformedChunk, buckets, len(data))
		}
	}
	if r.bad {
		return fmt.Errorf("%w: %w", errMalformedChunk, errShort)
	}
	return nil
}

// errMalformedChunk says that a chunk is not what its encoding says.
var errMalformedChunk = errors.New("malformed chunk")

// decodeSafely decodes a chunk that was not made here. The iterators of
// histograms trust what they read: where that makes them panic, it is an error.
func decodeSafely(decode func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: decoding panics: %v", errMalformedChunk, r)
		}
	}()
	return decode()
}

// bitReader takes bits from the front of bytes. After the first that is not
// there, all are 0 and bad is set.
type bitReader struct {
	b   []byte
	pos int // in bits
	bad bool
}

func (r *bitReader) take(n int) (x uint64) {
	if r.bad || r.pos+n > 8*len(r.b) {
		r.bad = true
		return 0
	}
	for n > 0 {
		c := r.b[r.pos/8] << (r.pos % 8)
		k := min(n, 8-r.pos%8)
		x = x<<k | uint64(c>>(8-k))
		r.pos += k
		n -= k
	}
	return x
}

// varbit takes a number as it was written, its sign not undone.
func (r *bitReader) varbit() uint64 {
	ones := 0
	for ones < 8 && r.take(1) == 1 {
		ones++
	}
	return r.take([...]int{0, 3, 6, 9, 12, 18, 25, 56, 64}[ones])
}

// plain wraps a chunk that has what its header says, as far as that is not found
// out by decoding it.
func plain(e chunkenc.Encoding, data []byte) (chunkenc.Chunk, error) {
	if _, err := plainSamples(e, data); err != nil {
		return nil, err
	}
	if err := checkBuckets(e, data); err != nil {
		return nil, err
	}
	return chunkenc.FromData(e, data)
}
