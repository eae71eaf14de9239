package bucketstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

const (
	benchBlocks = 4
	benchSeries = 5000
	benchChunks = 8 // of each series in each block
)

// benchStore returns a Store over blocks that all have the same series, each
// block with two hours of every of its chunks, in a directory.
func benchStore(b testing.TB, opts *bucketstore.Options) *bucketstore.Store {
	bkt, err := filesystem.NewBucket(b.TempDir())
	testutil.Ok(b, err)
	for i := range benchBlocks {
		put(b, bkt, &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "eu-1", "replica", "a")}, benchData(i)...)
	}
	s, err := bucketstore.Open(context.Background(), bkt, b.TempDir(), opts)
	testutil.Ok(b, err)
	b.Cleanup(func() { testutil.Ok(b, s.Close()) })
	return s
}

// benchData returns the series of a block. Some gauges are shared out among the
// series.
func benchData(n int) []block.Series {
	const kinds = 16
	from := int64(n) * benchChunks * store.SamplesPerChunk * 60_000
	var gauges [kinds][]block.Chunk
	for k := range gauges {
		vs := make([]float64, benchChunks*store.SamplesPerChunk)
		for i := range vs {
			vs[i] = float64((i*i*7919 + k*104729) % 1000)
		}
		gauges[k] = blocktest.Floats(labels.EmptyLabels(), from, 60_000, vs...).Chunks
	}
	out := make([]block.Series, benchSeries)
	for i := range out {
		out[i] = block.Series{Chunks: gauges[i%kinds], Labels: labels.FromStrings(
			"__name__", fmt.Sprintf("http_requests_%d_total", i%50), "container", "api-server", "instance", fmt.Sprintf("10.0.%d.%d:9090", i/250, i%250),
			"job", "kubernetes-pods", "namespace", fmt.Sprintf("team-%03d", i%100), "pod", fmt.Sprintf("api-server-7c9f6b7d5-%05d", i),
		)}
	}
	return out
}

// sink takes frames and counts.
type sink struct{ series, chunks, bytes int }

func (s *sink) Send(*store.Series) error { return nil }
func (s *sink) Warn(err error) error     { return err }
func (s *sink) SendFrame(f *encoded.Frame) error {
	for i := range f.Series {
		s.series++
		s.chunks += len(f.Series[i].Chunks)
		s.bytes += f.Series[i].Size()
	}
	return nil
}

// BenchmarkSeries streams all series of four blocks.
func BenchmarkSeries(b *testing.B) {
	for _, tc := range []struct {
		name string
		req  store.SeriesRequest
		opts bucketstore.Options
	}{
		{name: "chunks"},
		{name: "chunks, replica label removed", req: store.SeriesRequest{WithoutReplicaLabels: []string{"replica"}}},
		{name: "labels", req: store.SeriesRequest{SkipChunks: true}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			s := benchStore(b, &tc.opts)
			req := tc.req
			req.MaxTime = 1 << 50
			var got sink
			b.ReportAllocs()
			for b.Loop() {
				got = sink{}
				testutil.Ok(b, s.Series(context.Background(), &req, &got))
			}
			testutil.Equals(b, benchSeries, got.series)
			b.SetBytes(int64(got.bytes))
			b.ReportMetric(float64(got.series)*float64(b.N)/b.Elapsed().Seconds(), "series/s")
			b.ReportMetric(float64(got.chunks)*float64(b.N)/b.Elapsed().Seconds(), "chunks/s")
		})
	}
}
