package encoded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/prometheus/prometheus/model/labels"
)

// Tags of the protobuf fields that canonical label entries consist of.
const (
	tagEntry = 1<<3 | 2 // Series.labels
	tagName  = 1<<3 | 2 // Label.name
	tagValue = 2<<3 | 2 // Label.value
)

// ErrLabels says that bytes are not a label set in canonical wire form.
var ErrLabels = errors.New("labels not in canonical wire form")

// AppendLabel appends one label entry in canonical form to dst. The caller
// keeps names ascending.
func AppendLabel[S string | []byte](dst []byte, name, value S) []byte {
	inner := 2 + uvarintLen(uint64(len(name))) + len(name) + uvarintLen(uint64(len(value))) + len(value)
	dst = append(dst, tagEntry)
	dst = binary.AppendUvarint(dst, uint64(inner))
	dst = append(dst, tagName)
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	dst = append(dst, name...)
	dst = append(dst, tagValue)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

// AppendLabels appends the label set in canonical form to dst.
func AppendLabels(dst []byte, lset labels.Labels) []byte {
	lset.Range(func(l labels.Label) { dst = AppendLabel(dst, l.Name, l.Value) })
	return dst
}

// Labels decodes a label set in canonical form. The result shares no memory
// with b. The builder is scratch space, reset by the call.
func Labels(b []byte, sb *labels.ScratchBuilder) labels.Labels {
	sb.Reset()
	s := string(b) // one allocation; names and values are substrings
	for p := 0; p < len(s); {
		name, value, next := entryAt(b, p)
		sb.Add(s[name.from:name.to], s[value.from:value.to])
		p = next
	}
	return sb.Labels()
}

// Each calls f with every label in order, until f returns false. The arguments
// are views of b.
func Each(b []byte, f func(name, value []byte) bool) {
	for p := 0; p < len(b); {
		name, value, next := entryAt(b, p)
		if !f(b[name.from:name.to], b[value.from:value.to]) {
			return
		}
		p = next
	}
}

// First returns the first label entry whole, as bytes, and its name; both are
// empty if the label set is.
func First(b []byte) (entry, name []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	n, _, next := entryAt(b, 0)
	return b[:next], b[n.from:n.to]
}

// CompareLabels orders two label sets in canonical form exactly as
// labels.Compare orders the decoded ones: by the names and values of the first
// entry that differs, a prefix before what it is a prefix of.
func CompareLabels(a, b []byte) int {
	p, ok := differingEntry(a, b, 0)
	if !ok {
		return len(a) - len(b)
	}
	an, av, _ := entryAt(a, p)
	bn, bv, _ := entryAt(b, p)
	if c := bytes.Compare(a[an.from:an.to], b[bn.from:bn.to]); c != 0 {
		return c
	}
	return bytes.Compare(a[av.from:av.to], b[bv.from:bv.to])
}

// differingEntry returns where the first entry starts that differs, at from or
// later, where an entry starts or ends in both and in front of which they are
// equal. If one is a prefix of the other, ok is false and p is where it ends.
func differingEntry(a, b []byte, from int) (p int, ok bool) {
	d := from + firstDifference(a[from:], b[from:])
	if d == len(a) || d == len(b) {
		return d, false
	}
	// Everything before d is equal, so entries that end at or before d start
	// and end alike in both.
	for {
		_, end := entryBounds(a, from)
		if end > d {
			return from, true
		}
		from = end
	}
}

// CheckLabels reports whether b is a label set in canonical form, with an
// error that wraps ErrLabels if it is not. Every other function of this
// package relies on it: bytes from outside are checked, or made, first.
func CheckLabels(b []byte) error {
	var prev []byte
	for p := 0; p < len(b); {
		name, _, next, ok := parseEntry(b, p)
		if !ok {
			return fmt.Errorf("%w: entry at byte %d", ErrLabels, p)
		}
		if p > 0 && bytes.Compare(prev, b[name.from:name.to]) >= 0 {
			return fmt.Errorf("%w: label %q follows %q", ErrLabels, b[name.from:name.to], prev)
		}
		prev = b[name.from:name.to]
		p = next
	}
	return nil
}

type span struct{ from, to int }

// parseEntry reads the entry at p without trusting it.
func parseEntry(b []byte, p int) (name, value span, next int, ok bool) {
	if b[p] != tagEntry {
		return name, value, 0, false
	}
	body, ok := parseLen(b, p+1)
	if !ok || body.from == body.to || b[body.from] != tagName {
		return name, value, 0, false
	}
	in := b[:body.to]
	if name, ok = parseLen(in, body.from+1); !ok || name.to == len(in) || in[name.to] != tagValue {
		return name, value, 0, false
	}
	if value, ok = parseLen(in, name.to+1); !ok || value.to != body.to {
		return name, value, 0, false
	}
	return name, value, body.to, true
}

// parseLen reads a shortest-form length at p and returns what it spans.
func parseLen(b []byte, p int) (span, bool) {
	if p >= len(b) {
		return span{}, false
	}
	n, k := binary.Uvarint(b[p:])
	if k <= 0 || k != uvarintLen(n) || n > uint64(len(b)-p-k) {
		return span{}, false
	}
	return span{p + k, p + k + int(n)}, true
}

// entryAt reads the entry at p of a canonical label set.
func entryAt(b []byte, p int) (name, value span, next int) {
	body, next := entryBounds(b, p)
	name.from, name.to = lenAt(b, body+1)
	value.from, value.to = lenAt(b, name.to+1)
	return name, value, next
}

func entryBounds(b []byte, p int) (body, next int) { return lenAt(b, p+1) }

func lenAt(b []byte, p int) (from, to int) {
	n := uint64(b[p])
	if n < 0x80 {
		return p + 1, p + 1 + int(n)
	}
	n, k := binary.Uvarint(b[p:])
	return p + k, p + k + int(n)
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

func uvarintLen(x uint64) int { return (bits.Len64(x|1) + 6) / 7 }
