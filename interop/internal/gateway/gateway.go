package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/thanos-io/objstore"
	thanosblock "github.com/thanos-io/thanos/pkg/block"
	"github.com/thanos-io/thanos/pkg/block/metadata"
	thanosmodel "github.com/thanos-io/thanos/pkg/model"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	storecache "github.com/thanos-io/thanos/pkg/store/cache"

	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// cacheBytes is the size of an index cache: Thanos' default.
const cacheBytes = 250 << 20

// Settings are those in which gateways are compared.
type Settings struct {
	// Cache gives them an index cache in memory.
	Cache bool
	// Lazy has Thanos open index headers when they are needed. That is not its
	// default; ours always does.
	Lazy bool
}

// Thanos opens Thanos' store gateway as its command does, with the defaults of its
// flags but for what set says. The caller closes it.
func Thanos(ctx context.Context, t testing.TB, bkt objstore.Bucket, dir string, set Settings) *thanosstore.BucketStore {
	t.Helper()
	logger, ibkt := log.NewNopLogger(), objstore.WithNoopInstr(bkt)
	const metaConcurrency, syncConcurrency, sampling = 32, 20, thanosstore.DefaultPostingOffsetInMemorySampling
	from, to := thanosmodel.TimeOrDurationValue{}, thanosmodel.TimeOrDurationValue{}
	testutil.Ok(t, from.Set("0000-01-01T00:00:00Z"))
	testutil.Ok(t, to.Set("9999-12-31T23:59:59Z"))
	f, err := thanosblock.NewMetaFetcher(logger, metaConcurrency, ibkt, thanosblock.NewConcurrentLister(logger, ibkt), dir, nil, []thanosblock.MetadataFilter{
		thanosblock.NewTimePartitionMetaFilter(from, to),
		thanosblock.NewLabelShardedMetaFilter(nil),
		thanosblock.NewConsistencyDelayMetaFilter(logger, 0, nil),
		thanosblock.NewIgnoreDeletionMarkFilter(logger, ibkt, 24*time.Hour, metaConcurrency),
		thanosblock.NewDeduplicateFilter(metaConcurrency),
	})
	testutil.Ok(t, err)
	pool, err := thanosstore.NewDefaultChunkBytesPool(2 << 30)
	testutil.Ok(t, err)
	opts := []thanosstore.BucketStoreOption{
		thanosstore.WithChunkPool(pool),
		thanosstore.WithFilterConfig(&thanosstore.FilterConfig{MinTime: from, MaxTime: to}),
		thanosstore.WithChunkHashCalculation(true),
		thanosstore.WithSeriesBatchSize(thanosstore.SeriesBatchSize),
		thanosstore.WithBlockEstimatedMaxSeriesFunc(func(m metadata.Meta) uint64 {
			return estimate(m.Thanos.IndexStats.SeriesMaxSize, thanosstore.EstimatedMaxSeriesSize)
		}),
		thanosstore.WithBlockEstimatedMaxChunkFunc(func(m metadata.Meta) uint64 {
			return estimate(m.Thanos.IndexStats.ChunkMaxSize, thanosstore.EstimatedMaxChunkSize)
		}),
		thanosstore.WithPostingGroupMaxKeySeriesRatio(100),
		thanosstore.WithSeriesMatchRatio(0.5),
	}
	if set.Cache {
		c, err := storecache.NewInMemoryIndexCacheWithConfig(logger, nil, nil, storecache.InMemoryIndexCacheConfig{
			MaxSize: cacheBytes, MaxItemSize: storecache.DefaultInMemoryIndexCacheConfig.MaxItemSize,
		})
		testutil.Ok(t, err)
		opts = append(opts, thanosstore.WithIndexCache(c))
	}
	s, err := thanosstore.NewBucketStore(ibkt, f, dir,
		thanosstore.NewChunksLimiterFactory(0), thanosstore.NewSeriesLimiterFactory(0), thanosstore.NewBytesLimiterFactory(0),
		thanosstore.NewGapBasedPartitioner(thanosstore.PartitionerMaxGapSize), syncConcurrency, sampling, false, set.Lazy, 5*time.Minute, opts...,
	)
	testutil.Ok(t, err)
	testutil.Ok(t, s.InitialSync(ctx))
	return s
}

// estimate is how Thanos' command chooses a size: what index_stats say, if that is
// less than otherwise.
func estimate(stats int64, otherwise uint64) uint64 {
	if stats > 0 && uint64(stats) < otherwise {
		return uint64(stats)
	}
	return otherwise
}

// Ours opens ours, with its defaults but for what set says. The caller closes it.
func Ours(ctx context.Context, t testing.TB, bkt objstore.BucketReader, dir string, set Settings) *bucketstore.Store {
	t.Helper()
	var opts bucketstore.Options
	if set.Cache {
		c, err := bucketstore.NewMemoryCache(cacheBytes, nil)
		testutil.Ok(t, err)
		opts.Cache = c
	}
	s, err := bucketstore.Open(ctx, bkt, dir, &opts)
	testutil.Ok(t, err)
	return s
}
