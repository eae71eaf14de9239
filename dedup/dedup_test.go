package dedup_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

var noLabels = labels.EmptyLabels()

func TestParse(t *testing.T) {
	t.Parallel()
	for _, want := range algorithms() {
		name := want.(fmt.Stringer).String()
		if got, err := dedup.Parse(name); err != nil || got != want {
			t.Errorf("parse %q: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "Penalty", "penalty ", "overlap"} {
		alg, err := dedup.Parse(name)
		var unknown *dedup.UnknownAlgorithmError
		if alg != nil || !errors.As(err, &unknown) || unknown.Name != name {
			t.Errorf("parse %q: %v, %v", name, alg, err)
		}
	}
}

func TestValuesString(t *testing.T) {
	t.Parallel()
	var zero dedup.Values
	if got := fmt.Sprint(zero, dedup.Counters, dedup.Values(7)); got != "untyped counters Values(7)" {
		t.Error(got)
	}
}

func algorithms() []dedup.Algorithm {
	return []dedup.Algorithm{dedup.Follow{}, dedup.Penalty{}, dedup.Chain{}}
}

// TestMergeFew shows that nothing is merged where there is nothing to merge.
func TestMergeFew(t *testing.T) {
	t.Parallel()
	r := deduptest.Replica{
		float(0, 1),
		{T: 15, Type: chunkenc.ValHistogram, V: 2, Hint: histogram.CounterReset},
	}
	for _, alg := range algorithms() {
		for _, reuse := range []chunkenc.Iterator{
			nil,
			chunkenc.NewNopIterator(),
			alg.Merge(nil, dedup.Untyped, r, r),
			deduptest.Replica{}.Iterator(nil),
		} {
			it := alg.Merge(reuse, dedup.Counters)
			if vt, err := it.Next(), it.Err(); vt != chunkenc.ValNone || err != nil {
				t.Errorf("%s: no replica: %s, %v", alg, vt, err)
			}
			got, err := deduptest.Walk(alg.Merge(reuse, dedup.Counters, r))
			if err != nil || deduptest.Differ(r, got) >= 0 {
				t.Errorf("%s: one replica: %v, %v", alg, got, err)
			}
		}
	}
}

// TestMergeReuse merges series after series with the iterator of the one before,
// whatever algorithm, number of replicas and state it comes from.
func TestMergeReuse(t *testing.T) {
	t.Parallel()
	var timelines []deduptest.Timeline
	for _, name := range []string{"testdata/penalty.timeline", "testdata/thanos-v0.42.4.timeline"} {
		timelines = append(timelines, readTimelines(t, name)...)
	}
	var long deduptest.Replica
	for i := range int64(50) {
		long = append(long, float(i*15_000, 1e6))
	}
	var it chunkenc.Iterator
	for i, tl := range timelines {
		for k, want := range tl.Wants {
			alg, err := dedup.Parse(want.Algorithm)
			if err != nil {
				t.Fatal(err)
			}
			it = alg.Merge(it, want.Values, deduptest.Iterables(tl.Replicas)...)
			got, err := deduptest.Walk(it, want.Steps...)
			if err != nil || deduptest.Differ(want.Samples, got) >= 0 {
				t.Fatalf("%s: want %v, got %v, %v", tl.Name, want.Samples, got, err)
			}
			if (i+k)%3 == 0 { // An iterator left half-way, in the middle of runs.
				it = alg.Merge(it, want.Values, long.Runs(50), long.Runs(50))
				it.Next()
				it.Next()
			}
			if (i+k)%5 == 0 {
				it = alg.Merge(it, want.Values, tl.Replicas[0])
			}
		}
	}
}

func TestMergeAllocatesNothing(t *testing.T) {
	a, b := deduptest.Replica{float(0, 1), float(15, 2), float(90_000, 3)}, deduptest.Replica{float(1, 1), float(16, 2)}
	for _, alg := range algorithms() {
		for n, replicas := range map[int][]chunkenc.Iterable{1: {a}, 2: {a, b}, 3: {a, b, a}} {
			var it chunkenc.Iterator
			allocs := testing.AllocsPerRun(100, func() {
				it = alg.Merge(it, dedup.Counters, replicas...)
				for it.Next() != chunkenc.ValNone {
					it.At()
				}
				if it.Err() != nil {
					t.Error(it.Err())
				}
			})
			if allocs != 0 {
				t.Errorf("%s of %d replicas: %v allocations", alg, n, allocs)
			}
		}
	}
}

// TestMergeFewReuse shows that a lone replica iterates in the memory of a merging
// iterator, and that a merging one takes over a lone replica's.
func TestMergeFewReuse(t *testing.T) {
	r := deduptest.Replica{float(0, 1)}
	two := []chunkenc.Iterable{r, r}
	for _, alg := range algorithms() {
		merged := alg.Merge(nil, dedup.Untyped, two...)
		if allocs := testing.AllocsPerRun(50, func() { alg.Merge(merged, dedup.Untyped, two[:1]...) }); allocs != 0 {
			t.Errorf("%s: %v allocations for a lone replica", alg, allocs)
		}
		lone := two[0].Iterator(nil)
		without := testing.AllocsPerRun(50, func() { alg.Merge(nil, dedup.Untyped, two...) })
		with := testing.AllocsPerRun(50, func() { alg.Merge(lone, dedup.Untyped, two...) })
		if with != without-1 {
			t.Errorf("%s: %v allocations with an iterator to reuse, %v without", alg, with, without)
		}
	}
}

// TestMergeRuns shows that it makes no difference whether replicas hand out runs
// of floats, of whatever lengths, or single samples.
func TestMergeRuns(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000 / raceDivisor) {
		rng := rand.New(rand.NewPCG(seed, 2))
		replicas := deduptest.Random(rng)
		if seed%10 == 0 { // More than are merged at a time, and mostly two.
			replicas = replicas[:2]
			for i := range replicas {
				replicas[i] = nil
				for at := int64(i * 7); len(replicas[i]) < 500; at += 15_000 + rng.Int64N(3) {
					if rng.IntN(300) == 0 {
						at += rng.Int64N(200_000)
					}
					replicas[i] = append(replicas[i], float(at, float64(at/1000+int64(rng.IntN(20)))))
				}
			}
		}
		steps := deduptest.RandomSteps(rng, replicas)
		runs := make([]chunkenc.Iterable, len(replicas))
		for i, r := range replicas {
			runs[i] = r.Runs(1 + rng.IntN(300)>>rng.IntN(9))
		}
		for _, alg := range algorithms() {
			for _, values := range []dedup.Values{dedup.Untyped, dedup.Counters} {
				want, err := deduptest.Walk(alg.Merge(nil, values, deduptest.Iterables(replicas)...), steps...)
				if err != nil {
					t.Fatal(err)
				}
				got, err := deduptest.Walk(alg.Merge(nil, values, runs...), steps...)
				if i := deduptest.Differ(want, got); err != nil || i >= 0 {
					t.Fatalf("seed %d: %s of %s values, steps %v: from sample %d on:\nwant %v\ngot  %v, %v\n%s",
						seed, alg, values, steps, i, want, got, err, deduptest.Timeline{Replicas: replicas})
				}
			}
		}
	}
}

// TestPenaltyRunsTie has samples of both replicas at the very time at which the penalty
// of the left one ends, when it is the right one's turn.
func TestPenaltyRunsTie(t *testing.T) {
	t.Parallel()
	left := deduptest.Replica{float(15_000, 1), float(30_001, 2), float(50_000, 3), float(70_000, 4), float(90_000, 5)}
	right := deduptest.Replica{float(0, 10), float(10_000, 11), float(30_001, 12), float(50_000, 13), float(70_000, 14)}
	want := deduptest.Replica{float(0, 10), float(10_000, 11), float(30_001, 2), float(50_000, 3), float(70_000, 4), float(90_000, 5)}
	for _, replicas := range [][]chunkenc.Iterable{{left, right}, {left.Runs(9), right.Runs(9)}} {
		got, err := deduptest.Walk(dedup.Penalty{}.Merge(nil, dedup.Untyped, replicas...))
		if i := deduptest.Differ(want, got); err != nil || i >= 0 {
			t.Errorf("from sample %d on: want %v, got %v, %v", i, want, got, err)
		}
	}
}

// TestMergeAsksNoMore shows that a replica that has ended is left alone, whatever
// it would say: some iterators of Prometheus go back to their last sample.
func TestMergeAsksNoMore(t *testing.T) {
	t.Parallel()
	short, long := deduptest.Replica{float(0, 1)}, deduptest.Replica{float(1, 1), float(20_000, 2), float(30_000, 3), float(40_000, 4)}
	for _, alg := range algorithms() {
		for _, replicas := range [][]deduptest.Replica{{short, long}, {long, short}, {short, short}, {nil, long}, {short, long, short}} {
			var asked int
			var once []chunkenc.Iterable
			for _, r := range replicas {
				once = append(once, ending{r, &asked})
			}
			it := alg.Merge(nil, dedup.Counters, once...)
			for _, to := range []int64{20_000, 25_000, 35_000, 45_000, 45_000, 0} {
				it.Seek(to)
				it.Next()
			}
			if it.Next(); asked != 0 {
				t.Errorf("%s of %v: asked %d times after the end", alg, replicas, asked)
			}
		}
	}
}

// ending counts the calls that move an iterator after its end.
type ending struct {
	deduptest.Replica
	asked *int
}

func (e ending) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return &endingIterator{Iterator: e.Replica.Iterator(nil), asked: e.asked}
}

