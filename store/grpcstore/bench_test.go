package grpcstore_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/grpcstore/snappy"
)

// BenchmarkSeries streams series over loopback TCP, client and server in one
// process: frames in and frames out, as between two fan-outs.
func BenchmarkSeries(b *testing.B) {
	const n = 10_000
	ss := seriesOf(b, n, 1)
	frames := framesOf(ss, 64)
	for _, batch := range []int{64, 1} {
		for _, compression := range []string{"", snappy.Name} {
			for _, server := range []string{"ours", "plain"} {
				for _, from := range []string{"frames", "series"} {
					b.Run(fmt.Sprintf("batch=%d/compression=%s/server=%s/from=%s", batch, compression, server, from), func(b *testing.B) {
						var s store.Store = frames
						if from == "series" {
							s = plainStore(ss)
						}
						gopts := grpcstore.GRPCServerOptions(nil)
						if server == "plain" {
							gopts = []grpc.ServerOption{grpc.MaxSendMsgSize(math.MaxInt32)}
						}
						c := overLoopback(b, s, nil, &grpcstore.ClientOptions{BatchSize: batch, Compression: compression}, gopts...)
						req := &store.SeriesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64}
						b.ReportAllocs()
						for b.Loop() {
							var w countFrames
							testutil.Ok(b, c.Series(context.Background(), req, &w))
							if w.series != n {
								b.Fatal(w.series)
							}
						}
						b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/series")
					})
				}
			}
		}
	}
}
