package encoded

import (
	"bytes"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Rewrite is a change to label sets that is made many times: labels that are
// set, overriding, and names that are removed. The zero value changes nothing.
// It is safe for concurrent use.
type Rewrite struct {
	ops []rewriteOp // by name
}

type rewriteOp struct {
	name  string
	entry []byte // nil removes
}

// NewRewrite sets the labels of set, over any of the same name, and removes the
// names of drop; a name in both is removed.
func NewRewrite(set labels.Labels, drop []string) Rewrite {
	var r Rewrite
	set.Range(func(l labels.Label) {
		if !slices.Contains(drop, l.Name) {
			r.ops = append(r.ops, rewriteOp{l.Name, AppendLabel(nil, l.Name, l.Value)})
		}
	})
	for _, n := range drop {
		if n != "" { // a label without a name is none
			r.ops = append(r.ops, rewriteOp{name: n})
		}
	}
	slices.SortFunc(r.ops, func(a, b rewriteOp) int { return strings.Compare(a.name, b.name) })
	r.ops = slices.CompactFunc(r.ops, func(a, b rewriteOp) bool { return a.name == b.name })
	return r
}

// IsZero reports whether the rewrite changes nothing.
func (r *Rewrite) IsZero() bool { return len(r.ops) == 0 }

// FirstName is the smallest name that the rewrite may set or remove, empty if
// it is zero. Labels with smaller names are never touched.
func (r *Rewrite) FirstName() string {
	if r.IsZero() {
		return ""
	}
	return r.ops[0].name
}

// Append appends the rewritten form of src, a label set in canonical form, to
// dst. The memory of src is not kept.
func (r *Rewrite) Append(dst, src []byte) []byte {
	i, start := 0, 0 // src[start:p] is to be copied as it is
	for p := 0; p < len(src) && i < len(r.ops); {
		name, _, next := entryAt(src, p)
		c := compareName(r.ops[i].name, src[name.from:name.to])
		if c > 0 {
			p = next
			continue
		}
		dst = append(dst, src[start:p]...)
		dst = append(dst, r.ops[i].entry...)
		i++
		if c == 0 { // the entry is replaced or removed
			p = next
		}
		start = p
	}
	dst = append(dst, src[start:]...)
	for ; i < len(r.ops); i++ {
		dst = append(dst, r.ops[i].entry...)
	}
	return dst
}

func compareName(a string, b []byte) int {
	switch {
	case a == string(b): // compiles without an allocation
		return 0
	case bytes.Compare([]byte(a), b) < 0:
		return -1
	}
	return 1
}
