package block

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/tsdb/index"
)

// Symbols is the table of the label names and values of a block, ascending and
// each once. A symbol is known by its place in the table, counted from 0,
// whatever the version of the index: comparing places compares strings.
//
// Concurrency: safe. Cost: nothing before a symbol is asked for by its place, then
// 4 bytes per symbol, and once a string was asked for the bytes of all symbols.
type Symbols struct {
	b       []byte // each with its length before it
	count   uint32
	base    uint64 // of b in the file; references of version 1 count from there
	version int

	placed  sync.Once
	offsets []uint32 // of the lengths, in b

	once sync.Once
	text string // b
}

// errUnsorted says that symbols are not in order, or one is there twice.
var errUnsorted = errors.New("symbols do not ascend")

// readSymbols finds the symbols in a section of an index.
func readSymbols(content []byte, base uint64, version int) (*Symbols, error) {
	d := decoder{b: content}
	count := d.be32()
	if d.bad || uint64(count) > uint64(len(d.b)) { // each has a length
		return nil, errShort
	}
	s := &Symbols{b: d.b, base: base + 4, version: version, count: count}
	var last []byte
	for i := range count {
		b := d.bytes()
		if d.bad {
			return nil, errShort
		}
		if i > 0 && bytes.Compare(last, b) >= 0 {
			return nil, fmt.Errorf("%w: %q follows %q", errUnsorted, b, last)
		}
		last = b
	}
	return s, nil
}

// places returns where each symbol is, which is found out once.
func (s *Symbols) places() []uint32 {
	s.placed.Do(func() {
		d := decoder{b: s.b}
		s.offsets = make([]uint32, s.count)
		for i := range s.offsets {
			s.offsets[i] = uint32(len(s.b) - len(d.b))
			d.bytes()
		}
	})
	return s.offsets
}

// Len returns how many symbols there are.
func (s *Symbols) Len() int { return int(s.count) }

// SymbolIter goes through symbols in their order. It costs nothing, however many
// there are.
//
// Concurrency: not safe; there may be many of one Symbols.
type SymbolIter struct {
	d    decoder
	left uint32
	cur  []byte
}

// Iter returns an iterator before the first symbol.
func (s *Symbols) Iter() *SymbolIter { return &SymbolIter{d: decoder{b: s.b}, left: s.count} }

// Next goes to the next symbol. It is false at the end.
func (it *SymbolIter) Next() bool {
	if it.left == 0 {
		it.cur = nil
		return false
	}
	it.left--
	it.cur = it.d.bytes()
	return true
}

// Bytes returns the current symbol, valid until the Reader is closed.
func (it *SymbolIter) Bytes() []byte { return it.cur }

// Bytes returns the symbol at a place, valid until the Reader is closed. It
// panics if there is none, as a slice does.
func (s *Symbols) Bytes(i uint32) []byte {
	from, to := bounds(s.b, s.places()[i])
	return s.b[from:to:to]
}

// String returns the symbol at a place, valid for ever. It panics if there is
// none, as a slice does. A string of one symbol keeps those of all in memory.
func (s *Symbols) String(i uint32) string {
	s.once.Do(func() { s.text = string(s.b) })
	from, to := bounds(s.text, s.places()[i])
	return s.text[from:to]
}

// bounds are those of a symbol without its length, which was checked.
func bounds[T string | []byte](b T, offset uint32) (from, to int) {
	from = int(offset)
	size := 0
	for shift := 0; ; shift += 7 {
		c := b[from]
		from++
		size |= int(c&0x7f) << shift
		if c < 0x80 {
			return from, from + size
		}
	}
}

// Find returns the place of a symbol.
func (s *Symbols) Find(symbol string) (uint32, bool) {
	lo, hi := 0, s.Len()
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		switch b := s.Bytes(uint32(mid)); {
		case string(b) == symbol:
			return uint32(mid), true
		case string(b) < symbol:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return 0, false
}

// place turns a reference in the index into a place: it is one already, but in
// version 1, where it is an offset into the file.
func (s *Symbols) place(ref uint64) (uint32, bool) {
	if s.version != index.FormatV1 {
		return uint32(ref), ref < uint64(s.count)
	}
	if ref < s.base || ref-s.base > uint64(len(s.b)) {
		return 0, false
	}
	i, ok := slices.BinarySearch(s.places(), uint32(ref-s.base))
	return uint32(i), ok
}
