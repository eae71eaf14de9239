package bucketstore

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// TestUnion unites random lists, and holds what is found to a set.
func TestUnion(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		var u union
		want := map[string]struct{}{}
		for range r.IntN(12) {
			list := randomStrings(r, r.IntN(40), 1+r.IntN(60))
			for _, s := range list {
				want[s] = struct{}{}
			}
			before := slices.Clone(list)
			u.add(list)
			testutil.Assert(t, slices.IsSorted(u.longest()))
			testutil.Equals(t, before, list)
		}
		testutil.Equals(t, slices.Sorted(maps.Keys(want)), u.all())
	}
}

// TestUnionKeepsOnce adds the same strings time and again.
func TestUnionKeepsOnce(t *testing.T) {
	t.Parallel()
	var u union
	first := []string{"a", "b", "c"}
	for range 10 {
		u.add(slices.Clone(first))
		u.add([]string{"b"})
		u.add(nil)
	}
	testutil.Equals(t, [][]string{first, {"b"}}, u.lists)
	testutil.Equals(t, first, u.all())
	testutil.Equals(t, first, u.longest())
}

func TestSeek(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		in := randomStrings(r, r.IntN(50), 60)
		for _, s := range append(randomStrings(r, 20, 61), "", "~") {
			want, _ := slices.BinarySearch(in, s)
			testutil.Equals(t, want, seek(in, s))
			testutil.Equals(t, want, seek(in, []byte(s)))
		}
	}
}

// randomStrings returns n strings at most, ascending, each once.
func randomStrings(r *rand.Rand, n, of int) []string {
	set := map[string]struct{}{}
	for range n {
		set[fmt.Sprint(r.IntN(of))] = struct{}{}
	}
	return slices.Sorted(maps.Keys(set))
}
