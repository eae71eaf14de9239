package dedup_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// TestChunkMergerRandom: chunks merge to what the algorithm makes of their samples,
// passed on or not.
func TestChunkMergerRandom(t *testing.T) {
	t.Parallel()
	for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}, dedup.Penalty{}} {
		t.Run(fmt.Sprint(alg), func(t *testing.T) {
			t.Parallel()
			m := dedup.ChunkMerger{Algorithm: alg}
			var passed, decoded, both int
			for seed := range uint64(800) {
				rng := rand.New(rand.NewPCG(seed, 1))
				replicas := randomChunks(t, rng)
				var of []chunkenc.Iterable
				chunks := 0
				for _, r := range replicas {
					if len(r) > 0 {
						of = append(of, union(t, r))
						chunks += len(r)
					}
				}
				want, err := deduptest.Walk(alg.Merge(nil, dedup.Untyped, of...))
				testutil.Ok(t, err)
				got, err := m.Merge(nil, replicas...)
				testutil.Ok(t, err)
				if err := checkChunks(t, want, got); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				p := 0
				for _, c := range got {
					if c.Ref != 0 {
						p++
					}
				}
				d := m.Decoded()
				passed, decoded = passed+p, decoded+d
				if p > 0 && d > 0 {
					both++
				}
			}
			t.Logf("%d chunks passed on, %d decoded, both in %d series", passed, decoded, both)
			testutil.Assert(t, passed > 5000 && decoded > 5000)
		})
	}
}
