package query_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// counterChunk is a downsampled counter: values with resets kept, and the true last
// one again.
func counterChunk(tb testing.TB, ss []sample, last float64) store.Chunk {
	end := ss[len(ss)-1].t
	return store.Chunk{MinTime: ss[0].t, MaxTime: end, Aggregated: &store.AggregatedChunk{
		Counter: data(tb, append(slices.Clone(ss), sample{end, last, chunkenc.ValFloat})),
	}}
}

// TestDownsampledCounters: a counter that was reset before the second replica was
// there, from 1000 to 0. The first one, raised by that, is away for a while and comes
// back. Nothing falls, and over all the counter rises by what it did.
func TestDownsampledCounters(t *testing.T) {
	t.Parallel()
	const window5m = 300_000
	at := func(i int64) int64 { return i * window5m }
	// The first: 900 to 1000, a reset, then 10 in each window; the second since
	// window 10.
	first := slices.Concat(floats(float64(at(1)), 900, float64(at(2)), 1000), every(window5m, at(3), 17, 1010, 10))
	back := every(window5m, at(40), 20, 380, 10)
	second := every(window5m, at(10)+4000, 50, 80, 10)
	for name, rs := range map[string][]*store.Series{
		"identified": replicas(
			[]store.Chunk{counterChunk(t, first, 170), counterChunk(t, back, 570)},
			[]store.Chunk{counterChunk(t, second[:25], 320), counterChunk(t, second[25:], 570)}),
		"the lower one first": replicas(
			[]store.Chunk{counterChunk(t, second[:25], 320), counterChunk(t, second[25:], 570)},
			[]store.Chunk{counterChunk(t, first, 170), counterChunk(t, back, 570)}),
	} {
		q := newQuerier(t, plainStore(rs...), &query.Options{ReplicaLabels: []string{"replica"}, MaxResolution: 5 * time.Minute})
		hints := &storage.SelectHints{End: at(70), Func: "increase"}
		got := read(t, q, 0, at(70), hints, nil)[upSeries]
		testutil.Assert(t, len(got) > 55, name)
		for i := 1; i < len(got); i++ {
			rise := got[i].v - got[i-1].v
			testutil.Assert(t, rise >= 0 && (rise <= 20 || i == 1), "%s: %v after %v", name, got[i], got[i-1])
		}
		testutil.Equals(t, 900.0, got[0].v)
		testutil.Assert(t, got[len(got)-1].v-got[0].v >= 660 && got[len(got)-1].v-got[0].v <= 670, "%s: rises by %v", name, got[len(got)-1].v-got[0].v)

		res, err := q.Range(context.Background(), "increase(up[30m])", time.UnixMilli(at(8)), time.UnixMilli(at(59)), 5*time.Minute, nil)
		testutil.Ok(t, err)
		for _, p := range res.Value.(promql.Matrix)[0].Floats {
			testutil.Assert(t, p.F > 30 && p.F < 90, "%s: increase %v at %d", name, p.F, p.T)
		}
		res.Close()
		// In steps, by seeks, and with an iterator that is used again.
		sq, err := q.Queryable(nil).Querier(0, at(70))
		testutil.Ok(t, err)
		set := sq.Select(t.Context(), true, hints, equals("__name__", "up"))
		testutil.Assert(t, set.Next())
		var it chunkenc.Iterator
		for range 3 {
			it = set.At().Iterator(it)
			var sought []sample
			for next := int64(0); it.Seek(next) != chunkenc.ValNone; next = sought[len(sought)-1].t + 1 {
				sought = append(sought, floatAt(it))
			}
			testutil.Equals(t, fmt.Sprint(got), fmt.Sprint(sought))
		}
		testutil.Ok(t, sq.Close())
	}
}

func floatAt(it chunkenc.Iterator) sample { return at(it, chunkenc.ValFloat) }

// mixed makes a counter that one replica has downsampled, with a reset that the
// other has not seen, and raw from then on, and the other raw only.
func mixed(tb testing.TB, a, b []store.Chunk) []*store.Series {
	const window5m = 300_000
	first := slices.Concat(floats(window5m, 900, 2*window5m, 1000), every(window5m, 3*window5m, 17, 1010, 10))
	return replicas(append([]store.Chunk{counterChunk(tb, first, 170)}, a...), b)
}

// begun is when the raw data of mixed begin, after 1170 of a counter that is at 170.
const begun = 20 * 300_000

