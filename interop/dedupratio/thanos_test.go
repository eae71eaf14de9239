package dedupratio_test

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"

	thanosdedup "github.com/thanos-io/thanos/pkg/dedup"
	thanosquery "github.com/thanos-io/thanos/pkg/query"
	"github.com/thanos-io/thanos/pkg/store/labelpb"
	"github.com/thanos-io/thanos/pkg/store/storepb"
)

// thanosStore answers Thanos' querier with series as its proxy hands them on: each
// once, with the chunks of all replicas.
type thanosStore struct {
	storepb.UnimplementedStoreServer
	responses []*storepb.SeriesResponse
}

func newThanosStore(d *data) *thanosStore {
	s := &thanosStore{}
	for i, rs := range d.series {
		var out []storepb.AggrChunk
		for _, c := range inOrder(rs) {
			out = append(out, storepb.AggrChunk{MinTime: c.minTime, MaxTime: c.maxTime, Raw: &storepb.Chunk{Type: storepb.Chunk_XOR, Data: c.data}})
		}
		s.responses = append(s.responses, storepb.NewSeriesResponse(&storepb.Series{Labels: labelpb.ZLabelsFromPromLabels(labelsOf(i)), Chunks: out}))
	}
	return s
}

// Series implements storepb.StoreServer.
func (s *thanosStore) Series(_ *storepb.SeriesRequest, to storepb.Store_SeriesServer) error {
	for _, r := range s.responses {
		if err := to.Send(r); err != nil {
			return err
		}
	}
	return nil
}

// queryable is Thanos' querier over the store, deduplicating by penalty.
func (s *thanosStore) queryable() storage.Queryable {
	create := thanosquery.NewQueryableCreator(nil, nil, s, 1, time.Minute, thanosdedup.AlgorithmPenalty, 64)
	return create(true, []string{"replica"}, nil, 0, true, false, nil, thanosquery.NoopSeriesStatsReporter)
}

// answer are the series of a thanosStore as its querier has them in memory.
type answer struct {
	*thanosStore
	at int
}

// Next implements storepb.SeriesSet.
func (a *answer) Next() bool { a.at++; return a.at <= len(a.responses) }

// At implements storepb.SeriesSet.
func (a *answer) At() (labels.Labels, []storepb.AggrChunk) {
	s := a.responses[a.at-1].GetSeries()
	return s.PromLabels(), s.Chunks
}

// Err implements storepb.SeriesSet.
func (a *answer) Err() error { return nil }

// merged is what Thanos' querier makes of series in memory (pkg/query/querier.go,
// selectFn), for a selector without a function.
func (s *thanosStore) merged() storage.SeriesSet {
	set := thanosquery.NewPromSeriesSet(thanosdedup.NewOverlapSplit(&answer{thanosStore: s}), math.MinInt64, math.MaxInt64,
		[]storepb.Aggr{storepb.Aggr_COUNT, storepb.Aggr_SUM}, nil)
	return thanosdedup.NewSeriesSet(set, "", thanosdedup.AlgorithmPenalty)
}

// thanosCompaction merges the replicas of a series as Thanos' compactor does, and
// returns how many samples come out.
func thanosCompaction(rs []*replica) (samples int, _ error) {
	var in []storage.ChunkSeries
	for _, r := range rs {
		var metas []chunks.Meta
		for _, c := range r.chunks {
			x := chunkenc.NewXORChunk()
			x.Reset(c.data)
			metas = append(metas, chunks.Meta{MinTime: c.minTime, MaxTime: c.maxTime, Chunk: x})
		}
		in = append(in, &storage.ChunkSeriesEntry{
			Lset:            labelsOf(0),
			ChunkIteratorFn: func(chunks.Iterator) chunks.Iterator { return storage.NewListChunkSeriesIterator(metas...) },
		})
	}
	it := thanosdedup.NewChunkSeriesMerger()(in...).Iterator(nil)
	for it.Next() {
		samples += it.At().Chunk.NumSamples()
	}
	return samples, it.Err()
}
