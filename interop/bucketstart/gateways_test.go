package bucketstart_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/thanos-io/objstore"
	thanosblock "github.com/thanos-io/thanos/pkg/block"
	"github.com/thanos-io/thanos/pkg/block/metadata"
	"github.com/thanos-io/thanos/pkg/model"
	thanosstore "github.com/thanos-io/thanos/pkg/store"
	storecache "github.com/thanos-io/thanos/pkg/store/cache"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
	kit "github.com/thanoskit/thanoskit/store/thanosstore"
)

// cacheBytes is how much memory either index cache has: Thanos' default.
const cacheBytes = 250 << 20

// gateway opens a store gateway over a bucket, with what it knows of it in dir,
// and returns it with how it is closed.
type gateway func(t testing.TB, bkt objstore.Bucket, dir string) (store.Store, func() error)

// thanos opens Thanos' gateway as its program does by default.
func thanos(t testing.TB, bkt objstore.Bucket, dir string) (store.Store, func() error) {
	t.Helper()
	ibkt := objstore.WithNoopInstr(bkt)
	f, err := thanosblock.NewMetaFetcher(log.NewNopLogger(), 32, ibkt, thanosblock.NewConcurrentLister(log.NewNopLogger(), ibkt), dir, nil, nil)
	testutil.Ok(t, err)
	cache, err := storecache.NewInMemoryIndexCacheWithConfig(log.NewNopLogger(), nil, nil, storecache.InMemoryIndexCacheConfig{
		MaxSize: model.Bytes(cacheBytes), MaxItemSize: model.Bytes(cacheBytes / 2),
	})
	testutil.Ok(t, err)
	pool, err := thanosstore.NewDefaultChunkBytesPool(2 << 30)
	testutil.Ok(t, err)
	s, err := thanosstore.NewBucketStore(ibkt, f, dir,
		thanosstore.NewChunksLimiterFactory(0), thanosstore.NewSeriesLimiterFactory(0), thanosstore.NewBytesLimiterFactory(0),
		thanosstore.NewGapBasedPartitioner(thanosstore.PartitionerMaxGapSize), 20, 32, false, true, 0,
		thanosstore.WithIndexCache(cache), thanosstore.WithChunkPool(pool), thanosstore.WithChunkHashCalculation(true),
		thanosstore.WithBlockEstimatedMaxSeriesFunc(atMost(func(m metadata.Meta) int64 { return m.Thanos.IndexStats.SeriesMaxSize }, thanosstore.EstimatedMaxSeriesSize)),
		thanosstore.WithBlockEstimatedMaxChunkFunc(atMost(func(m metadata.Meta) int64 { return m.Thanos.IndexStats.ChunkMaxSize }, thanosstore.EstimatedMaxChunkSize)),
	)
	testutil.Ok(t, err)
	testutil.Ok(t, s.InitialSync(t.Context()))
	return kit.FromServer(s, nil), s.Close
}

// atMost is Thanos' estimate of a size: what index_stats says, if it is less.
func atMost(of func(metadata.Meta) int64, most uint64) thanosstore.BlockEstimator {
	return func(m metadata.Meta) uint64 {
		if n := of(m); n > 0 && uint64(n) < most {
			return uint64(n)
		}
		return most
	}
}

// ours opens ours as its program does by default.
func ours(t testing.TB, bkt objstore.Bucket, dir string) (store.Store, func() error) {
	t.Helper()
	cache, err := bucketstore.NewMemoryCache(cacheBytes, nil)
	testutil.Ok(t, err)
	s, err := bucketstore.Open(t.Context(), bkt, dir, &bucketstore.Options{Cache: cache})
	testutil.Ok(t, err)
	return s, s.Close
}
