package block

import "github.com/prometheus/prometheus/tsdb/chunkenc"

// indexStatsGatherer computes index_stats as Thanos does, whose gateways size
// what they read by them.
//
// A series' size is the distance to the next one, so the last has none; a chunk's
// is the distance to the next one of its series in the same segment, so the last
// has none, and by Thanos' reckoning neither has the one before it.
//
// Source: Thanos v0.42.4, pkg/block/index.go GatherIndexHealthStats.
type indexStatsGatherer struct {
	last  uint64 // offset of the series before
	stats IndexStats
}

func (g *indexStatsGatherer) add(off uint64, chunks []ChunkMeta) {
	if g.last != 0 {
		g.stats.SeriesMaxSize = max(g.stats.SeriesMaxSize, int64(off-g.last))
	}
	g.last = off
	for i := range len(chunks) - 2 {
		if a, b := chunks[i].Ref, chunks[i+1].Ref; a.Segment() == b.Segment() {
			g.stats.ChunkMaxSize = max(g.stats.ChunkMaxSize, int64(b.Offset())-int64(a.Offset()))
		}
	}
}

// addChunk counts a chunk with so many samples. Those of aggregates are windows,
// of neither kind, as Thanos counts them.
func (s *Stats) addChunk(e chunkenc.Encoding, samples int) {
	s.NumChunks++
	s.NumSamples += uint64(samples)
	switch e {
	case chunkenc.EncXOR:
		s.NumFloatSamples += uint64(samples)
	case chunkenc.EncHistogram, chunkenc.EncFloatHistogram:
		s.NumHistogramSamples += uint64(samples)
	}
}
