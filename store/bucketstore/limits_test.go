package bucketstore_test

import (
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// TestLimitOfOneByOne stops reading as soon as there is enough, and not before:
// also where series are read one by one.
func TestLimitOfOneByOne(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	put(t, bkt, nil, at(0, 1, "a", "c", "e", "g")...)
	put(t, bkt, nil, at(2*hour, 1, "b", "d", "f", "h")...)
	s := open(t, bkt, &bucketstore.Options{BatchSize: 1})
	for _, maxt := range []int64{hour, 10 * hour} { // of one block, and of two
		for limit := 1; limit <= 4; limit++ {
			a, err := ask(t, s, &store.SeriesRequest{MaxTime: maxt, Limit: limit})
			testutil.Ok(t, err)
			testutil.Equals(t, limit, len(a.series))
		}
	}
}

// TestLimitOfMergedSeries has series that become equal, in batches of one each:
// what is limited is what becomes of them.
func TestLimitOfMergedSeries(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	r := rand.New(rand.NewSource(1))
	var series []block.Series
	for id := range 3 {
		for replica := range 3 {
			values := make([]float64, 20_000)
			for i := range values {
				values[i] = r.Float64()
			}
			lset := labels.FromStrings("__name__", "m", "id", fmt.Sprint(id), "replica", fmt.Sprint(replica))
			series = append(series, blocktest.Floats(lset, 0, 10, values...))
		}
	}
	put(t, bkt, nil, series...)
	s := open(t, bkt, &bucketstore.Options{CallBytes: 1})
	for limit := 1; limit <= 3; limit++ {
		a, err := ask(t, s, &store.SeriesRequest{MaxTime: hour, Limit: limit, WithoutReplicaLabels: []string{"replica"}})
		testutil.Ok(t, err)
		testutil.Equals(t, limit, len(a.series))
	}
}

// TestLimitOfChunkBytes has next to all of its bytes in chunks, which one batch
// reads.
func TestLimitOfChunkBytes(t *testing.T) {
	t.Parallel()
	bkt := newBucket()
	r := rand.New(rand.NewSource(1))
	values := make([]float64, 5000)
	for i := range values {
		values[i] = r.Float64()
	}
	put(t, bkt, nil, blocktest.Floats(labels.FromStrings("__name__", "m"), 0, 10, values...))
	for limit, exceeded := range map[int64]bool{20_000: true, 200_000: false} {
		s := open(t, bkt, &bucketstore.Options{Limits: store.Limits{Bytes: limit}})
		_, err := ask(t, s, &store.SeriesRequest{MaxTime: hour})
		testutil.Equals(t, exceeded, errors.Is(err, store.ErrLimit), "%d bytes: %v", limit, err)
	}
}

// TestLimitsOfCached counts bytes from a cache as those from the bucket.
func TestLimitsOfCached(t *testing.T) {
	t.Parallel()
	f := newTwo(t)
	cache, err := bucketstore.NewMemoryCache(1<<20, nil)
	testutil.Ok(t, err)
	req := &store.SeriesRequest{MaxTime: 10 * hour}
	_, err = ask(t, open(t, f.bkt, &bucketstore.Options{Cache: cache, ChunkCache: cache}), req)
	testutil.Ok(t, err)
	limited := open(t, f.bkt, &bucketstore.Options{Cache: cache, ChunkCache: cache, Limits: store.Limits{Bytes: 100}})
	f.bkt.Reset()
	_, err = ask(t, limited, req)
	limit, ok := errors.AsType[*store.LimitError](err)
	testutil.Assert(t, ok && limit.Limit == "bytes", "%v", err)
	testutil.Equals(t, 0, f.bkt.Stats().Gets().Requests)
}
