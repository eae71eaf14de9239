package query_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// TestIteratorsOfAKindAreReused: one iterator that goes through counters which are
// brought to one level takes no memory but for the first time. One that goes through
// series whose chunks overlap and others in turn goes on with what it has for the
// former; it takes less than twice what each of them alone does.
func TestIteratorsOfAKindAreReused(t *testing.T) {
	histograms := every(10_000, 0, 40, 1, 1)
	for i := range histograms {
		histograms[i].kind = chunkenc.ValHistogram
	}
	counts := every(10_000, 0, 40, 0, 1)
	one := func(chunks ...store.Chunk) [][]store.Chunk { return [][]store.Chunk{chunks} }
	for name, replicas := range map[string][2][][]store.Chunk{
		"counters that are brought to one level": {
			{{counterChunk(t, counts, 39)}, {counterChunk(t, counts[2:], 39)}},
			{{counterChunk(t, counts, 39)}, {counterChunk(t, counts[2:], 39)}},
		},
		"histograms in chunks that overlap": {
			one(raw(t, histograms)),
			one(raw(t, histograms[:30]), raw(t, histograms[10:])),
		},
	} {
		var all []*store.Series
		for i, chunks := range replicas {
			for r, cs := range chunks {
				all = append(all, &store.Series{Labels: labels.FromStrings("__name__", fmt.Sprint("up", i), "replica", fmt.Sprint(r)), Chunks: slices.Clone(cs)})
			}
		}
		q := newQuerier(t, plainStore(all...), &query.Options{ReplicaLabels: []string{"replica"}, MaxResolution: 5 * time.Minute})
		sq, err := q.Queryable(nil).Querier(0, 1_000_000)
		testutil.Ok(t, err)
		set := sq.Select(context.Background(), true, &storage.SelectHints{End: 1_000_000, Func: "increase"})
		var ss []storage.Series
		for set.Next() {
			ss = append(ss, set.At())
		}
		testutil.Ok(t, set.Err())
		testutil.Equals(t, 2, len(ss))
		together, alone := walkAllocations(ss...), walkAllocations(ss[0])+walkAllocations(ss[1])
		testutil.Assert(t, together <= 2*alone, "%s: %v allocations, alone %v", name, together, alone)
		testutil.Assert(t, alone == 0 || name != "counters that are brought to one level", "%s: %v allocations", name, alone)
		testutil.Ok(t, sq.Close())
	}
}

// walkAllocations is how often memory is allocated where one iterator goes through
// series once more.
func walkAllocations(ss ...storage.Series) float64 {
	var it chunkenc.Iterator
	return testing.AllocsPerRun(20, func() {
		for _, s := range ss {
			for it = s.Iterator(it); it.Next() != chunkenc.ValNone; {
			}
		}
	})
}