// rises asserts that floats do not fall, and returns how many there are.
func rises(tb testing.TB, ss []sample) (n int) {
	last := sample{}
	for _, s := range ss {
		if s.kind != chunkenc.ValFloat {
			continue
		}
		testutil.Assert(tb, s.v >= last.v, "%v after %v", s, last)
		last = s
		n++
	}
	return n
}

// TestDownsampledThenRaw: what is raised comes out in runs, too, where replicas have
// raw data for the time that was not downsampled yet.
func TestDownsampledThenRaw(t *testing.T) {
	t.Parallel()
	a := every(15_000, begun, 100, 170, 1)
	b := every(15_000, begun+7000, 300, 150, 1)
	s := plainStore(mixed(t, []store.Chunk{raw(t, a)}, []store.Chunk{raw(t, b[:100]), raw(t, b[100:200]), raw(t, b[200:])})...)
	hints := &storage.SelectHints{End: 2 * begun, Func: "increase"}
	q := newQuerier(t, s, &query.Options{ReplicaLabels: []string{"replica"}, MaxResolution: 5 * time.Minute})
	got := read(t, q, 0, 2*begun, hints, nil)[upSeries]
	testutil.Assert(t, rises(t, got) > 300)
	end := got[len(got)-1]
	testutil.Equals(t, b[len(b)-1].t, end.t)
	testutil.Assert(t, end.v >= 1170+290 && end.v <= 1170+300, "%v", end)

	// Of an algorithm that says nothing nothing is known, so that the second one falls.
	got = read(t, q, 0, 2*begun, hints, &query.QueryOptions{Algorithm: uncredited{}})[upSeries]
	testutil.Equals(t, 19+len(a)+len(b), len(got))
	testutil.Equals(t, b[len(b)-1], got[len(got)-1])
}

// uncredited is an algorithm that tells no replica whose samples come out.
type uncredited struct{}

func (uncredited) Merge(reuse chunkenc.Iterator, values dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	return dedup.Chain{}.Merge(reuse, values, replicas...)
}

// TestDownsampledThenHistograms: what is no float has no level.
func TestDownsampledThenHistograms(t *testing.T) {
	t.Parallel()
	kinds := func(ss []sample) []sample {
		for i := range ss {
			ss[i].kind = chunkenc.ValHistogram
		}
		return ss
	}
	hints := &storage.SelectHints{End: 2 * begun, Func: "increase"}
	opts := &query.Options{ReplicaLabels: []string{"replica"}, MaxResolution: 5 * time.Minute}
	a, b := kinds(every(15_000, begun, 100, 170, 1)), kinds(every(15_000, begun+7000, 100, 150, 1))
	q := newQuerier(t, plainStore(mixed(t, []store.Chunk{raw(t, a)}, []store.Chunk{raw(t, b)})...), opts)
	got := read(t, q, 0, 2*begun, hints, nil)[upSeries]
	testutil.Assert(t, rises(t, got) <= 20 && len(got) > 110)
	testutil.Equals(t, a[len(a)-2], got[len(got)-2])

	// Floats among histograms, in chunks that overlap, are raised as others are.
	more := every(15_000, begun+500, 100, 150, 1)
	h := kinds(floats(begun+200, 5, begun+700_000, 6))
	q = newQuerier(t, plainStore(mixed(t, nil, []store.Chunk{raw(t, h), raw(t, more)})...), opts)
	got = read(t, q, 0, 2*begun, hints, nil)[upSeries]
	testutil.Assert(t, rises(t, got) > 110 && len(got) > rises(t, got))
	testutil.Equals(t, 1170+99.0, got[len(got)-1].v)

	// To seek what is reached already moves nothing.
	sq, err := q.Queryable(nil).Querier(0, 2*begun)
	testutil.Ok(t, err)
	set := sq.Select(t.Context(), true, hints, equals("__name__", "up"))
	testutil.Assert(t, set.Next())
	it := set.At().Iterator(nil)
	for _, want := range got {
		vt := it.Seek(want.t)
		testutil.Equals(t, want, at(it, vt))
		testutil.Equals(t, vt, it.Seek(want.t-1))
		testutil.Equals(t, want, at(it, vt))
	}
	testutil.Equals(t, chunkenc.ValNone, it.Seek(2*begun))
	testutil.Ok(t, sq.Close())
}
