package dedup_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// TestPenaltyProperties checks on random replicas what holds of the algorithm
// whatever the replicas are.
func TestPenaltyProperties(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000 / raceDivisor) {
		checkPenalty(t, seed)
		if t.Failed() {
			return
		}
	}
}

func FuzzPenalty(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { checkPenalty(t, seed) })
}

func checkPenalty(t *testing.T, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	replicas := deduptest.Random(rng)
	untyped := merge(t, dedup.Penalty{}, dedup.Untyped, replicas...)
	counters := merge(t, dedup.Penalty{}, dedup.Counters, replicas...)

	for i, s := range untyped {
		if i > 0 && s.T <= untyped[i-1].T {
			t.Fatalf("seed %d: %s follows %s", seed, s, untyped[i-1])
		}
		if !slices.ContainsFunc(replicas, func(r deduptest.Replica) bool { return slices.ContainsFunc(r, s.Equal) }) {
			t.Fatalf("seed %d: %s is in no replica", seed, s)
		}
	}
	if len(untyped) != len(counters) {
		t.Fatalf("seed %d: %d samples of untyped values, %d of counters", seed, len(untyped), len(counters))
	}
	for i, s := range counters {
		u := untyped[i]
		if s.T != u.T || s.Type != u.Type || s.Hint != u.Hint || s.V < u.V {
			t.Fatalf("seed %d: %s became %s", seed, u, s)
		}
	}
	for _, r := range replicas {
		if got := merge(t, dedup.Penalty{}, dedup.Untyped, r, r); deduptest.Differ(r, got) >= 0 {
			t.Fatalf("seed %d: merging %v with itself gives %v", seed, r, got)
		}
	}
	// Replicas are folded from the left.
	inner := dedup.NewSeries(noLabels, dedup.Penalty{}, dedup.Untyped, deduptest.Iterables(replicas[:len(replicas)-1])...)
	nested, err := deduptest.Walk(dedup.Penalty{}.Merge(nil, dedup.Untyped, inner, replicas[len(replicas)-1]))
	if err != nil || deduptest.Differ(untyped, nested) >= 0 {
		t.Fatalf("seed %d: merged at once %v, one by one %v, %v", seed, untyped, nested, err)
	}
}

func merge(t *testing.T, alg dedup.Algorithm, values dedup.Values, replicas ...deduptest.Replica) []deduptest.Sample {
	t.Helper()
	out, err := deduptest.Walk(alg.Merge(nil, values, deduptest.Iterables(replicas)...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPenaltyFarTimes has times whose differences overflow 64 bits. What comes
// out is of no use to anyone, but it comes to an end.
func TestPenaltyFarTimes(t *testing.T) {
	t.Parallel()
	a := deduptest.Replica{float(math.MinInt64, 1), float(math.MinInt64+1, 2), float(0, 3), float(math.MaxInt64, 4)}
	b := deduptest.Replica{float(-1, 5), float(math.MaxInt64-1, 6), float(math.MaxInt64, 7)}
	want := []deduptest.Sample{float(math.MinInt64+1, 2), float(-1, 5), float(math.MaxInt64-1, 6), float(math.MaxInt64, 4)}
	for _, r := range [][]deduptest.Replica{{a, b}, {a, b, a}, {a, a, b, b}} {
		singles, runs := deduptest.Iterables(r), make([]chunkenc.Iterable, len(r))
		for i := range r {
			runs[i] = r[i].Runs(10)
		}
		for _, replicas := range [][]chunkenc.Iterable{singles, runs} {
			it := &limited{Iterator: dedup.Penalty{}.Merge(nil, dedup.Untyped, replicas...), left: 100}
			got, err := deduptest.Walk(it)
			if err != nil || deduptest.Differ(want, got) >= 0 {
				t.Errorf("%d replicas: want %v, got %v, %v", len(r), want, got, err)
			}
		}
	}
}

// limited ends an iterator after so many samples.
type limited struct {
	chunkenc.Iterator
	left int
}

func (it *limited) Next() chunkenc.ValueType {
	if it.left--; it.left < 0 {
		return chunkenc.ValNone
	}
	return it.Iterator.Next()
}

func TestPenaltyGoesOnAfterError(t *testing.T) {
	t.Parallel()
	errFirst, errSecond := errors.New("first"), errors.New("second")
	good := deduptest.Replica{float(0, 1), float(15_000, 2), float(30_000, 3), float(45_000, 4)}
	first := failing{deduptest.Replica{float(100, 1)}, errFirst}
	second := failing{deduptest.Replica{float(200, 1)}, errSecond}

	it := dedup.Penalty{}.Merge(nil, dedup.Untyped, first, good, second)
	got, err := deduptest.Walk(it)
	if !errors.Is(err, errFirst) || errors.Is(err, errSecond) {
		t.Errorf("error %v, want that of the first replica that has one", err)
	}
	if deduptest.Differ(good, got) >= 0 {
		t.Errorf("want %v, got %v", good, got)
	}
	if vt := it.Next(); vt != chunkenc.ValNone {
		t.Errorf("next after the end: %s", vt)
	}
	if vt := it.Seek(0); vt != chunkenc.ValNone {
		t.Errorf("seek after the end: %s", vt)
	}
}
