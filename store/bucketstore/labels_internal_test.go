package bucketstore

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// few draws label sets in which all that matters to the order is common: labels
// that are those another one begins with, and names around those added.
func few(r *rand.Rand, names []string) labels.Labels {
	b := labels.NewScratchBuilder(0)
	for _, n := range names {
		if r.Intn(2) == 0 {
			b.Add(n, fmt.Sprint(r.Intn(2)))
		}
	}
	return b.Labels()
}

// TestOrder rewrites all label sets of a block and sorts them group by group:
// the result must be sorted, and no group larger than it has to be where labels
// are added only.
func TestOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(1))
	all := []string{"__name__", "a", "b", "c", "d", "z"}
	for range 3000 / RaceDivisor {
		own := slices.DeleteFunc(slices.Clone(all), func(string) bool { return r.Intn(3) == 0 })
		external, replica := few(r, all), []string{all[r.Intn(len(all))]}
		if r.Intn(2) == 0 {
			replica = nil
		}
		alg := newAlgebra(external, func(n string) bool { return slices.Contains(own, n) }, replica, nil)
		var in []labels.Labels
		for range 30 {
			in = append(in, few(r, own))
		}
		slices.SortFunc(in, labels.Compare)
		in = slices.CompactFunc(in, labels.Equal)

		var out, group [][]byte
		flush := func() {
			slices.SortFunc(group, encoded.CompareLabels)
			out, group = append(out, group...), nil
		}
		groups := 0
		for _, lset := range in {
			wire := encoded.AppendLabels(nil, lset)
			if alg.order.starts(wire) {
				flush()
				groups++
			}
			if to := alg.rewrite.Append(nil, wire); len(to) > 0 || len(wire) == 0 {
				group = append(group, to) // else it is left out
			}
		}
		flush()
		what := fmt.Sprintf("own %v, external %s, replica %v", own, external, replica)
		testutil.Assert(t, slices.IsSortedFunc(out, encoded.CompareLabels), what)
		if external.IsEmpty() && len(replica) == 0 {
			testutil.Equals(t, len(in), groups, what)
		}
	}
}

func TestSharder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewSource(2))
	names := []string{"__name__", "a", "b", "härte", "z"}
	for range 2000 / RaceDivisor {
		lset := few(r, names)
		s := &store.Shard{Total: 1 + r.Int63n(5), By: r.Intn(2) == 0, Labels: names[:r.Intn(len(names))]}
		s.Index = r.Int63n(s.Total)
		testutil.Equals(t, s.Matches(lset), newSharder(s).has(encoded.AppendLabels(nil, lset)), "%v %s", s, lset)
	}
}
