package dedup_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// TestFollowCredits: each replica is told as many samples as come out and are its
// own. Whose a sample is its time tells: that of replica i modulo their number.
func TestFollowCredits(t *testing.T) {
	t.Parallel()
	merged, credits := 0, 0
	for seed := range uint64(300 / raceDivisor) {
		rng := rand.New(rand.NewPCG(seed, 8))
		replicas := deduptest.Random(rng)
		if seed%2 == 0 {
			replicas = long(rng)
		}
		n := int64(len(replicas))
		want, got := make([]int, n), make([]int, n)
		its := make([]chunkenc.Iterable, n)
		for i := range replicas {
			replicas[i] = slices.Clone(replicas[i])
			for k := range replicas[i] {
				s := &replicas[i][k]
				s.T = s.T*n + int64(i)
			}
			its[i] = creditedReplica{deduptest.Iterables(replicas)[i], &got[i]}
			if rng.IntN(3) > 0 {
				its[i] = creditedReplica{replicas[i].Runs(1 + rng.IntN(120)), &got[i]}
			}
		}
		out, err := deduptest.Walk(dedup.Follow{}.Merge(nil, dedup.Untyped, its...))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out {
			want[(s.T%n+n)%n]++
		}
		for i := range want {
			if n > 1 && want[i] != got[i] {
				t.Fatalf("seed %d: replica %d was credited with %d samples, has %d", seed, i, got[i], want[i])
			}
			credits += got[i]
		}
		merged += len(out)
	}
	if credits < merged/2 {
		t.Errorf("only %d of %d samples were credited", credits, merged)
	}
}

// creditedReplica adds up what its iterators are told, which have runs if those
// of the replica have.
type creditedReplica struct {
	chunkenc.Iterable
	credits *int
}

func (r creditedReplica) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	it := r.Iterable.Iterator(nil)
	if runs, ok := it.(interface {
		chunkenc.Iterator
		dedup.FloatRunner
	}); ok {
		return struct {
			chunkenc.Iterator
			dedup.FloatRunner
			creditor
		}{it, runs, creditor{r.credits}}
	}
	return struct {
		chunkenc.Iterator
		creditor
	}{it, creditor{r.credits}}
}

type creditor struct{ sum *int }

func (c creditor) Credit(n int) { *c.sum += n }
