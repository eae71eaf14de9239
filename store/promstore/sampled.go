package promstore

import (
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

const (
	// maxExpansion is more than a snappy block can expand: a copy of 64 bytes
	// takes 3.
	maxExpansion = 32
	// maxRunSeries and maxRunBytes are when a run of series is sent.
	maxRunSeries = 256
	maxRunBytes  = 64 << 10
)

// sampled sends the series of a sampled answer, which is one message, encoded
// to chunks.
func (r *reader) sampled(resp *response, req *store.SeriesRequest, out *sender) error {
	compressed, err := io.ReadAll(resp)
	if err != nil {
		return err
	}
	body, err := decompress(compressed, r.s.opts.MaxResponseBytes)
	if err != nil {
		return err
	}
	series, err := parseReadResponse(body)
	if err != nil {
		return err
	}
	return sendSampled(series, req, out)
}

// decompress decodes a snappy block of at most maxBytes, unless that is 0.
func decompress(compressed []byte, maxBytes int64) ([]byte, error) {
	n, err := snappy.DecodedLen(compressed)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: sampled answer: %w", store.ErrMalformed, err)
	case n > maxExpansion*len(compressed):
		return nil, fmt.Errorf("%w: sampled answer of %d bytes claims to hold %d", store.ErrMalformed, len(compressed), n)
	case maxBytes > 0 && int64(n) > maxBytes:
		return nil, &store.LimitError{Limit: "bytes", Max: maxBytes}
	}
	body, err := snappy.Decode(nil, compressed)
	if err != nil {
		return nil, fmt.Errorf("%w: sampled answer: %w", store.ErrMalformed, err)
	}
	return body, nil
}

// sampledSeries is a series of a sampled answer: its labels in canonical form
// and its TimeSeries message.
type sampledSeries struct {
	labels  []byte
	message []byte
}

// parseReadResponse returns the series of a ReadResponse, sorted: Prometheus
// does not sort them. They are views of b.
//
// Source: ReadResponse in Prometheus' prompb/remote.proto.
func parseReadResponse(b []byte) ([]sampledSeries, error) {
	var series []sampledSeries
	results := 0
	err := eachField(b, func(num protowire.Number, typ protowire.Type, v field) error {
		if num != 1 || typ != protowire.BytesType {
			return nil
		}
		results++
		return eachField(v.bytes, func(num protowire.Number, typ protowire.Type, v field) error {
			if num != 1 || typ != protowire.BytesType {
				return nil
			}
			lset, err := labelsOf(v.bytes)
			if err != nil {
				return err
			}
			series = append(series, sampledSeries{lset, v.bytes})
			return nil
		})
	})
	switch {
	case err != nil:
		return nil, err
	case results != 1:
		return nil, fmt.Errorf("%w: %d results for one query", store.ErrMalformed, results)
	}
	slices.SortStableFunc(series, func(a, b sampledSeries) int { return encoded.CompareLabels(a.labels, b.labels) })
	return series, nil
}

// labelsOf returns the labels of a TimeSeries in canonical form.
func labelsOf(b []byte) ([]byte, error) {
	var run labelRun
	err := eachField(b, func(num protowire.Number, typ protowire.Type, v field) error {
		if num == 1 && typ == protowire.BytesType {
			run.add(v.from, v.to)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return run.canonical(b)
}

// sendSampled encodes and sends sorted series, a run at a time.
func sendSampled(series []sampledSeries, req *store.SeriesRequest, out *sender) error {
	f := encoded.NewFrame(nil)
	flush := func() error {
		err := out.frame(f)
		f.Release()
		f = encoded.NewFrame(nil)
		return err
	}
	sent := 0
	for _, s := range series {
		if req.Limit > 0 && sent == req.Limit {
			break
		}
		es := encoded.Series{Labels: s.labels}
		if !req.SkipChunks {
			chunks, err := encodeSamples(s.message)
			switch {
			case err != nil:
				return ofSeries(err, s.labels)
			case len(chunks) == 0: // no data in the range
				continue
			}
			es.Chunks = chunks
		}
		sent++
		f.Series, f.Size = append(f.Series, es), f.Size+es.Size()
		if len(f.Series) < maxRunSeries && f.Size < maxRunBytes {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	if len(f.Series) == 0 {
		return nil
	}
	return flush()
}
