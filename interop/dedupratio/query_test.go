package dedupratio_test

import (
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
	"github.com/thanoskit/thanoskit/query"
)

// TestRatioQuery merges at query time.
func TestRatioQuery(t *testing.T) {
	for _, tc := range []struct {
		name    string
		offsets []int64
		// ratio is how many times as long as ours Thanos' has to take at least: the
		// algorithms alone, and a whole select.
		ratio, whole float64
	}{
		{"two", []int64{0, 7000}, 2.5, 2},
		{"two, the second one just before the first", []int64{0, 13_000}, 2.5, 2},
		{"three", []int64{0, 5000, 10_000}, 2.5, 2},
		{"four", []int64{0, 3000, 7000, 11_000}, 2.5, 2},
		// Identical chunks are left out before they are decoded, which is not the
		// algorithms' business.
		{"identical", []int64{0, 0}, 2.5, 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := scrapeAll(t, 8, 12*time.Hour, tc.offsets, 0)
			theirs := newThanosStore(d)
			for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Penalty{}} {
				t.Run(dedupName(alg), func(t *testing.T) {
					t.Run("algorithm", func(t *testing.T) { ratioAlgorithm(t, d, theirs, alg, tc.ratio) })
					t.Run("select", func(t *testing.T) { ratioSelect(t, d, theirs, alg, tc.whole) })
				})
			}
		})
	}
}

func dedupName(alg dedup.Algorithm) string { return alg.(interface{ String() string }).String() }

// ratioAlgorithm compares with an algorithm of ours alone.
func ratioAlgorithm(t *testing.T, d *data, theirs *thanosStore, alg dedup.Algorithm, ratio float64) {
	merges := make([]storage.Series, len(d.series))
	for i, rs := range d.series {
		var its []chunkenc.Iterable
		for _, r := range rs {
			its = append(its, r)
		}
		merges[i] = dedup.NewSeries(labelsOf(i), alg, dedup.Untyped, its...)
		checkMerged(t, alg, rs, walk(t, merges[i].Iterator(nil)), thanosSamples(t, theirs, i))
	}
	var reuse chunkenc.Iterator
	_, ours, r := pair.Work{
		Items:  d.samples,
		Thanos: func() { drainSet(theirs.merged()) },
		Ours: func() {
			for _, s := range merges {
				reuse = s.Iterator(reuse)
				drain(reuse)
			}
		},
	}.Compare(t, *ratioPairs)
	testutil.Equals(t, pair.Cost{}, ours)
	if r.N > 0 {
		testutil.Assert(t, max(r.Median, r.CPU) >= ratio, "median %.2f, of processor time %.2f", r.Median, r.CPU)
	}
}

// ratioSelect compares with a select of package query.
func ratioSelect(t *testing.T, d *data, theirs *thanosStore, alg dedup.Algorithm, ratio float64) {
	q, err := query.New(newMembers(d), &query.Options{ReplicaLabels: []string{"replica"}, Algorithm: alg})
	testutil.Ok(t, err)
	name := labels.MustNewMatcher(labels.MatchEqual, "__name__", "http_requests_total")
	selects := func(q storage.Queryable) func() storage.SeriesSet {
		querier, err := q.Querier(start, start+(12*time.Hour).Milliseconds())
		testutil.Ok(t, err)
		t.Cleanup(func() { testutil.Ok(t, querier.Close()) })
		return func() storage.SeriesSet { return querier.Select(t.Context(), true, nil, name) }
	}
	ofThanos, ofOurs := selects(theirs.queryable()), selects(q.Queryable(nil))

	set := ofOurs()
	for i, rs := range d.series {
		testutil.Assert(t, set.Next(), "%d series", i)
		testutil.Equals(t, labelsOf(i).String(), set.At().Labels().String())
		checkMerged(t, alg, rs, walk(t, set.At().Iterator(nil)), thanosSamples(t, theirs, i))
	}
	testutil.Assert(t, !set.Next())
	testutil.Ok(t, set.Err())

	want, ours, r := pair.Work{
		Items:  d.samples,
		Thanos: func() { drainSet(ofThanos()) },
		Ours:   func() { drainSet(ofOurs()) },
	}.Compare(t, *ratioPairs)
	testutil.Assert(t, ours.Allocs*3 <= want.Allocs, "%.0f allocations beside %.0f", ours.Allocs, want.Allocs)
	if r.N > 0 {
		testutil.Assert(t, max(r.Median, r.CPU) >= ratio, "median %.2f, of processor time %.2f", r.Median, r.CPU)
	}
}

// checkMerged: Penalty gives what Thanos does. Follow gives what a complete replica
// has, the first or the one just before it, but for where it makes up its mind.
func checkMerged(t *testing.T, alg dedup.Algorithm, rs []*replica, got, thanos []sample) {
	t.Helper()
	if alg == (dedup.Penalty{}) {
		requireSame(t, thanos, got)
		return
	}
	own := 0
	for _, r := range rs {
		n := 0
		for _, s := range got {
			if _, ok := slices.BinarySearchFunc(r.samples, s, func(a, b sample) int { return int(a.t - b.t) }); ok {
				n++
			}
		}
		own = max(own, n)
	}
	testutil.Assert(t, len(got)-own <= 2 && len(got) >= len(rs[0].samples)-1, "%d of %d samples are of one replica, which has %d", own, len(got), len(rs[0].samples))
}

func thanosSamples(t *testing.T, s *thanosStore, series int) []sample {
	t.Helper()
	set := s.merged()
	for range series + 1 {
		testutil.Assert(t, set.Next())
	}
	return walk(t, set.At().Iterator(nil))
}

// drainSet reads all series and keeps nothing.
func drainSet(set storage.SeriesSet) {
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		drain(it)
	}
}

// TestRatioIdenticalChunks reads identical replicas out of a ChunkMerger, which
// passes their chunks on undecoded, beside what Thanos' querier makes of them. (Its
// proxy leaves out most of them before, at a price of its own.)
func TestRatioIdenticalChunks(t *testing.T) {
	d := scrapeAll(t, 8, 12*time.Hour, []int64{0, 0}, 0)
	theirs := newThanosStore(d)
	m := &merger{}
	read := &replica{}
	var reuse chunkenc.Iterator
	merge := func(rs []*replica) chunkenc.Iterator {
		m.merge(t, rs)
		read.chunks = read.chunks[:0]
		for _, c := range m.out {
			read.chunks = append(read.chunks, chunk{c.MinTime, c.MaxTime, c.Data})
		}
		return read.Iterator(reuse)
	}
	for i, rs := range d.series {
		requireSame(t, rs[0].samples, walk(t, merge(rs)))
		requireSame(t, rs[0].samples, thanosSamples(t, theirs, i))
	}
	_, _, r := pair.Work{
		Items:  d.samples,
		Thanos: func() { drainSet(theirs.merged()) },
		Ours: func() {
			for _, rs := range d.series {
				reuse = merge(rs)
				drain(reuse)
			}
		},
	}.Compare(t, *ratioPairs)
	if r.N > 0 {
		testutil.Assert(t, max(r.Median, r.CPU) >= 5, "median %.2f, of processor time %.2f", r.Median, r.CPU)
	}
}
