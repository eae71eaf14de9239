package bucketstore

import (
	"sort"
	"strings"
	"sync"

	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// union unites lists of strings that ascend. The zero value is empty, and safe for
// concurrent use.
//
// Lists are merged with those that are not much longer, as they come: n strings in
// all cost n log n comparisons at most, and what most blocks say is kept once.
type union struct {
	mu    sync.Mutex
	lists [][]string // each more than twice as long as the next; never changed
}

// add adds strings that ascend, each once. They must not be changed after that.
func (u *union) add(values []string) {
	if len(values) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lists = append(u.lists, values)
	for n := len(u.lists); n > 1 && len(u.lists[n-2]) <= 2*len(u.lists[n-1]); n-- {
		u.merge()
	}
}

// merge merges the last two lists.
func (u *union) merge() {
	n := len(u.lists)
	u.lists = append(u.lists[:n-2], uniteStrings(u.lists[n-2], u.lists[n-1]))
}

// longest returns a list of many of the strings, ascending.
func (u *union) longest() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.lists) == 0 {
		return nil
	}
	return u.lists[0]
}

// all returns all strings, ascending, each once.
func (u *union) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.lists) > 1 {
		u.merge()
	}
	if len(u.lists) == 0 {
		return nil
	}
	return u.lists[0]
}

// uniteStrings merges two lists that ascend. It returns a if there is nothing new in b.
func uniteStrings(a, b []string) []string {
	i := 0
	for j, s := range b {
		if i += seek(a[i:], s); i == len(a) || a[i] != s {
			return mergeInto(append(make([]string, 0, len(a)+len(b)-j), a[:i]...), a[i:], b[j:])
		}
		i++
	}
	return a
}

// mergeInto appends the union of a and b, which ascend.
func mergeInto(out, a, b []string) []string {
	for len(a) > 0 && len(b) > 0 {
		switch c := strings.Compare(a[0], b[0]); {
		case c < 0:
			out, a = append(out, a[0]), a[1:]
		case c > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// seek returns the position of the first string that is not less, which is most
// often one of the first.
func seek[S string | []byte](in []string, s S) int {
	end := 1
	for end < len(in) && in[end-1] < string(s) {
		end *= 2
	}
	from := end / 2
	end = min(end, len(in))
	return from + sort.Search(end-from, func(i int) bool { return in[from+i] >= string(s) })
}

// copyValues returns those values that are not among known ones, which ascend, as
// they do. All share one allocation.
func copyValues(v indexheader.Values, known []string) []string {
	var which []int
	size := 0
	for i := range v.Len() {
		b := v.At(i)
		known = known[seek(known, b):]
		if len(known) == 0 || known[0] != string(b) {
			if which == nil {
				which = make([]int, 0, v.Len()-i)
			}
			which, size = append(which, i), size+len(b)
		}
	}
	var all strings.Builder
	all.Grow(size)
	out := make([]string, len(which))
	for n, i := range which {
		from := all.Len()
		all.Write(v.At(i))
		out[n] = all.String()[from:]
	}
	return out
}
