package downsample_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	thanosblock "github.com/thanos-io/thanos/pkg/block"
	"github.com/thanos-io/thanos/pkg/block/metadata"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// TestBlock: of floats alone, index and segments are Thanos' byte for byte, and
// meta.json says the same but for the ULID, index_stats and files, which Thanos'
// compactor adds later. Thanos finds nothing wrong with either.
func TestBlock(t *testing.T) {
	t.Parallel()
	for _, segment := range []int64{0, 20_000} {
		dir := t.TempDir()
		series := blocktest.Random(5, &blocktest.RandomOptions{Series: 120, Samples: 3000, Step: 60_000, Jitter: 20, Gaps: 0.02, Kinds: []blocktest.Kind{blocktest.Counter, blocktest.Gauge, blocktest.Stale}})
		in := blocktest.Build(t, dir, &blocktest.Options{
			ExternalLabels: labels.FromStrings("cluster", "eu1", "replica", "a"), Level: 4, Sources: []ulid.ULID{{1}, {2}}, SegmentSize: segment,
		}, series...)
		for _, to := range []block.Resolution{block.FiveMinutes, block.OneHour} {
			theirs, us := thanos(t, in, dir, to), ours(t, in, dir, to, nil)
			for _, file := range []string{block.IndexFile, block.SegmentName(0)} {
				want, err := os.ReadFile(filepath.Join(theirs, file))
				testutil.Ok(t, err)
				got, err := os.ReadFile(filepath.Join(us, file))
				testutil.Ok(t, err)
				testutil.Assert(t, string(want) == string(got), "%s of %d bytes is not that of Thanos, of %d", file, len(got), len(want))
			}
			want, err := metadata.ReadFromDir(theirs)
			testutil.Ok(t, err)
			got, err := metadata.ReadFromDir(us)
			testutil.Ok(t, err)
			h, err := thanosblock.GatherIndexHealthStats(context.Background(), log.NewNopLogger(), filepath.Join(us, block.IndexFile), got.MinTime, got.MaxTime)
			testutil.Ok(t, err)
			testutil.Ok(t, h.AnyErr())
			testutil.Equals(t, metadata.IndexStats{SeriesMaxSize: max(h.SeriesMaxSize, 0), ChunkMaxSize: max(h.ChunkMaxSize, 0)}, got.Thanos.IndexStats)

			testutil.Assert(t, got.ULID != want.ULID, "ULID")
			got.ULID, got.Thanos.IndexStats, got.Thanos.Files = want.ULID, want.Thanos.IndexStats, want.Thanos.Files
			// Thanos has the numbers of floats and histograms of the raw block there.
			got.Stats.NumFloatSamples, got.Stats.NumHistogramSamples = want.Stats.NumFloatSamples, want.Stats.NumHistogramSamples
			testutil.Equals(t, want, got)
			in = theirs
		}
	}
}
