package dedup_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thanoskit/thanoskit/dedup"
)

type span struct{ Min, Max int64 }

func spanOf(s *span) (int64, int64) { return s.Min, s.Max }

func TestTracks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		in   []span
		want [][]span
	}{
		{"no chunks", nil, nil},
		{"one chunk", []span{{0, 9}}, [][]span{{{0, 9}}}},
		{"no overlap", []span{{0, 9}, {10, 19}, {30, 30}}, [][]span{{{0, 9}, {10, 19}, {30, 30}}}},
		{"bounds are inclusive", []span{{0, 10}, {10, 20}}, [][]span{{{0, 10}}, {{10, 20}}}},
		{"two replicas", []span{{0, 9}, {1, 11}, {10, 19}, {12, 21}}, [][]span{{{0, 9}, {10, 19}}, {{1, 11}, {12, 21}}}},
		{"copies", []span{{0, 9}, {0, 9}, {10, 19}, {10, 19}}, [][]span{{{0, 9}, {10, 19}}, {{0, 9}, {10, 19}}}},
		{
			"the first track that fits, not the one that ends last",
			[]span{{0, 2}, {1, 7}, {8, 9}, {8, 20}, {10, 11}, {12, 13}},
			[][]span{{{0, 2}, {8, 9}, {10, 11}, {12, 13}}, {{1, 7}, {8, 20}}},
		},
		{"a chunk that spans all", []span{{0, 100}, {0, 9}, {10, 19}, {101, 110}}, [][]span{{{0, 100}, {101, 110}}, {{0, 9}, {10, 19}}}},
		{
			"more tracks than the stack holds",
			[]span{{0, 9}, {0, 9}, {0, 9}, {0, 9}, {0, 9}, {0, 9}, {0, 9}, {0, 9}, {0, 9}, {10, 11}},
			[][]span{{{0, 9}, {10, 11}}, {{0, 9}}, {{0, 9}}, {{0, 9}}, {{0, 9}}, {{0, 9}}, {{0, 9}}, {{0, 9}}, {{0, 9}}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tc.want, dedup.Tracks(tc.in, spanOf)); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestTracksProperties checks on random chunks that tracks are what they promise
// to be: all chunks, in order, without overlap, and each as early as it could be.
func TestTracksProperties(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000 / raceDivisor) {
		rng := rand.New(rand.NewPCG(seed, 0))
		type chunk struct {
			span
			n int
		}
		in := make([]chunk, rng.IntN(40))
		var at int64
		for i := range in {
			at += rng.Int64N(5)
			in[i] = chunk{span{at, at + rng.Int64N(10)}, i}
		}
		tracks := dedup.Tracks(in, func(c *chunk) (int64, int64) { return c.Min, c.Max })

		var all []chunk
		for n, track := range tracks {
			for i, c := range track {
				if i > 0 && (c.Min <= track[i-1].Max || c.n <= track[i-1].n) {
					t.Fatalf("seed %d: %v follows %v", seed, c, track[i-1])
				}
				for _, earlier := range tracks[:n] {
					if !slices.ContainsFunc(earlier, func(e chunk) bool { return e.n < c.n && e.Max >= c.Min }) {
						t.Fatalf("seed %d: %v would have had room in %v", seed, c, earlier)
					}
				}
			}
			all = append(all, track...)
		}
		slices.SortFunc(all, func(a, b chunk) int { return a.n - b.n })
		if !slices.Equal(in, all) {
			t.Fatalf("seed %d: in %v, out %v", seed, in, all)
		}
	}
}

// TestTracksMemory shows that tracks neither share room with each other nor with
// what follows the chunks.
func TestTracksMemory(t *testing.T) {
	for _, in := range [][]span{{{0, 9}, {10, 19}, {20, 29}}, {{0, 9}, {0, 9}, {10, 19}}} {
		whole := slices.Clone(in)
		tracks := dedup.Tracks(whole[:2], spanOf)
		want := fmt.Sprint(tracks)
		for _, track := range tracks {
			_ = append(track, span{-1, -1})
		}
		if got := fmt.Sprint(tracks); got != want || !slices.Equal(whole, in) {
			t.Errorf("appending to tracks made %s of %s, %v of %v", got, want, whole, in)
		}
	}
	chunks := []span{{0, 9}, {1, 8}, {10, 19}, {12, 21}}
	if allocs := testing.AllocsPerRun(50, func() { dedup.Tracks(chunks, spanOf) }); allocs > 2 {
		t.Errorf("%v allocations", allocs)
	}
	if allocs := testing.AllocsPerRun(50, func() { dedup.Tracks(chunks[1:3], spanOf) }); allocs > 1 {
		t.Errorf("%v allocations without overlap", allocs)
	}
}