type endingIterator struct {
	chunkenc.Iterator
	ended bool
	asked *int
}

func (it *endingIterator) Next() chunkenc.ValueType        { return it.see(it.Iterator.Next()) }
func (it *endingIterator) Seek(t int64) chunkenc.ValueType { return it.see(it.Iterator.Seek(t)) }

func (it *endingIterator) see(vt chunkenc.ValueType) chunkenc.ValueType {
	if it.ended {
		*it.asked++
	}
	it.ended = it.ended || vt == chunkenc.ValNone
	return vt
}

// TestStartTimes shows that start timestamps come through where iterators have
// them, and that samples of a run have none.
func TestStartTimes(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms() {
		it := alg.Merge(nil, dedup.Untyped, started{deduptest.Replica{float(10, 1)}}, startedRun{deduptest.Replica{float(30_000, 2)}})
		st, ok := it.(interface{ AtST() int64 })
		if !ok {
			t.Fatalf("%s: no start timestamps", alg)
		}
		it.Next()
		if got := st.AtST(); got != 9 {
			t.Errorf("%s: start timestamp %d", alg, got)
		}
		it.Next()
		if got := st.AtST(); got != 0 {
			t.Errorf("%s: start timestamp %d of a sample in a run", alg, got)
		}
	}
}

