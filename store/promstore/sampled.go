package promstore

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/internal/remoteproto"
	"github.com/thanoskit/thanoskit/store"
)

const (
	// maxExpansion is more than a snappy block can expand: a copy of 64 bytes
	// takes 3.
	maxExpansion = 32
	// maxRunSeries and maxRunBytes are when a run of series is sent.
	maxRunSeries = 256
	maxRunBytes  = 64 << 10
	// maxPooledBody is the memory above which the buffer of a compressed answer
	// is left to the collector.
	maxPooledBody = 16 << 20
)

// sampled sends the series of a sampled answer, which is one message, encoded
// to chunks.
func (r *remoteReader) sampled(resp *promapi.Response, req *store.SeriesRequest, out *sender) error {
	body, err := r.sampledBody(resp)
	if err != nil {
		return err
	}
	series, err := parseReadResponse(body)
	if err != nil {
		return err
	}
	return sendSampled(series, req, out)
}

// sampledBody reads and decompresses a sampled answer.
func (r *remoteReader) sampledBody(resp *promapi.Response) ([]byte, error) {
	buf, _ := r.bodies.Get().(*bytes.Buffer)
	if buf == nil {
		buf = &bytes.Buffer{}
	}
	defer func() {
		if buf.Cap() <= maxPooledBody {
			buf.Reset()
			r.bodies.Put(buf)
		}
	}()
	if _, err := buf.ReadFrom(resp); err != nil {
		return nil, err
	}
	return decompress(buf.Bytes(), r.maxBytes)
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

// sampledSeries is a series of a sampled answer.
type sampledSeries struct {
	labels     []byte // in canonical form
	message    []byte // its TimeSeries
	histograms bool   // it has native histograms
}

// parseReadResponse returns the series of a ReadResponse, sorted: Prometheus
// does not sort them. They are views of b.
//
// Source: ReadResponse in Prometheus' prompb/remote.proto.
func parseReadResponse(b []byte) ([]sampledSeries, error) {
	result, results := []byte(nil), 0
	f := remoteproto.NewFields(b)
	for f.Next() {
		if f.IsBytes(1) {
			result = f.Bytes
			results++
		}
	}
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case results != 1:
		return nil, fmt.Errorf("%w: %d results for one query", store.ErrMalformed, results)
	}
	n := 0
	for f = remoteproto.NewFields(result); f.Next(); {
		if f.IsBytes(1) {
			n++
		}
	}
	series := make([]sampledSeries, 0, n)
	for f = remoteproto.NewFields(result); f.Next(); {
		if !f.IsBytes(1) {
			continue
		}
		s, err := parseTimeSeries(f.Bytes)
		if err != nil {
			return nil, err
		}
		series = append(series, s)
	}
	if f.Err() != nil {
		return nil, f.Err()
	}
	slices.SortStableFunc(series, func(a, b sampledSeries) int { return encoded.CompareLabels(a.labels, b.labels) })
	return series, nil
}

// parseTimeSeries parses a TimeSeries but for its samples.
func parseTimeSeries(b []byte) (sampledSeries, error) {
	var run remoteproto.LabelRun
	s := sampledSeries{message: b}
	f := remoteproto.NewFields(b)
	for f.Next() {
		switch f.Num {
		case 1:
			if f.Type == protowire.BytesType {
				run.Add(f.From, f.To)
			}
		case 4:
			s.histograms = true
		}
	}
	if f.Err() != nil {
		return s, f.Err()
	}
	var err error
	s.labels, err = run.Canonical(b)
	return s, err
}

// sendSampled encodes and sends sorted series, a run at a time.
func sendSampled(series []sampledSeries, req *store.SeriesRequest, out *sender) error {
	var e encoder
	sent := 0
	for len(series) > 0 && (req.Limit <= 0 || sent < req.Limit) {
		most := min(maxRunSeries, len(series))
		if req.Limit > 0 {
			most = min(most, req.Limit-sent)
		}
		f := encoded.NewFrame(nil)
		f.Series = make([]encoded.Series, 0, most)
		for len(series) > 0 && len(f.Series) < most && f.Size < maxRunBytes {
			s := encoded.Series{Labels: series[0].labels}
			if !req.SkipChunks {
				var err error
				if s.Chunks, err = e.encode(&series[0]); err != nil {
					return ofSeries(err, s.Labels)
				}
			}
			series = series[1:]
			if len(s.Chunks) == 0 && !req.SkipChunks { // no data in the range
				continue
			}
			f.Series, f.Size = append(f.Series, s), f.Size+s.Size()
		}
		sent += len(f.Series)
		if err := out.frame(f); err != nil {
			return err
		}
		f.Release()
	}
	return nil
}
