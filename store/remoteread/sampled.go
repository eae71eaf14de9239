package remoteread

import (
	"context"
	"math"
	"strconv"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/rechunk"
	"github.com/thanoskit/thanoskit/internal/remoteproto"
	"github.com/thanoskit/thanoskit/store"
)

// sampled answers with one message.
func (a *answer) sampled(ctx context.Context, queries []remoteproto.Query) error {
	var body, result []byte
	samples := int64(0)
	for i := range queries {
		q := &queries[i]
		s := &sampler{mint: q.MinTime, maxt: q.MaxTime, names: namesOnly(q), result: result[:0], samples: samples, max: a.h.opts.MaxSamples}
		if err := a.series(ctx, q, s.names, s.series); err != nil {
			return err
		}
		result, samples = s.result, s.samples
		body = protowire.AppendTag(body, 1, protowire.BytesType)
		body = protowire.AppendBytes(body, result)
	}
	if most := math.MaxUint32; snappy.MaxEncodedLen(len(body)) < 0 {
		return &store.LimitError{Limit: "bytes", Max: int64(most)}
	}
	compressed := snappy.Encode(nil, body)
	h := a.w.Header()
	h.Set("Content-Type", remoteproto.MessageType)
	h.Set("Content-Encoding", "snappy")
	h.Set("Content-Length", strconv.Itoa(len(compressed)))
	a.started = true
	_, err := a.w.Write(compressed)
	return err
}

// sampler makes the QueryResult of one query.
type sampler struct {
	mint, maxt   int64
	names        bool // no samples are wanted
	samples, max int64

	result     []byte
	timeSeries []byte
	iterator   rechunk.Samples
	integer    histogram.Histogram
	float      histogram.FloatHistogram
	message    []byte // a sample
}

// series appends a TimeSeries, unless no sample is in the range. Its labels are
// written as those of the StoreAPI are.
func (s *sampler) series(lset []byte, chunks []encoded.Chunk) error {
	s.timeSeries = append(s.timeSeries[:0], lset...)
	if !s.names {
		n := s.samples
		if err := s.appendSamples(rechunk.Sort(chunks)); err != nil {
			return err
		}
		if s.samples == n {
			return nil
		}
	}
	s.result = protowire.AppendTag(s.result, 1, protowire.BytesType)
	s.result = protowire.AppendBytes(s.result, s.timeSeries)
	return nil
}

func (s *sampler) appendSamples(chunks []encoded.Chunk) error {
	it := &s.iterator
	it.Reset(chunks)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		switch t := it.AtT(); {
		case t > s.maxt:
			return nil
		case t < s.mint:
			continue
		}
		field := protowire.Number(4) // histograms
		switch vt {
		case chunkenc.ValHistogram:
			t, h := it.AtHistogram(&s.integer)
			s.message = remoteproto.AppendHistogram(s.message[:0], t, h)
		case chunkenc.ValFloatHistogram:
			t, h := it.AtFloatHistogram(&s.float)
			s.message = remoteproto.AppendFloatHistogram(s.message[:0], t, h)
		default:
			t, v := it.At()
			field, s.message = 2, remoteproto.AppendSample(s.message[:0], t, v)
		}
		s.timeSeries = protowire.AppendTag(s.timeSeries, field, protowire.BytesType)
		s.timeSeries = protowire.AppendBytes(s.timeSeries, s.message)
		if s.samples++; s.samples > s.max {
			return &store.LimitError{Limit: "samples", Max: s.max}
		}
	}
	return it.Err()
}