// started is a replica whose samples begin 1 ms before their time.
type started struct{ deduptest.Replica }

func (s started) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return startedIterator{s.Replica.Iterator(nil)}
}

type startedIterator struct{ chunkenc.Iterator }

func (it startedIterator) AtST() int64 { return it.AtT() - 1 }

// startedRun is one whose iterator is a dedup.FloatRunner as well.
type startedRun struct{ deduptest.Replica }

func (s startedRun) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	it := s.Runs(1).Iterator(nil)
	return startedRunIterator{startedIterator{it}, it.(dedup.FloatRunner)}
}

type startedRunIterator struct {
	startedIterator
	dedup.FloatRunner
}

// own is an algorithm of a caller's.
type own struct{ dedup.Follow }

// TestByValue: a pointer to an algorithm is that algorithm.
func TestByValue(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ alg, want dedup.Algorithm }{
		{dedup.Follow{}, dedup.Follow{}},
		{&dedup.Follow{}, dedup.Follow{}},
		{(*dedup.Follow)(nil), dedup.Follow{}},
		{&dedup.Chain{}, dedup.Chain{}},
		{&dedup.Penalty{}, dedup.Penalty{}},
		{own{}, own{}},
		{nil, nil},
	} {
		testutil.Assert(t, dedup.ByValue(tc.alg) == tc.want, "%T", tc.alg)
	}
	// Identical chunks are decoded for an algorithm of which nothing is known.
	chunks := randomChunks(t, rand.New(rand.NewPCG(1, 1)))[0]
	for _, alg := range []dedup.Algorithm{&dedup.Follow{}, &dedup.Chain{}, &dedup.Penalty{}} {
		m := dedup.ChunkMerger{Algorithm: alg}
		_, err := m.Merge(nil, chunks, chunks)
		testutil.Ok(t, err)
		got := m.Decoded()
		v := dedup.ChunkMerger{Algorithm: dedup.ByValue(alg)}
		_, err = v.Merge(nil, chunks, chunks)
		testutil.Ok(t, err)
		u := dedup.ChunkMerger{Algorithm: own{}}
		_, err = u.Merge(nil, chunks, chunks)
		testutil.Ok(t, err)
		testutil.Assert(t, got == v.Decoded() && got < u.Decoded(), "%T: %d chunks decoded, of %d", alg, got, u.Decoded())
	}
}
