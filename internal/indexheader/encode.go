package indexheader

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/oklog/ulid/v2"
)

// listOverhead is what a postings list has beside its entries of 4 bytes: length,
// number of entries, checksum.
const listOverhead = 12

// remote is what was read of an index.
type remote struct {
	block ulid.ULID
	size  int64
	toc   toc
	head  []byte // From the beginning to the series.
	table []byte // From the table of postings to the table of contents.
}

// encode returns the local file in pieces.
//
// Errors: what is wrong with the index; an unknownVersionError.
func (r *remote) encode() ([][]byte, error) {
	version, err := parseVersion(r.head)
	if err != nil {
		return nil, err
	}
	raw, offsets, err := parseSymbols(r.head[r.toc.symbols:])
	if err != nil {
		return nil, fmt.Errorf("symbols: %w", err)
	}
	lists, err := parsePostingsTable(r.table)
	if err != nil {
		return nil, fmt.Errorf("table of postings: %w", err)
	}
	if err := r.count(lists); err != nil {
		return nil, fmt.Errorf("table of postings: %w", err)
	}
	h := head{
		block:        r.block,
		indexVersion: uint32(version),
		symbols:      uint32(len(offsets)),
		indexSize:    uint64(r.size),
		seriesStart:  r.toc.series,
		seriesEnd:    r.toc.seriesEnd(),
		symbolsBase:  r.toc.symbols + 8,
	}
	t := stringTable{raw: raw, offsets: offsets}
	names, values, err := t.encode(lists, &h)
	if err != nil {
		return nil, fmt.Errorf("table of postings: %w", err)
	}
	return h.assemble(t.raw, t.extra, t.offsets, names, values), nil
}

// count sets how many entries each list has: it ends where the next one, or the
// next section, begins. The lists are then in order of name and value, as they
// are in an index of version 2 from the start.
func (r *remote) count(lists []listing) error {
	byOffset := func(a, b listing) int { return cmp.Compare(a.off, b.off) }
	if !slices.IsSortedFunc(lists, byOffset) {
		slices.SortFunc(lists, byOffset)
	}
	for i := range lists {
		l := &lists[i]
		end := r.toc.after(l.off)
		if i+1 < len(lists) && lists[i+1].off < end {
			end = lists[i+1].off
		}
		if l.off < r.toc.series || end < l.off+listOverhead {
			return fmt.Errorf("list of %d bytes at %d", int64(end)-int64(l.off), l.off)
		}
		n := (end - l.off - listOverhead) / 4
		if n > math.MaxUint32 {
			return fmt.Errorf("list of %d entries", n)
		}
		l.count = uint32(n)
	}
	byLabel := func(a, b listing) int {
		return cmp.Or(bytes.Compare(a.name, b.name), bytes.Compare(a.value, b.value))
	}
	if !slices.IsSortedFunc(lists, byLabel) {
		slices.SortFunc(lists, byLabel)
	}
	for i := 1; i < len(lists); i++ {
		if byLabel(lists[i-1], lists[i]) == 0 {
			return fmt.Errorf("two lists of %s=%q", lists[i].name, lists[i].value)
		}
	}
	return nil
}

// stringTable finds strings by their bytes while a file is encoded.
type stringTable struct {
	raw     []byte
	offsets []uint32
	extra   []byte // Strings that are no symbols follow raw.
}

// at returns the i-th string, which must be a symbol.
func (t *stringTable) at(i int) []byte {
	s, _, _ := takeBytes(t.raw[t.offsets[i]:])
	return s
}

// find returns the position of s among the first n strings at or after from, or
// adds it. Symbols ascend, and those that are looked up one after the other lie
// near each other, so it gallops.
func (t *stringTable) find(s []byte, from, n int) (int, error) {
	lo, step := from, 1
	for lo+step < n && bytes.Compare(t.at(lo+step), s) < 0 {
		lo += step
		step *= 2
	}
	hi := min(lo+step+1, n)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if bytes.Compare(t.at(mid), s) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < n && bytes.Equal(t.at(lo), s) {
		return lo, nil
	}
	off := len(t.raw) + len(t.extra)
	if off > math.MaxUint32 {
		return 0, errors.New("more than 4 GiB of symbols")
	}
	t.offsets = append(t.offsets, uint32(off))
	t.extra = append(binary.AppendUvarint(t.extra, uint64(len(s))), s...)
	return len(t.offsets) - 1, nil
}

// encode encodes names and values, and sets their counts in the head.
func (t *stringTable) encode(lists []listing, h *head) (names, values []byte, err error) {
	le := binary.LittleEndian
	n := len(t.offsets)
	values = make([]byte, 0, len(lists)*valueSize)
	var last []byte // The name of the list before,
	total := uint64(0)
	at := 0 // and where its value is.
	for _, l := range lists {
		if len(l.name) == 0 {
			if len(l.value) == 0 {
				h.allOff, h.allCount = l.off, l.count
			}
			continue
		}
		if !bytes.Equal(l.name, last) {
			ref, err := t.find(l.name, 0, n)
			if err != nil {
				return nil, nil, err
			}
			names = t.appendName(names, uint32(ref), h.values, total)
			last, at = l.name, 0
			h.names++
		}
		ref, err := t.find(l.value, at, n)
		if err != nil {
			return nil, nil, err
		}
		if ref < n {
			at = ref
		}
		values = le.AppendUint32(values, uint32(ref))
		values = le.AppendUint32(values, l.count)
		values = le.AppendUint64(values, l.off)
		h.values++
		total += uint64(l.count)
	}
	return t.appendName(names, 0, h.values, total), values, nil
}

// appendName appends a name that begins at that value, after so many entries of
// the values of all names before it.
func (*stringTable) appendName(b []byte, ref, first uint32, before uint64) []byte {
	b = binary.LittleEndian.AppendUint32(b, ref)
	b = binary.LittleEndian.AppendUint32(b, first)
	return binary.LittleEndian.AppendUint64(b, before)
}

// assemble returns the pieces of the file.
func (h *head) assemble(raw, extra []byte, offsets []uint32, names, values []byte) [][]byte {
	h.stringsSize = uint64(len(raw) + len(extra))
	h.strings = uint32(len(offsets))
	atOffsets, atNames, _, _ := h.sections()
	encoded := make([]byte, 0, 4*len(offsets)+align)
	for _, off := range offsets {
		encoded = binary.LittleEndian.AppendUint32(encoded, off)
	}
	encoded = append(encoded, make([]byte, atNames-atOffsets-uint64(len(encoded)))...)
	pieces := [][]byte{nil, raw, extra, make([]byte, atOffsets-headSize-h.stringsSize), encoded, names, values}
	for _, p := range pieces {
		h.bodyCRC = crc32.Update(h.bodyCRC, castagnoli, p)
	}
	pieces[0] = h.appendTo(nil)
	return pieces
}
