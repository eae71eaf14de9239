package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"net/http"
	"net/url"
	"path"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"google.golang.org/grpc"

	"github.com/thanos-io/thanos/pkg/component"
	"github.com/thanos-io/thanos/pkg/promclient"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/interop/internal/pair"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/promstore"
)

// cannedPrometheus is a Prometheus that answers from memory, without a network.
type cannedPrometheus struct {
	contentType string // of an answer to remote read
	body        []byte
}

// cannedLabels are its external labels.
var cannedLabels = labels.FromStrings("cluster", "prod-eu-west-1", "replica", "a")

func (p cannedPrometheus) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return nil, err
		}
		if err := req.Body.Close(); err != nil {
			return nil, err
		}
	}
	contentType, body := "application/json", []byte(`{"status":"success","data":{"version":"3.9.1"}}`)
	switch path.Base(req.URL.Path) {
	case "config":
		body = []byte(`{"status":"success","data":{"yaml":"global: {external_labels: {cluster: prod-eu-west-1, replica: a}}"}}`)
	case "metrics":
		contentType, body = "text/plain", []byte("prometheus_tsdb_lowest_timestamp_seconds 9.223372036854776e+15\n")
	case "read":
		contentType, body = p.contentType, p.body
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {contentType}},
		Body: io.NopCloser(bytes.NewReader(body)), Request: req,
	}, nil
}

// cannedSeries are the labels and the samples of what it answers with: chunks of
// 120 samples, as remote read merges external labels into them.
func cannedSeries(n int) []*prompb.ChunkedSeries {
	out := make([]*prompb.ChunkedSeries, n)
	for i, s := range kubeSeries(n) {
		b := labels.NewBuilder(labelpb.ZLabelsToPromLabels(s.Labels))
		cannedLabels.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
		out[i] = &prompb.ChunkedSeries{
			Labels: prompb.FromLabels(b.Labels(), nil),
			Chunks: []prompb.Chunk{{
				MinTimeMs: s.Chunks[0].MinTime, MaxTimeMs: s.Chunks[0].MaxTime, Type: prompb.Chunk_XOR, Data: s.Chunks[0].Raw.Data,
			}},
		}
	}
	return out
}

func cannedStreamed(t testing.TB, n int) cannedPrometheus {
	t.Helper()
	p := cannedPrometheus{contentType: "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"}
	for _, s := range cannedSeries(n) {
		frame, err := (&prompb.ChunkedReadResponse{ChunkedSeries: []*prompb.ChunkedSeries{s}}).Marshal()
		testutil.Ok(t, err)
		p.body = binary.AppendUvarint(p.body, uint64(len(frame)))
		p.body = binary.BigEndian.AppendUint32(p.body, crc32.Checksum(frame, crc32.MakeTable(crc32.Castagnoli)))
		p.body = append(p.body, frame...)
	}
	return p
}

func cannedSampled(t testing.TB, n int) cannedPrometheus {
	t.Helper()
	result := &prompb.QueryResult{}
	for _, s := range cannedSeries(n) {
		ts := &prompb.TimeSeries{Labels: s.Labels}
		chunk, err := store.ChunkData{Encoding: 1, Bytes: s.Chunks[0].Data}.Chunk()
		testutil.Ok(t, err)
		for it := chunk.Iterator(nil); it.Next() != 0; {
			at, v := it.At()
			ts.Samples = append(ts.Samples, prompb.Sample{Timestamp: at, Value: v})
		}
		result.Timeseries = append(result.Timeseries, ts)
	}
	body, err := (&prompb.ReadResponse{Results: []*prompb.QueryResult{result}}).Marshal()
	testutil.Ok(t, err)
	return cannedPrometheus{contentType: "application/x-protobuf", body: snappy.Encode(nil, body)}
}

// sidecarReader is a client of Thanos' sidecar in process.
type sidecarReader struct {
	grpc.ServerStream
	ctx    context.Context
	answer *seriesAnswer // nil if series are only counted
	series int
}

func (r *sidecarReader) Context() context.Context { return r.ctx }

func (r *sidecarReader) Send(resp *storepb.SeriesResponse) error {
	series := []*storepb.Series{resp.GetSeries()}
	if b := resp.GetBatch(); b != nil {
		series = b.Series
	}
	r.series += len(series)
	if r.answer == nil {
		return nil
	}
	for _, s := range series {
		if err := r.answer.Send(seriesOfThanos(s)); err != nil {
			return err
		}
	}
	return nil
}

// TestRatioPromstore reads the same answers of Prometheus through the store of
// Thanos' sidecar and through promstore, from the bytes of the HTTP body to what
// a merge or a gRPC server takes: external labels applied and sorted.
func TestRatioPromstore(t *testing.T) {
	for name, p := range map[string]cannedPrometheus{"streamed": cannedStreamed(t, ratioSeries), "sampled": cannedSampled(t, ratioSeries)} {
		t.Run(name, func(t *testing.T) {
			base, err := url.Parse("http://prometheus:9090")
			testutil.Ok(t, err)
			thanos, err := thanosstore.NewPrometheusStore(log.NewNopLogger(), nil, promclient.NewClient(&http.Client{Transport: p}, nil, ""), base, component.Sidecar,
				func() labels.Labels { return cannedLabels },
				func() (int64, int64) { return math.MinInt64, math.MaxInt64 },
				func() string { return "3.9.1" })
			testutil.Ok(t, err)
			ours, err := promstore.New(base.String(), &promstore.Options{Client: &http.Client{Transport: p}})
			testutil.Ok(t, err)
			testutil.Ok(t, ours.Sync(t.Context()))

			thanosReq := func() *storepb.SeriesRequest { // it is changed by the store
				return &storepb.SeriesRequest{
					MaxTime: math.MaxInt64, ResponseBatchSize: ratioBatch, WithoutReplicaLabels: []string{"replica"},
					Matchers: []storepb.LabelMatcher{{Type: storepb.LabelMatcher_NEQ, Name: "__name__", Value: ""}},
				}
			}
			req := &store.SeriesRequest{MaxTime: math.MaxInt64, WithoutReplicaLabels: []string{"replica"}}
			want := &seriesAnswer{}
			testutil.Ok(t, thanos.Series(thanosReq(), &sidecarReader{ctx: t.Context(), answer: want}))
			got, err := ourAnswerOf(t, ours, req)
			testutil.Ok(t, err)
			requireAnswer(t, want, got)
			testutil.Equals(t, ratioSeries, len(got.Series))

			theirs, us, r := pair.Work{
				Items: ratioSeries,
				Thanos: func() {
					reader := &sidecarReader{ctx: t.Context()}
					testutil.Ok(t, thanos.Series(thanosReq(), reader))
					testutil.Equals(t, ratioSeries, reader.series)
				},
				Ours: func() {
					var n frameCounter
					testutil.Ok(t, ours.Series(t.Context(), req, &n))
					testutil.Equals(t, ratioSeries, n.series)
				},
			}.Compare(t, *ratioPairs)
			testutil.Assert(t, us.Bytes*2 <= theirs.Bytes, "%.0f bytes beside %.0f", us.Bytes, theirs.Bytes)
			// Sampled answers are the way back for servers that cannot stream: on a
			// par in time, most of which is decoding what Prometheus encodes.
			testutil.Assert(t, r.N == 0 || name != "streamed" || r.Median >= 1, "median %.2f", r.Median)
		})
	}
}
