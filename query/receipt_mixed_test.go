package query_test

import (
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// TestReceiptOfMixedOverlaps: where a chunk of histograms overlaps one of floats,
// both kinds of samples are counted.
func TestReceiptOfMixedOverlaps(t *testing.T) {
	t.Parallel()
	histograms := every(10_000, 5_000, 20, 1, 1)
	for i := range histograms {
		histograms[i].kind = chunkenc.ValHistogram
	}
	out := &store.Outcome{}
	s := plainStore(replicas([]store.Chunk{raw(t, every(10_000, 0, 30, 1, 1)), raw(t, histograms)})...)
	sq, err := newQuerier(t, s, &query.Options{ReplicaLabels: []string{"replica"}}).
		Queryable(&query.QueryOptions{Outcome: out}).Querier(0, 1_000_000)
	testutil.Ok(t, err)
	set := sq.Select(t.Context(), true, nil, equals("__name__", "up"))
	testutil.Assert(t, set.Next())
	kinds := map[chunkenc.ValueType]int{}
	it := set.At().Iterator(nil)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		kinds[vt]++
	}
	testutil.Ok(t, it.Err())
	testutil.Equals(t, map[chunkenc.ValueType]int{chunkenc.ValFloat: 30, chunkenc.ValHistogram: 20}, kinds)
	testutil.Ok(t, sq.Close())
	testutil.Equals(t, []string{`{replica="a"} in 1: 50`}, receipt(out))
}
