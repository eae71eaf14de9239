package bucketstore_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// TestConformance runs the kit over buckets of one raw block, of several with
// downsampled ones beside them, and with caches and so little memory that
// everything is read in many small batches.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lacks map[storetest.Feature]string
		cuts  int // of raw data
		opts  func(t testing.TB) *bucketstore.Options
	}{
		"raw":   {lacks: map[storetest.Feature]string{storetest.DownsampledData: "blocks are raw"}},
		"mixed": {cuts: 3},
		"small batches, cached": {cuts: 1, opts: func(t testing.TB) *bucketstore.Options {
			cache, err := bucketstore.NewMemoryCache(1<<20, nil)
			testutil.Ok(t, err)
			return &bucketstore.Options{BatchSize: 7, CallBytes: 1, Cache: cache, ChunkCache: cache}
		}},
	} {
		if name == "raw" && bucketstore.RaceDivisor > 1 {
			continue // One block has no goroutine that several have not.
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, storetest.Harness{
				Lacks: tc.lacks,
				New: func(t testing.TB, f *storetest.Fixture) store.Store {
					bkt := newBucket()
					mint, maxt := f.TimeRange()
					var cuts []int64
					for i := range tc.cuts {
						cuts = append(cuts, mint+int64(i+1)*(maxt-mint)/int64(tc.cuts+1))
					}
					putFixture(t, bkt, f, cuts...)
					var opts *bucketstore.Options
					if tc.opts != nil {
						opts = tc.opts(t)
					}
					return open(t, bkt, opts)
				},
			})
		})
	}
}
