package encoded

import "math"

// Departure says where and how a label set departs from one that is less, so
// that many label sets can be put in order by what they have not in common
// only.
//
// Of two label sets that depart from the same third, the one with the greater
// Code is less. Neither of their departures from each other then needs a look at
// them: that of the greater from the less is that from the third. If both Codes
// are the same, so are the Entries, and Depart from there decides. Equal is the
// Code of label sets that do not depart at all.
//
// Source: the offset-value codes of W. M. Conner, Offset value coding, IBM
// Technical Disclosure Bulletin 20 (1977). The offset is that of the first
// difference, counted so that the lengths of what follows have no part in it;
// the value is the byte there.
type Departure struct {
	// Entry is at which byte the first entry starts that differs.
	Entry int
	Code  uint64
}

// Equal is the Code of label sets that are the same.
const Equal = math.MaxUint64

// Depart orders two label sets as CompareLabels does and returns how the greater
// departs from the less. They are known to be equal in front of byte from, at
// which an entry starts in both, or both end.
func Depart(a, b []byte, from int) (order int, d Departure) {
	p, ok := differingEntry(a, b, from)
	switch {
	case !ok && len(a) == len(b):
		return 0, Departure{Entry: p, Code: Equal}
	case !ok: // where the less one ends; nothing departs later
		return len(a) - len(b), Departure{Entry: p, Code: uint64(p)<<8 | 0xff}
	}
	an, av, _ := entryAt(a, p)
	bn, bv, _ := entryAt(b, p)
	x, y, offset := a[an.from:an.to], b[bn.from:bn.to], p+1
	i := firstDifference(x, y)
	if i == len(x) && i == len(y) {
		offset += i + 1
		x, y = a[av.from:av.to], b[bv.from:bv.to]
		i = firstDifference(x, y)
	}
	var value byte
	if i == len(x) || (i < len(y) && x[i] < y[i]) {
		order, value = -1, y[i]
	} else {
		order, value = 1, x[i]
	}
	return order, Departure{Entry: p, Code: uint64(offset+i)<<8 | uint64(0xff-value)}
}
