package tsdbstore

import (
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/internal/rechunk"
	"github.com/thanoskit/thanoskit/store"
)

// errNoData is a chunk that the database did not load.
var errNoData = errors.New("chunk without data")

// carriable appends a chunk of the series to dst: as it is if the StoreAPI can
// carry it, else encoded anew, which may take more chunks than one. Their times
// are those of their first and last samples.
func carriable(dst []chunks.Meta, m chunks.Meta, lset labels.Labels) ([]chunks.Meta, error) {
	switch {
	case m.Chunk == nil:
		return dst, errNoData
	case !promcompat.PlainEncoding(m.Chunk.Encoding()):
		return reencode(dst, m.Chunk, lset)
	case m.MaxTime == math.MaxInt64: // a chunk that is being appended to
		it := m.Chunk.Iterator(nil)
		for m.MaxTime = math.MinInt64; it.Next() != chunkenc.ValNone; {
			m.MaxTime = it.AtT()
		}
		if err := it.Err(); err != nil {
			return dst, err
		}
	}
	return append(dst, m), nil
}

// reencode appends the samples of a chunk to dst in encodings that the StoreAPI
// can carry. Counter resets of histograms between the chunk and the one before
// it become unknown where they were known not to be.
func reencode(dst []chunks.Meta, c chunkenc.Chunk, lset labels.Labels) ([]chunks.Meta, error) {
	var (
		enc rechunk.Encoder
		it  = c.Iterator(nil)
	)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		switch vt {
		case chunkenc.ValFloat, chunkenc.ValHistogram, chunkenc.ValFloatHistogram:
		default:
			return dst, &store.EncodingError{Encoding: c.Encoding(), Series: clone(lset)}
		}
		if err := enc.Sample(vt, it); err != nil {
			return dst, err
		}
	}
	if err := it.Err(); err != nil {
		return dst, err
	}
	for _, e := range enc.Chunks() {
		chk, err := chunkenc.FromData(e.Raw.Encoding, e.Raw.Bytes)
		if err != nil {
			return dst, err
		}
		dst = append(dst, chunks.Meta{MinTime: e.MinTime, MaxTime: e.MaxTime, Chunk: chk})
	}
	return dst, nil
}

// clone returns a copy of labels that may be views of a memory-mapped file.
func clone(lset labels.Labels) labels.Labels {
	sb := labels.NewScratchBuilder(lset.Len())
	return encoded.Labels(encoded.AppendLabels(nil, lset), &sb)
}
