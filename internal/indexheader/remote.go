package indexheader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The index in the bucket: tsdb/docs/format/index.md.
const (
	indexMagic = 0xBAAAD700
	v1         = 1
	v2         = 2

	indexHead = 5          // Magic and version.
	tocSize   = 6*8 + 4    // Offsets and checksum.
	minIndex  = 5 + 52 + 8 // Smaller than any.
)

var (
	errChecksum = errors.New("checksum mismatch")
	errShort    = errors.New("unexpected end")
)

// unknownVersionError is the version of an index that we do not know.
type unknownVersionError byte

func (v unknownVersionError) Error() string { return fmt.Sprintf("index version %d", byte(v)) }

// toc is the table of contents: where sections begin in the index.
type toc struct {
	symbols, series, labelIndices, labelIndicesTable, postings, postingsTable uint64
}

// parseTOC parses the end of an index of that size.
func parseTOC(tail []byte, size int64) (toc, error) {
	var t toc
	if len(tail) < tocSize {
		return t, fmt.Errorf("table of contents: %w", errShort)
	}
	b := tail[len(tail)-tocSize:]
	if crc32.Checksum(b[:tocSize-4], castagnoli) != binary.BigEndian.Uint32(b[tocSize-4:]) {
		return t, fmt.Errorf("table of contents: %w", errChecksum)
	}
	for i, p := range []*uint64{&t.symbols, &t.series, &t.labelIndices, &t.labelIndicesTable, &t.postings, &t.postingsTable} {
		*p = binary.BigEndian.Uint64(b[8*i:])
		if *p > uint64(size-tocSize) {
			return t, fmt.Errorf("table of contents: section at %d of %d bytes", *p, size)
		}
	}
	if t.symbols < indexHead || t.series < t.symbols || t.postings < t.series || t.postingsTable < t.postings {
		return t, errors.New("table of contents: sections out of order")
	}
	return t, nil
}

// seriesEnd returns the end of the series section.
func (t *toc) seriesEnd() uint64 { return t.after(t.series) }

// after returns where the section after that offset begins.
func (t *toc) after(off uint64) uint64 {
	end := t.postingsTable
	for _, s := range []uint64{t.labelIndices, t.labelIndicesTable, t.postings} {
		if s > off && s < end {
			end = s
		}
	}
	return end
}

// section returns the contents of a section at the beginning of b: length,
// contents, checksum.
func section(b []byte) ([]byte, error) {
	if len(b) < 8 {
		return nil, errShort
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if n+8 > uint64(len(b)) {
		return nil, errShort
	}
	if crc32.Checksum(b[4:4+n], castagnoli) != binary.BigEndian.Uint32(b[4+n:]) {
		return nil, errChecksum
	}
	return b[4 : 4+n], nil
}

// parseVersion checks the beginning of an index.
func parseVersion(b []byte) (int, error) {
	if len(b) < indexHead {
		return 0, errShort
	}
	if m := binary.BigEndian.Uint32(b); m != indexMagic {
		return 0, fmt.Errorf("magic %x", m)
	}
	if b[4] != v1 && b[4] != v2 {
		return 0, unknownVersionError(b[4])
	}
	return int(b[4]), nil
}

// takeBytes cuts a string with its length before it off b.
func takeBytes(b []byte) (s, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k : k+int(n)], b[k+int(n):], true
}

// parseSymbols checks the symbol section at the beginning of b, and returns the
// symbols as they are there and where each begins.
func parseSymbols(b []byte) (raw []byte, offsets []uint32, err error) {
	b, err = section(b)
	if err != nil {
		return nil, nil, err
	}
	if len(b) < 4 {
		return nil, nil, errShort
	}
	n := binary.BigEndian.Uint32(b)
	raw = b[4:]
	if uint64(n) > uint64(len(raw)) {
		return nil, nil, errShort
	}
	offsets = make([]uint32, 0, n)
	rest := raw
	for range n {
		offsets = append(offsets, uint32(len(raw)-len(rest)))
		var ok bool
		if _, rest, ok = takeBytes(rest); !ok {
			return nil, nil, errShort
		}
	}
	return raw[:len(raw)-len(rest)], offsets, nil
}

// listing is an entry of the table of postings. Its strings are in the index.
type listing struct {
	name, value []byte
	off         uint64
	count       uint32
}

// parsePostingsTable checks the table of postings at the beginning of b. An entry
// has no count yet.
func parsePostingsTable(b []byte) ([]listing, error) {
	b, err := section(b)
	if err != nil {
		return nil, err
	}
	if len(b) < 4 {
		return nil, errShort
	}
	n := binary.BigEndian.Uint32(b)
	b = b[4:]
	if uint64(n) > uint64(len(b)/4) { // An entry has four fields.
		return nil, errShort
	}
	out := make([]listing, 0, n)
	for range n {
		keys, k := binary.Uvarint(b)
		if k <= 0 {
			return nil, errShort
		}
		if keys != 2 {
			return nil, fmt.Errorf("entry of %d strings", keys)
		}
		var l listing
		var ok bool
		if l.name, b, ok = takeBytes(b[k:]); !ok {
			return nil, errShort
		}
		if l.value, b, ok = takeBytes(b); !ok {
			return nil, errShort
		}
		if l.off, k = binary.Uvarint(b); k <= 0 {
			return nil, errShort
		}
		b = b[k:]
		out = append(out, l)
	}
	return out, nil
}
