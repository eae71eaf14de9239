package indexheader

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"sort"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb/fileutil"
)

// Range is a part of an index in bytes.
type Range struct{ Off, Size int64 }

// List is where a postings list lies in the index, and how long it is.
type List struct {
	// Off is the offset of the list's length in bytes.
	Off int64
	// Count is the number of entries. The list itself says how many it has: never
	// more.
	Count uint32
}

// Range returns the whole list: length, number of entries, entries of 4 bytes,
// checksum.
func (l List) Range() Range { return Range{l.Off, int64(l.Count)*4 + listOverhead} }

// Header is an open index header.
//
// Bytes that its methods return are borrowed: they are valid until Close, or
// until the Release of the Lazy that it is from, and must not be written to.
//
// Concurrency: safe for concurrent use, but for Close.
type Header struct {
	head
	file    *fileutil.MmapFile // Nil if the bytes are not from a file.
	strs    []byte
	offsets []byte
	nameTab []byte
	valTab  []byte
}

// Open maps a file that Build wrote, and checks all of it. The caller closes it.
//
// Errors: those of the file system; any other is a file that is to be built anew.
func Open(path string) (*Header, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open index header: %w", err)
	}
	if stat.Size() < headSize { // What is empty cannot be mapped.
		return nil, fmt.Errorf("open index header %s: %w: %d bytes", path, errFile, stat.Size())
	}
	f, err := fileutil.OpenMmapFile(path)
	if err != nil {
		return nil, fmt.Errorf("open index header: %w", err)
	}
	h, err := parse(f.Bytes())
	if err != nil {
		_ = f.Close() // The mapping was only read.
		return nil, fmt.Errorf("open index header %s: %w", path, err)
	}
	h.file = f
	return h, nil
}

// Close unmaps the file.
func (h *Header) Close() error {
	if h.file == nil {
		return nil
	}
	return h.file.Close()
}

// parse checks a file in full.
func parse(b []byte) (*Header, error) {
	hd, err := parseHead(b)
	if err != nil {
		return nil, err
	}
	offsets, names, values, size := hd.sections()
	if uint64(len(b)) != size {
		return nil, fmt.Errorf("%w: %d of %d bytes", errFile, len(b), size)
	}
	if crc32.Checksum(b[headSize:], castagnoli) != hd.bodyCRC {
		return nil, fmt.Errorf("%w: checksum", errFile)
	}
	h := &Header{
		head:    hd,
		strs:    b[headSize : headSize+hd.stringsSize],
		offsets: b[offsets : offsets+4*uint64(hd.strings)],
		nameTab: b[names:values],
		valTab:  b[values:],
	}
	return h, h.check()
}

// check looks at all positions, so that no method has to.
func (h *Header) check() error {
	for i := range h.strings {
		off := binary.LittleEndian.Uint32(h.offsets[4*i:])
		if uint64(off) > uint64(len(h.strs)) {
			return fmt.Errorf("%w: string %d", errFile, i)
		}
		if _, _, ok := takeBytes(h.strs[off:]); !ok {
			return fmt.Errorf("%w: string %d", errFile, i)
		}
	}
	first, before := uint32(0), uint64(0)
	for i := range h.names + 1 {
		ref, f, t := h.name(i)
		if f < first || f > h.values || t < before || i < h.names && ref >= h.strings {
			return fmt.Errorf("%w: name %d", errFile, i)
		}
		first, before = f, t
	}
	for i := range h.values {
		if binary.LittleEndian.Uint32(h.valTab[valueSize*i:]) >= h.strings {
			return fmt.Errorf("%w: value %d", errFile, i)
		}
	}
	if h.seriesEnd < h.seriesStart || h.seriesEnd > h.indexSize || h.indexSize > 1<<62 || h.allOff > h.indexSize {
		return fmt.Errorf("%w: sections", errFile)
	}
	return nil
}

// str returns the i-th string, which must be there.
func (h *Header) str(i uint32) []byte {
	b := h.strs[binary.LittleEndian.Uint32(h.offsets[4*i:]):]
	if n := b[0]; n < 0x80 { // Nearly all are so short.
		return b[1 : 1+n : 1+n]
	}
	s, _, _ := takeBytes(b)
	return s
}

// name returns the i-th name: its string, its first value, and how many entries
// the lists of all names before it have.
func (h *Header) name(i uint32) (ref, first uint32, before uint64) {
	b := h.nameTab[nameSize*i : nameSize*i+nameSize]
	return binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[8:])
}

