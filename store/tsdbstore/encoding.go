package tsdbstore

import (
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promcompat"
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
		app  *promcompat.Appender
		kind = chunkenc.ValNone
		it   = c.Iterator(nil)
	)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		t := it.AtT()
		if vt != kind {
			n, err := promcompat.NewChunk(vt)
			if err != nil {
				return dst, &store.EncodingError{Encoding: c.Encoding(), Series: clone(lset)}
			}
			if app, err = promcompat.NewAppender(n); err != nil {
				return dst, err
			}
			dst, kind = append(dst, chunks.Meta{Chunk: n, MinTime: t}), vt
		}
		next, recoded, err := copySample(app, vt, it)
		if err != nil {
			return dst, err
		}
		last := &dst[len(dst)-1]
		switch {
		case next != nil && recoded:
			last.Chunk = next
		case next != nil:
			dst = append(dst, chunks.Meta{Chunk: next, MinTime: t})
			last = &dst[len(dst)-1]
		}
		last.MaxTime = t
	}
	return dst, it.Err()
}

// copySample appends the sample that it stands on. The results are those of the
// appender.
func copySample(app *promcompat.Appender, vt chunkenc.ValueType, it chunkenc.Iterator) (chunkenc.Chunk, bool, error) {
	switch vt {
	case chunkenc.ValHistogram:
		t, h := it.AtHistogram(nil)
		return app.AppendHistogram(nil, t, h, false)
	case chunkenc.ValFloatHistogram:
		t, h := it.AtFloatHistogram(nil)
		return app.AppendFloatHistogram(nil, t, h, false)
	default:
		app.Append(it.At())
		return nil, false, nil
	}
}

// clone returns a copy of labels that may be views of a memory-mapped file.
func clone(lset labels.Labels) labels.Labels {
	sb := labels.NewScratchBuilder(lset.Len())
	return encoded.Labels(encoded.AppendLabels(nil, lset), &sb)
}
