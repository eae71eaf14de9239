package dedupcases

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	thanosdedup "github.com/thanos-io/thanos/pkg/dedup"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// thanosOffline is what Thanos' compactor makes of the members' first series: with
// --deduplication.func=penalty, or without, which is chain here.
func thanosOffline(t *testing.T, algorithm string, members []member) []deduptest.Sample {
	t.Helper()
	merge := thanosdedup.NewChunkSeriesMerger()
	if algorithm == "chain" {
		merge = storage.NewCompactingChunkSeriesMerger(storage.ChainedSeriesMerge)
	}
	var series []storage.ChunkSeries
	for _, m := range members {
		series = append(series, &storage.ChunkSeriesEntry{
			Lset: labels.FromStrings("a", "1"),
			ChunkIteratorFn: func(chunks.Iterator) chunks.Iterator {
				return storage.NewListChunkSeriesIterator(m.series[0].chunks...)
			},
		})
	}
	var out []deduptest.Sample
	it := merge(series...).Iterator(nil)
	for it.Next() {
		out = append(out, walkChunk(t, it.At().Chunk)...)
	}
	testutil.Ok(t, it.Err())
	return out
}

// ourOffline is what a ChunkMerger makes of them.
func ourOffline(t *testing.T, alg dedup.Algorithm, members []member) []deduptest.Sample {
	t.Helper()
	replicas := make([][]dedup.Chunk, len(members))
	for i, m := range members {
		for _, c := range m.series[0].chunks {
			replicas[i] = append(replicas[i], dedup.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Chunk.Encoding(), Data: c.Chunk.Bytes()})
		}
	}
	merger := dedup.ChunkMerger{Algorithm: alg}
	merged, err := merger.Merge(nil, replicas...)
	testutil.Ok(t, err)
	var out []deduptest.Sample
	for _, c := range merged {
		chunk, err := chunkenc.FromData(c.Encoding, c.Data)
		testutil.Ok(t, err)
		out = append(out, walkChunk(t, chunk)...)
	}
	return out
}

func walkChunk(t *testing.T, c chunkenc.Chunk) []deduptest.Sample {
	t.Helper()
	out, err := deduptest.Walk(c.Iterator(nil))
	testutil.Ok(t, err)
	return out
}
