package blockdata_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	thanosblock "github.com/thanos-io/thanos/pkg/block"
	"github.com/thanos-io/thanos/pkg/compact/downsample"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// health is what Thanos finds out about a block.
func health(t testing.TB, dir string, m *block.Meta) thanosblock.HealthStats {
	t.Helper()
	h, err := thanosblock.GatherIndexHealthStats(context.Background(), log.NewNopLogger(), filepath.Join(dir, "index"), m.MinTime, m.MaxTime)
	testutil.Ok(t, err)
	return h
}

// TestIndexStats: what a Writer puts into meta.json is what Thanos' compactor
// would.
func TestIndexStats(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		series := blocktest.Random(seed, &blocktest.RandomOptions{Series: 1 + int(seed)*9, Samples: 1 + int(seed*seed)*17, Gaps: 0.1})
		for _, res := range []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour} {
			s := series
			if res != block.Raw {
				s = blocktest.Downsample(res, series...)
			}
			dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{Resolution: res, SegmentSize: int64(5000 * seed)}, s...)
			m, err := block.ReadMeta(dir)
			testutil.Ok(t, err)
			h := health(t, dir, m)
			testutil.Ok(t, h.AnyErr())
			testutil.Equals(t, max(h.SeriesMaxSize, 0), m.Thanos.IndexStats.SeriesMaxSize) // Thanos leaves out what is below 0
			testutil.Equals(t, max(h.ChunkMaxSize, 0), m.Thanos.IndexStats.ChunkMaxSize)
			testutil.Equals(t, uint64(h.TotalSeries), m.Stats.NumSeries)
			testutil.Equals(t, uint64(h.TotalChunks), m.Stats.NumChunks)

			report, err := block.Verify(context.Background(), dir, nil)
			testutil.Ok(t, err)
			testutil.Ok(t, report.Err())
			testutil.Equals(t, m.Thanos.IndexStats, report.IndexStats)
		}
	}
}

// TestHealth: what Thanos counts as wrong with a block, Verify counts as well.
func TestHealth(t *testing.T) {
	t.Parallel()
	c := func(ts ...int64) block.Chunk {
		samples := make([]blocktest.Sample, len(ts))
		for i := range ts {
			samples[i] = blocktest.Sample{T: ts[i], F: 1}
		}
		return blocktest.Chunks(0, samples...)[0]
	}
	for i, chunks := range [][]block.Chunk{
		{c(10, 20), c(30, 40)},
		{c(10, 20), c(20, 40)},
		{c(10, 20), c(10, 20), c(10, 20)},
		{c(50, 60), c(10, 20), c(15, 70)},
		{c(-1, 5), c(6, 7)},
		{c(90, 100)},
		{c(90, 101)},
		{c(100, 120)},
		{c(101, 120), c(130)},
		{c(-9, -5), c(-1, 0), c(100, 101)},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{MaxTime: 100, Unchecked: true}, block.Series{Labels: labels.FromStrings("a", "b"), Chunks: chunks})
			m, err := block.ReadMeta(dir)
			testutil.Ok(t, err)
			h := health(t, dir, m)
			r, err := block.Verify(context.Background(), dir, nil)
			testutil.Ok(t, err)
			testutil.Equals(t, h.OutOfOrderChunks, r.Count(block.UnsortedChunks)+r.Count(block.OverlappingChunks))
			testutil.Equals(t, h.DuplicatedChunks, r.Count(block.DuplicateChunks))
			testutil.Equals(t, h.CompleteOutsideChunks, r.Count(block.CompletelyOutsideChunks))
			testutil.Equals(t, h.Issue347OutsideChunks, r.Count(block.BoundaryChunks))
			testutil.Equals(t, h.OutsideChunks, r.Count(block.CompletelyOutsideChunks)+r.Count(block.BoundaryChunks)+r.Count(block.OutsideChunks))
			testutil.Equals(t, h.AnyErr() == nil && h.DuplicatedChunks == 0, r.Err() == nil)
		})
	}
}

// TestAggregates: Thanos finds the same aggregates in a chunk, and puts them
// together to the same bytes.
func TestAggregates(t *testing.T) {
	t.Parallel()
	chunks := 0
	for _, s := range blocktest.Downsample(block.FiveMinutes, blocktest.Random(5, nil)...) {
		for _, c := range s.Chunks {
			ours, err := blocktest.SplitAggregates(c)
			testutil.Ok(t, err)
			theirs := downsample.AggrChunk(c.Data)
			parts := [5]chunkenc.Chunk{ours.Count, ours.Sum, ours.Min, ours.Max, ours.Counter}
			for k, want := range parts {
				got, err := theirs.Get(downsample.AggrType(k))
				if want == nil {
					testutil.Equals(t, downsample.ErrAggrNotExist, err)
					continue
				}
				testutil.Ok(t, err)
				testutil.Equals(t, want.Encoding(), got.Encoding())
				testutil.Equals(t, want.Bytes(), got.Bytes())
			}
			testutil.Equals(t, c.Data, downsample.EncodeAggrChunk(parts).Bytes())
			n, err := c.NumSamples()
			testutil.Ok(t, err)
			testutil.Equals(t, theirs.NumSamples(), n)
			chunks++
		}
	}
	testutil.Assert(t, chunks >= 20, "%d chunks", chunks)
}
