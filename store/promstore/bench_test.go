package promstore_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// answers is a Prometheus of which every answer is known.
type answers struct {
	external    string // YAML of the external labels
	contentType string
	body        []byte
}

func (a answers) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	contentType, body := "application/json", []byte(`{"status":"success","data":{"version":"3.9.1"}}`)
	switch {
	case strings.HasSuffix(req.URL.Path, "/config"):
		body = fmt.Appendf(nil, `{"status":"success","data":{"yaml":"global: {external_labels: {%s}}"}}`, a.external)
	case strings.HasSuffix(req.URL.Path, "/metrics"):
		contentType, body = "text/plain", []byte("prometheus_tsdb_lowest_timestamp_seconds 9.223372036854776e+15\n")
	case strings.HasSuffix(req.URL.Path, "/read"):
		contentType, body = a.contentType, a.body
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(bytes.NewReader(body)), Request: req,
	}, nil
}

const (
	streamedType = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
	sampledType  = "application/x-protobuf"
)

// synced returns a Store over rt.
func synced(tb testing.TB, rt http.RoundTripper, opts promstore.Options) *promstore.Store {
	tb.Helper()
	opts.Client = &http.Client{Transport: rt}
	s, err := promstore.New("http://prometheus:9090", &opts)
	testutil.Ok(tb, err)
	testutil.Ok(tb, s.Sync(context.Background()))
	return s
}

// appendFrame appends a frame of a streamed answer.
func appendFrame(b []byte, m *prompb.ChunkedReadResponse) []byte {
	body, err := m.Marshal()
	if err != nil {
		panic(err)
	}
	return appendRawFrame(b, body)
}

func appendRawFrame(b, body []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, body...)
}

func xorBytes(n int) []byte {
	c := chunkenc.NewXORChunk()
	app, err := promcompat.NewAppender(c)
	if err != nil {
		panic(err)
	}
	for i := range n {
		app.Append(int64(1000+15000*i), float64(i*i%97))
	}
	return c.Bytes()
}

func seriesLabels(i int) []prompb.Label {
	return prompb.FromLabels(labels.FromStrings(
		"__name__", fmt.Sprintf("http_request_duration_seconds_bucket_%03d", i/100), "cluster", "eu-west-1", "handler", "/api/v1/query_range",
		"instance", fmt.Sprintf("10.0.%d.%d:9090", i%100/10, i%10), "job", "prometheus", "le", "0.25", "replica", "a",
	), nil)
}

func streamedBody(series, chunks int) []byte {
	data := xorBytes(120)
	var b []byte
	for i := range series {
		s := &prompb.ChunkedSeries{Labels: seriesLabels(i)}
		for j := range chunks {
			s.Chunks = append(s.Chunks, prompb.Chunk{MinTimeMs: int64(j) * 1800_000, MaxTimeMs: int64(j)*1800_000 + 1799_999, Type: prompb.Chunk_XOR, Data: data})
		}
		b = appendFrame(b, &prompb.ChunkedReadResponse{ChunkedSeries: []*prompb.ChunkedSeries{s}})
	}
	return b
}

func sampledBody(series, samples int) []byte {
	resp := &prompb.ReadResponse{Results: []*prompb.QueryResult{{}}}
	for i := range series {
		ts := &prompb.TimeSeries{Labels: seriesLabels(i)}
		for j := range samples {
			ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: int64(1000 + 15000*j), Value: float64(j * j % 97)})
		}
		resp.Results[0].Timeseries = append(resp.Results[0].Timeseries, ts)
	}
	b, err := resp.Marshal()
	if err != nil {
		panic(err)
	}
	return snappy.Encode(nil, b)
}

// counter is a writer that takes frames and counts.
type counter struct{ series, chunks int }

func (c *counter) Send(s *store.Series) error {
	c.series++
	c.chunks += len(s.Chunks)
	return nil
}

func (*counter) Warn(error) error { return nil }

type frameCounter struct{ counter }

func (c *frameCounter) SendFrame(f *encoded.Frame) error {
	c.series += len(f.Series)
	for i := range f.Series {
		c.chunks += len(f.Series[i].Chunks)
	}
	return nil
}

func BenchmarkSeries(b *testing.B) {
	const series = 10_000
	for _, bb := range []struct {
		name     string
		external string
		frames   bool
		answer   answers
	}{
		{"streamed/frames/sorted", "cluster: eu-west-1, replica: a", true, answers{contentType: streamedType, body: streamedBody(series, 1)}},
		{"streamed/frames/asis", "", true, answers{contentType: streamedType, body: streamedBody(series, 1)}},
		{"streamed/plain", "cluster: eu-west-1, replica: a", false, answers{contentType: streamedType, body: streamedBody(series, 1)}},
		{"streamed/frames/12chunks", "cluster: eu-west-1, replica: a", true, answers{contentType: streamedType, body: streamedBody(series, 12)}},
		{"sampled/frames", "cluster: eu-west-1, replica: a", true, answers{contentType: sampledType, body: sampledBody(series, 120)}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			bb.answer.external = bb.external
			s := synced(b, bb.answer, promstore.Options{AllowNoExternalLabels: true})
			req := &store.SeriesRequest{MinTime: 0, MaxTime: 1 << 40}
			b.SetBytes(int64(len(bb.answer.body)))
			b.ReportAllocs()
			for b.Loop() {
				var w store.SeriesWriter
				fc := &frameCounter{}
				if w = fc; !bb.frames {
					w = &fc.counter
				}
				testutil.Ok(b, s.Series(context.Background(), req, w))
				testutil.Equals(b, series, fc.series)
			}
			b.ReportMetric(float64(series)*float64(b.N)/b.Elapsed().Seconds(), "series/s")
		})
	}
}
