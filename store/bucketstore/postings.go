package bucketstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"slices"
	"sort"
)

// list is the entries of a postings list as they are in an index: ascending
// numbers of 4 bytes, big endian. What is done with lists reads it in place.
type list []byte

func (l list) len() int { return len(l) / 4 }

func (l list) at(i int) uint32 { return binary.BigEndian.Uint32(l[4*i:]) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errChecksum     = errors.New("checksum mismatch")
	errPostingOrder = errors.New("postings are not in order")
)

// parseList checks a whole postings list: length, number of entries, entries,
// checksum, and that entries ascend, which all that is done with them relies on.
// Bytes after it are ignored. The entries are those of b.
func parseList(b []byte) (list, error) {
	if len(b) < 12 {
		return nil, io.ErrUnexpectedEOF
	}
	size := uint64(binary.BigEndian.Uint32(b))
	n := uint64(binary.BigEndian.Uint32(b[4:]))
	if size+8 > uint64(len(b)) {
		return nil, io.ErrUnexpectedEOF
	}
	if size != 4+4*n {
		return nil, fmt.Errorf("%d entries in %d bytes", n, size)
	}
	if crc32.Checksum(b[4:4+size], castagnoli) != binary.BigEndian.Uint32(b[4+size:]) {
		return nil, errChecksum
	}
	l := list(b[8 : 8+4*n])
	if !l.ascends() {
		return nil, errPostingOrder
	}
	return l, nil
}

// ascends reports whether each entry is greater than the one before.
func (l list) ascends() bool {
	for before := int64(-1); len(l) >= 4; l = l[4:] {
		id := int64(binary.BigEndian.Uint32(l))
		if id <= before {
			return false
		}
		before = id
	}
	return true
}

// decode appends the entries of l to ids.
func (l list) decode(ids []uint32) []uint32 {
	ids = slices.Grow(ids, l.len())
	for ; len(l) >= 4; l = l[4:] {
		ids = append(ids, binary.BigEndian.Uint32(l))
	}
	return ids
}

// appendList appends ids as a list.
func appendList(b []byte, ids []uint32) []byte {
	b = slices.Grow(b, 4*len(ids))
	for _, id := range ids {
		b = binary.BigEndian.AppendUint32(b, id)
	}
	return b
}

// gallopRatio is how many times as long one list must be as another for searching
// in it to be faster than walking along it.
const gallopRatio = 8

// seek returns the position of the first entry at or after i that is not less
// than id. It looks near i first.
func (l list) seek(i int, id uint32) int {
	n := l.len()
	if i >= n || l.at(i) >= id {
		return i
	}
	step := 1
	for i+step < n && l.at(i+step) < id {
		i += step
		step *= 2
	}
	lo, hi := i+1, min(i+step, n) // The entry at i is less, the one at hi is not.
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); l.at(mid) < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// seekIDs is seek in ids.
func seekIDs(ids []uint32, i int, id uint32) int {
	if i >= len(ids) || ids[i] >= id {
		return i
	}
	step := 1
	for i+step < len(ids) && ids[i+step] < id {
		i += step
		step *= 2
	}
	lo, hi := i+1, min(i+step, len(ids))
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); ids[mid] < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// intersect keeps of ids, in place, those that are in l.
func intersect(ids []uint32, l list) []uint32 {
	out := ids[:0]
	switch n := l.len(); {
	case n > gallopRatio*len(ids):
		j := 0
		for _, id := range ids {
			if j = l.seek(j, id); j == n {
				break
			}
			if l.at(j) == id {
				out = append(out, id)
			}
		}
	case len(ids) > gallopRatio*n:
		i := 0
		for ; len(l) >= 4; l = l[4:] {
			id := binary.BigEndian.Uint32(l)
			if i = seekIDs(ids, i, id); i == len(ids) {
				break
			}
			if ids[i] == id {
				out = append(out, id)
			}
		}
	default:
		for _, id := range ids {
			for len(l) >= 4 && binary.BigEndian.Uint32(l) < id {
				l = l[4:]
			}
			if len(l) < 4 {
				break
			}
			if binary.BigEndian.Uint32(l) == id {
				out = append(out, id)
			}
		}
	}
	return out
}

// subtract keeps of ids, in place, those that are not in l.
func subtract(ids []uint32, l list) []uint32 {
	out := ids[:0]
	if n := l.len(); n > gallopRatio*len(ids) {
		j := 0
		for _, id := range ids {
			if j = l.seek(j, id); j == n || l.at(j) != id {
				out = append(out, id)
			}
		}
		return out
	}
	for i, id := range ids {
		for len(l) >= 4 && binary.BigEndian.Uint32(l) < id {
			l = l[4:]
		}
		if len(l) < 4 {
			return append(out, ids[i:]...)
		}
		if binary.BigEndian.Uint32(l) != id {
			out = append(out, id)
		}
	}
	return out
}

// denseShare is how many bits of a bitmap may be looked at for each entry that is
// set: about what sorting an entry takes.
const denseShare = 128

// unite returns what is in any of the lists, ascending.
func unite(lists []list) []uint32 {
	total, lo, hi := 0, uint32(0), uint32(0)
	for _, l := range lists {
		if n := l.len(); n > 0 {
			if total == 0 || l.at(0) < lo {
				lo = l.at(0)
			}
			hi = max(hi, l.at(n-1))
			total += n
		}
	}
	switch {
	case total == 0:
		return nil
	case len(lists) == 1:
		return lists[0].decode(nil)
	case hi >= lo && uint64(hi-lo) < denseShare*uint64(total):
		if ids, ok := uniteDense(lists, lo, hi, total); ok {
			return ids
		}
	}
	ids := make([]uint32, 0, total)
	for _, l := range lists {
		ids = l.decode(ids)
	}
	if !sort.SliceIsSorted(ids, func(i, j int) bool { return ids[i] < ids[j] }) {
		slices.Sort(ids)
	}
	return slices.Compact(ids)
}

// uniteDense unites lists by a bitmap from lo to hi. It is false if an entry is
// not between them, in lists that do not ascend.
func uniteDense(lists []list, lo, hi uint32, total int) ([]uint32, bool) {
	bitmap := make([]uint64, (hi-lo)/64+1)
	for _, l := range lists {
		for ; len(l) >= 4; l = l[4:] {
			id := binary.BigEndian.Uint32(l) - lo
			if id > hi-lo {
				return nil, false
			}
			bitmap[id/64] |= 1 << (id % 64)
		}
	}
	ids := make([]uint32, 0, total)
	for i, word := range bitmap {
		for ; word != 0; word &= word - 1 {
			ids = append(ids, lo+uint32(i)*64+uint32(bits.TrailingZeros64(word)))
		}
	}
	return ids, true
}
