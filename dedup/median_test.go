package dedup_test

import (
	"slices"
	"testing"

	"github.com/thanoskit/thanoskit/dedup"
)

// TestMedian compares with sorting, for one to five distances of 1 to 5 in every
// order.
func TestMedian(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 5; n++ {
		d := make([]int64, n)
		var try func(i int)
		try = func(i int) {
			if i == n {
				sorted := slices.Sorted(slices.Values(d))
				if got, want := dedup.Median(d...), sorted[(n-1)/2]; got != want {
					t.Errorf("median of %v: %d, want %d", d, got, want)
				}
				return
			}
			for d[i] = 1; d[i] <= 5; d[i]++ {
				try(i + 1)
			}
		}
		try(0)
	}
}
