package query_test

import (
	"context"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// TestOverlap: all samples of one replica's chunks that overlap count, from wherever
// they are looked for, and none of a series that was left half-way.
func TestOverlap(t *testing.T) {
	t.Parallel()
	all := every(10, 0, 11, 1, 1)
	chunks := []store.Chunk{raw(t, all), raw(t, floats(20, 3, 25, 9, 30, 4))}
	want := floats(0, 1, 10, 2, 20, 3, 25, 9, 30, 4, 40, 5, 50, 6, 60, 7, 70, 8, 80, 9, 90, 10, 100, 11)
	q := newQuerier(t, plainStore(replicas(chunks)...), &query.Options{ReplicaLabels: []string{"replica"}})
	sq, err := q.Queryable(nil).Querier(0, 1000)
	testutil.Ok(t, err)
	set := sq.Select(context.Background(), true, nil, equals("__name__", "up"))
	testutil.Assert(t, set.Next())
	var it chunkenc.Iterator
	for i := range want {
		for _, to := range []int64{want[i].t, want[i].t - 1} {
			it = set.At().Iterator(it) // of which the last one has read up to want[i-1], or nothing
			var got []sample
			for vt := it.Seek(to); vt != chunkenc.ValNone; vt = it.Next() {
				got = append(got, at(it, vt))
			}
			testutil.Ok(t, it.Err())
			testutil.Equals(t, want[i:], got, "from %d", to)
			it = set.At().Iterator(it)
			for range i {
				testutil.Equals(t, chunkenc.ValFloat, it.Next())
			}
		}
	}
	testutil.Ok(t, sq.Close())
}
