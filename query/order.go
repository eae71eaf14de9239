package query

import (
	"slices"
	"sort"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// order sorts parts by key; those of one key stay in the order in which they
// came.
//
// It is a natural merge sort that moves only what is out of order. Parts that came
// sorted by labels of which some are gone now are in order but for short stretches:
// where replicas follow each other that differ in what comes after the replica
// label. Each stretch is merged once, and all else is left where it is.
func order(parts []part) {
	var starts []int // of runs in order
	for i := range parts {
		if i == 0 || encoded.CompareLabels(parts[i-1].key, parts[i].key) > 0 {
			starts = append(starts, i)
		}
	}
	starts = append(starts, len(parts))
	var scratch []part
	for len(starts) > 2 {
		next := starts[:1]
		for i := 0; i+1 < len(starts); i += 2 {
			end := starts[min(i+2, len(starts)-1)]
			if i+2 < len(starts) {
				scratch = mergeRuns(parts[starts[i]:end], starts[i+1]-starts[i], scratch)
			}
			next = append(next, end)
		}
		starts = next
	}
}

// mergeRuns merges parts[:mid] and parts[mid:], each in order, and returns the
// scratch space for the next merge.
func mergeRuns(parts []part, mid int, scratch []part) []part {
	after := func(a, b *part) bool { return encoded.CompareLabels(a.key, b.key) > 0 }
	// What comes before all of the second run, and after all of the first one, stays.
	// The rest is short, as a rule, so it is looked for from the middle.
	from := mid - gallop(mid, func(i int) bool { return !after(&parts[mid-1-i], &parts[mid]) })
	to := mid + gallop(len(parts)-mid, func(i int) bool { return !after(&parts[mid-1], &parts[mid+i]) })
	scratch = append(slices.Grow(scratch[:0], mid-from), parts[from:mid]...)
	a, b, out := scratch, parts[mid:to], parts[from:to]
	for len(a) > 0 && len(b) > 0 {
		if after(&a[0], &b[0]) {
			out[0], b = b[0], b[1:]
		} else {
			out[0], a = a[0], a[1:]
		}
		out = out[1:]
	}
	copy(out, a) // what is left of b is in its place
	return scratch
}

// gallop returns the least i below n for which there says so, n if there is none.
// From that on it has to say so of all.
func gallop(n int, there func(int) bool) int {
	known, next := 0, 0 // it is not there below known
	for next < n && !there(next) {
		known = next + 1
		next = 2*next + 1
	}
	return known + sort.Search(min(next, n)-known, func(i int) bool { return there(known + i) })
}
