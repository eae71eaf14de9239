package promcompat

import (
	"fmt"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// NewChunk returns an empty chunk for samples of type vt in the encoding that
// the StoreAPI carries: XOR, histogram or float histogram, never one with start
// timestamps.
//
// Errors: chunkenc.ValNone and types unknown to this package.
func NewChunk(vt chunkenc.ValueType) (chunkenc.Chunk, error) {
	switch vt {
	case chunkenc.ValFloat:
		return chunkenc.NewXORChunk(), nil
	case chunkenc.ValHistogram:
		return chunkenc.NewHistogramChunk(), nil
	case chunkenc.ValFloatHistogram:
		return chunkenc.NewFloatHistogramChunk(), nil
	default:
		return nil, fmt.Errorf("make chunk: no encoding for value type %s", vt)
	}
}

// PlainEncoding reports whether the StoreAPI can carry a chunk of encoding e as
// it is. It is false for the encodings that newer libraries added, XOR2 and the
// histograms with start timestamps: a chunk of these is decoded and encoded
// again.
func PlainEncoding(e chunkenc.Encoding) bool {
	return e == chunkenc.EncXOR || e == chunkenc.EncHistogram || e == chunkenc.EncFloatHistogram
}

// StartTimestamp returns the start timestamp in ms of the sample that it stands
// on, and 0 when the sample or the linked chunkenc.Iterator has none.
func StartTimestamp(it chunkenc.Iterator) int64 {
	if s, ok := it.(interface{ AtST() int64 }); ok {
		return s.AtST()
	}
	return 0
}
