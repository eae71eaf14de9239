package bucketstore_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/store"
)

// TestChunksOutOfOrder has a block whose chunks overlap, are not in order, and
// are there twice, as compactors that had a fault have written them.
func TestChunksOutOfOrder(t *testing.T) {
	lset := labels.FromStrings("__name__", "up")
	at := func(from int64) block.Chunk { return blocktest.Floats(lset, from, 1000, 1, 2, 3).Chunks[0] }
	a, b, c := at(0), at(1000), at(50_000)
	bkt := newBucket()
	put(t, bkt, &blocktest.Options{Unchecked: true}, block.Series{Labels: lset, Chunks: []block.Chunk{b, a, c, c}})
	s := open(t, bkt, nil)
	got, err := ask(t, s, &store.SeriesRequest{MaxTime: hour, Matchers: []*labels.Matcher{matcher(labels.MatchEqual, "__name__", "up")}})
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(got.warnings), "%v", got.warnings)
	testutil.Equals(t, 1, len(got.series))
	var times []int64
	for _, c := range got.series[0].Chunks {
		times = append(times, c.MinTime)
	}
	testutil.Equals(t, []int64{0, 1000, 50_000}, times)
}
