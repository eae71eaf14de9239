package compact_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/thanos-io/objstore"
	thanosblock "github.com/thanos-io/thanos/pkg/block"
	"github.com/thanos-io/thanos/pkg/block/metadata"
	thanosdown "github.com/thanos-io/thanos/pkg/compact/downsample"
	thanosdedup "github.com/thanos-io/thanos/pkg/dedup"
)

// chainMerge and penaltyMerge are what Thanos' compactor merges with by default,
// and with --deduplication.func=penalty.
func chainMerge() storage.VerticalChunkSeriesMergeFunc {
	return storage.NewCompactingChunkSeriesMerger(storage.ChainedSeriesMerge)
}

func penaltyMerge() storage.VerticalChunkSeriesMergeFunc { return thanosdedup.NewChunkSeriesMerger() }

// thanosMerge merges blocks on disk as Thanos' compactor does.
func thanosMerge(ctx context.Context, t testing.TB, dirs []string, out string, merge storage.VerticalChunkSeriesMergeFunc) string {
	t.Helper()
	c, err := tsdb.NewLeveledCompactorWithOptions(ctx, nil, slog.New(slog.DiscardHandler), []int64{hour}, thanosdown.NewPool(),
		tsdb.LeveledCompactorOptions{MergeFunc: merge, EnableOverlappingCompaction: true})
	testutil.Ok(t, err)
	ids, err := c.Compact(out, dirs, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 1, len(ids))
	return filepath.Join(out, ids[0].String())
}

// thanosJob is what Thanos' compactor does for a group: download and check the
// blocks, merge them, check what comes out, and upload it.
//
// Source: Thanos v0.42.4, pkg/compact (*Group).compact.
func thanosJob(ctx context.Context, t testing.TB, bkt objstore.Bucket, dir string, ids []ulid.ULID, merge storage.VerticalChunkSeriesMergeFunc) *metadata.Meta {
	t.Helper()
	logger := log.NewNopLogger()
	dirs := make([]string, len(ids))
	for i, id := range ids {
		dirs[i] = filepath.Join(dir, id.String())
		testutil.Ok(t, thanosblock.Download(ctx, logger, bkt, id, dirs[i]))
		m, err := metadata.ReadFromDir(dirs[i])
		testutil.Ok(t, err)
		stats, err := thanosblock.GatherIndexHealthStats(ctx, logger, filepath.Join(dirs[i], thanosblock.IndexFilename), m.MinTime, m.MaxTime)
		testutil.Ok(t, err)
		testutil.Ok(t, stats.AnyErr())
	}
	made := thanosMerge(ctx, t, dirs, dir, merge)
	testutil.Ok(t, os.Remove(filepath.Join(made, "tombstones")))
	m, err := metadata.ReadFromDir(made)
	testutil.Ok(t, err)
	stats, err := thanosblock.GatherIndexHealthStats(ctx, logger, filepath.Join(made, thanosblock.IndexFilename), m.MinTime, m.MaxTime)
	testutil.Ok(t, err)
	testutil.Ok(t, stats.AnyErr())
	section := metadata.Thanos{
		Labels: map[string]string{"cluster": "eu-1"}, Source: metadata.CompactorSource, SegmentFiles: thanosblock.GetSegmentFiles(made),
	}
	section.IndexStats.ChunkMaxSize, section.IndexStats.SeriesMaxSize = stats.ChunkMaxSize, stats.SeriesMaxSize
	m, err = metadata.InjectThanos(logger, made, section, nil)
	testutil.Ok(t, err)
	testutil.Ok(t, thanosblock.Upload(ctx, logger, bkt, made, metadata.NoneFunc))
	for _, d := range append(dirs, made) {
		testutil.Ok(t, os.RemoveAll(d))
	}
	return m
}

// thanosDownsample is what Thanos' compactor does to downsample a block.
//
// Source: Thanos v0.42.4, cmd/thanos processDownsampling.
func thanosDownsample(ctx context.Context, t testing.TB, bkt objstore.Bucket, dir string, m *metadata.Meta, resolution int64) *metadata.Meta {
	t.Helper()
	logger := log.NewNopLogger()
	source := filepath.Join(dir, m.ULID.String())
	testutil.Ok(t, thanosblock.Download(ctx, logger, bkt, m.ULID, source))
	testutil.Ok(t, thanosblock.VerifyIndex(ctx, logger, filepath.Join(source, thanosblock.IndexFilename), m.MinTime, m.MaxTime))
	made := thanosDownsampled(ctx, t, source, dir, m, resolution)
	stats, err := thanosblock.GatherIndexHealthStats(ctx, logger, filepath.Join(made, thanosblock.IndexFilename), m.MinTime, m.MaxTime)
	testutil.Ok(t, err)
	testutil.Ok(t, stats.AnyErr())
	out, err := metadata.ReadFromDir(made)
	testutil.Ok(t, err)
	out.Thanos.IndexStats.ChunkMaxSize, out.Thanos.IndexStats.SeriesMaxSize = stats.ChunkMaxSize, stats.SeriesMaxSize
	testutil.Ok(t, out.WriteToDir(logger, made))
	testutil.Ok(t, thanosblock.Upload(ctx, logger, bkt, made, metadata.NoneFunc))
	for _, d := range []string{source, made} {
		testutil.Ok(t, os.RemoveAll(d))
	}
	return out
}

// thanosDownsampled downsamples a block on disk as Thanos does.
func thanosDownsampled(ctx context.Context, t testing.TB, source, dir string, m *metadata.Meta, resolution int64) string {
	t.Helper()
	pool := chunkenc.NewPool()
	if m.Thanos.Downsample.Resolution != 0 {
		pool = thanosdown.NewPool()
	}
	b, err := tsdb.OpenBlock(slog.New(slog.DiscardHandler), source, pool, nil)
	testutil.Ok(t, err)
	id, err := thanosdown.Downsample(ctx, log.NewNopLogger(), m, b, dir, resolution)
	testutil.Ok(t, err)
	testutil.Ok(t, b.Close())
	return filepath.Join(dir, id.String())
}
