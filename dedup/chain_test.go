package dedup_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// TestChainEqualsPrometheus compares with the merge that Chain is to equal, on
// random replicas and steps, reset hints and the choice between samples of equal
// time included.
func TestChainEqualsPrometheus(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000 / raceDivisor) {
		checkChain(t, seed)
		if t.Failed() {
			return
		}
	}
}

func FuzzChain(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { checkChain(t, seed) })
}

func checkChain(t *testing.T, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	replicas := deduptest.Random(rng)
	for _, steps := range [][]deduptest.Step{nil, deduptest.RandomSteps(rng, replicas)} {
		want := deduptest.Want{Algorithm: "chain", Steps: steps}
		var err error
		want.Samples, err = deduptest.Walk(storage.ChainSampleIteratorFromIterables(nil, deduptest.Iterables(replicas)), steps...)
		if err != nil {
			t.Fatal(err)
		}
		if err := want.Check(dedup.Chain{}, replicas); err != nil {
			t.Errorf("seed %d: %v\n%s", seed, err, deduptest.Timeline{Replicas: replicas, Wants: []deduptest.Want{want}})
		}
	}
}

// TestChainManyReplicas has a heap deep enough for every path through it, and
// equal times on most of its levels.
func TestChainManyReplicas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300 / raceDivisor) {
		rng := rand.New(rand.NewPCG(seed, 1))
		replicas := make([]deduptest.Replica, 5+rng.IntN(15))
		for i := range replicas {
			for at := range int64(40) {
				if rng.IntN(3) == 0 {
					replicas[i] = append(replicas[i], deduptest.Sample{T: at, Type: chunkenc.ValFloat, V: float64(i)})
				}
			}
		}
		want := deduptest.Want{}
		var err error
		want.Samples, err = deduptest.Walk(storage.ChainSampleIteratorFromIterables(nil, deduptest.Iterables(replicas)))
		if err != nil {
			t.Fatal(err)
		}
		if err := want.Check(dedup.Chain{}, replicas); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestChainRepeatedTimes has replicas that repeat a time, which none should, and
// that begin at the earliest of all times.
func TestChainRepeatedTimes(t *testing.T) {
	t.Parallel()
	a := deduptest.Replica{float(math.MinInt64, 0), float(1, 1), float(1, 2), float(2, 3), float(2, 4)}
	b := deduptest.Replica{float(1, 5), float(1, 6), float(3, 7), float(3, 8), float(3, 9)}
	for _, replicas := range [][]deduptest.Replica{{a, b}, {b, a}, {a, b, a}, {b, b}} {
		var want deduptest.Want
		var err error
		want.Samples, err = deduptest.Walk(storage.ChainSampleIteratorFromIterables(nil, deduptest.Iterables(replicas)))
		if err != nil {
			t.Fatal(err)
		}
		if err := want.Check(dedup.Chain{}, replicas); err != nil {
			t.Error(err)
		}
	}
}

func TestChainStopsAtError(t *testing.T) {
	t.Parallel()
	var (
		errBroken = errors.New("broken")
		good      = deduptest.Replica{float(0, 1), float(15, 2), float(30, 3)}
		bad       = failing{deduptest.Replica{float(1, 1), float(16, 2)}, errBroken}
		first     = failing{nil, errBroken}
	)
	for _, tc := range []struct {
		name     string
		replicas []chunkenc.Iterable
		steps    []deduptest.Step
		want     []deduptest.Sample
	}{
		{"at the end of the second", []chunkenc.Iterable{good, bad}, nil, []deduptest.Sample{float(0, 1), float(1, 1), float(15, 2), float(16, 2)}},
		{"at the end of the first", []chunkenc.Iterable{bad, good}, nil, []deduptest.Sample{float(0, 1), float(1, 1), float(15, 2), float(16, 2)}},
		{"at once", []chunkenc.Iterable{good, first}, nil, nil},
		{"at once in the first", []chunkenc.Iterable{first, good}, nil, nil},
		{"in a seek", []chunkenc.Iterable{good, bad}, []deduptest.Step{{}, {Seek: true, To: 17}}, []deduptest.Sample{float(0, 1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			it := dedup.Chain{}.Merge(nil, dedup.Untyped, tc.replicas...)
			got, err := deduptest.Walk(it, tc.steps...)
			if !errors.Is(err, errBroken) {
				t.Errorf("error %v", err)
			}
			if i := deduptest.Differ(tc.want, got); i >= 0 {
				t.Errorf("from sample %d on: want %v, got %v", i, tc.want, got)
			}
			if vt := it.Next(); vt != chunkenc.ValNone {
				t.Errorf("next after the end: %s", vt)
			}
			if vt := it.Seek(0); vt != chunkenc.ValNone {
				t.Errorf("seek after the end: %s", vt)
			}
		})
	}
}

func float(t int64, v float64) deduptest.Sample {
	return deduptest.Sample{T: t, Type: chunkenc.ValFloat, V: v}
}

// failing is a replica that ends with an error.
type failing struct {
	deduptest.Replica
	err error
}

func (f failing) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return &failingIterator{Iterator: f.Replica.Iterator(nil), err: f.err}
}

type failingIterator struct {
	chunkenc.Iterator
	ended bool
	err   error
}

func (it *failingIterator) Next() chunkenc.ValueType        { return it.see(it.Iterator.Next()) }
func (it *failingIterator) Seek(t int64) chunkenc.ValueType { return it.see(it.Iterator.Seek(t)) }

func (it *failingIterator) see(vt chunkenc.ValueType) chunkenc.ValueType {
	it.ended = vt == chunkenc.ValNone
	return vt
}

func (it *failingIterator) Err() error {
	if it.ended {
		return it.err
	}
	return nil
}