// Block returns the block whose index it is of.
func (h *Header) Block() ulid.ULID { return h.block }

// IndexVersion returns 1 or 2.
func (h *Header) IndexVersion() int { return int(h.indexVersion) }

// IndexSize returns the size of the index in bytes.
func (h *Header) IndexSize() int64 { return int64(h.indexSize) }

// SeriesUnit returns what entries of postings lists are to be multiplied by to
// get the offset of a series in the index in bytes: 16, or 1 in version 1.
func (h *Header) SeriesUnit() uint64 {
	if h.indexVersion == v1 {
		return 1
	}
	return 16
}

// Series returns the section of the index that has the series. Padding may
// follow the last one.
func (h *Header) Series() Range {
	return Range{int64(h.seriesStart), int64(h.seriesEnd - h.seriesStart)}
}

// SeriesCount returns the number of series.
func (h *Header) SeriesCount() int { return int(h.allCount) }

// All returns the list of all series.
func (h *Header) All() List { return List{int64(h.allOff), h.allCount} }

// Symbol returns the string that a series refers to. Cost: O(1).
//
// Errors: there is no such symbol; the series is corrupt.
func (h *Header) Symbol(ref uint32) ([]byte, error) {
	if h.indexVersion == v1 {
		return h.symbolAt(ref)
	}
	if ref >= h.symbols {
		return nil, fmt.Errorf("no symbol %d among %d", ref, h.symbols)
	}
	return h.str(ref), nil
}

// symbolAt returns the symbol at that offset in the index.
func (h *Header) symbolAt(off uint32) ([]byte, error) {
	if at := uint64(off) - h.symbolsBase; uint64(off) >= h.symbolsBase && at < uint64(len(h.strs)) {
		if s, _, ok := takeBytes(h.strs[at:]); ok {
			return s, nil
		}
	}
	return nil, fmt.Errorf("no symbol at %d", off)
}

// Names returns the number of label names.
func (h *Header) Names() int { return int(h.names) }

// Name returns the i-th label name in ascending order.
func (h *Header) Name(i int) []byte {
	ref, _, _ := h.name(uint32(i))
	return h.str(ref)
}

// Values returns the values of a label, or false if no series has it.
func (h *Header) Values(name string) (Values, bool) {
	i := sort.Search(int(h.names), func(i int) bool { return string(h.Name(i)) >= name })
	if i == int(h.names) || string(h.Name(i)) != name {
		return Values{}, false
	}
	return h.ValuesAt(i), true
}

// ValuesAt returns the values of the i-th label name.
func (h *Header) ValuesAt(i int) Values {
	_, first, before := h.name(uint32(i))
	_, end, after := h.name(uint32(i) + 1)
	return Values{h: h, first: first, n: end - first, entries: after - before}
}

// Values is the values of one label name, ascending by bytes, and their postings.
// It is borrowed from its Header.
type Values struct {
	h        *Header
	first, n uint32
	entries  uint64
}

// Len returns the number of values.
func (v Values) Len() int { return int(v.n) }

// Entries returns the number of entries in the postings of all values together,
// which is the number of series that have the label.
func (v Values) Entries() uint64 { return v.entries }

// At returns the i-th value.
func (v Values) At(i int) []byte {
	return v.h.str(binary.LittleEndian.Uint32(v.record(i)))
}

// Postings returns the list of the series that have the i-th value.
func (v Values) Postings(i int) List {
	b := v.record(i)
	return List{int64(binary.LittleEndian.Uint64(b[8:])), binary.LittleEndian.Uint32(b[4:])}
}

// Search returns the position of the first value that is not less, and whether
// it is equal.
func (v Values) Search(value string) (int, bool) {
	i := sort.Search(v.Len(), func(i int) bool { return string(v.At(i)) >= value })
	return i, i < v.Len() && string(v.At(i)) == value
}

// Prefixed returns the positions [lo, hi) of the values that begin with prefix.
func (v Values) Prefixed(prefix string) (lo, hi int) {
	p := []byte(prefix)
	lo, _ = v.Search(prefix)
	n := sort.Search(v.Len()-lo, func(i int) bool { return !bytes.HasPrefix(v.At(lo+i), p) })
	return lo, lo + n
}

// record returns the i-th record of the table.
func (v Values) record(i int) []byte {
	at := valueSize * (int(v.first) + i)
	return v.h.valTab[at : at+valueSize : at+valueSize]
}
