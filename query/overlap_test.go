package query_test

import (
	"context"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
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
	other := replicas([]store.Chunk{raw(t, every(10, 5, 11, 100, 1)), raw(t, floats(16, 3, 33, 4))})[0]
	other.Labels = labels.FromStrings("__name__", "up", "replica", "a", "z", "1")
	q := newQuerier(t, plainStore(append(replicas(chunks), other)...), &query.Options{ReplicaLabels: []string{"replica"}})
	sq, err := q.Queryable(nil).Querier(0, 1000)
	testutil.Ok(t, err)
	set := sq.Select(context.Background(), true, nil, equals("__name__", "up"))
	testutil.Assert(t, set.Next())
	series := set.At()
	testutil.Assert(t, set.Next())
	var it chunkenc.Iterator
	for i := range want {
		for _, to := range []int64{want[i].t, want[i].t - 1} {
			it = series.Iterator(it)
			var got []sample
			for vt := it.Seek(to); vt != chunkenc.ValNone; vt = it.Next() {
				got = append(got, at(it, vt))
			}
			testutil.Ok(t, it.Err())
			testutil.Equals(t, want[i:], got, "from %d", to)
			it = set.At().Iterator(it)
			for range i {
				testutil.Equals(t, chunkenc.ValFloat, it.Next()) // the other series
			}
		}
	}
	testutil.Ok(t, sq.Close())
}
