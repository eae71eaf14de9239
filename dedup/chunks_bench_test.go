package dedup_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// BenchmarkChunkMerger merges two replicas of a counter, scraped each 15 s: alike,
// or at other times and with chunks that begin and end elsewhere.
func BenchmarkChunkMerger(b *testing.B) {
	series := func(hours int, offset int64, skip int) []dedup.Chunk {
		var samples []deduptest.Sample
		for i := range hours * 240 {
			samples = append(samples, deduptest.Sample{T: int64(i)*15_000 + offset + int64(i*7%11), Type: chunkenc.ValFloat, V: float64(i * 37)})
		}
		return slices.Concat(encodeChunks(b, samples[:skip], 120), encodeChunks(b, samples[skip:], 120))
	}
	for _, hours := range []int{2, 48} {
		same, other := series(hours, 0, 0), series(hours, 4000, 60)
		for name, replicas := range map[string][][]dedup.Chunk{"alike": {same, same}, "misaligned": {same, other}} {
			for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}, dedup.Penalty{}} {
				b.Run(fmt.Sprintf("%s/%s/%dh", alg, name, hours), func(b *testing.B) {
					m := dedup.ChunkMerger{Algorithm: alg}
					var dst []dedup.Chunk
					b.ReportAllocs()
					for b.Loop() {
						var err error
						dst, err = m.Merge(dst[:0], replicas...)
						testutil.Ok(b, err)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2*hours*240), "ns/sample")
				})
			}
		}
	}
}
