package compact

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sort"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact/internal/step"
)

// places says where the symbols of a source are among those of the output: 4
// bytes for each, or nothing if they are the same.
type places []byte

// of returns the output's place of a source's.
func (p places) of(place uint32) uint32 {
	if p == nil {
		return place
	}
	return binary.LittleEndian.Uint32(p[4*int64(place):])
}

// placesPattern is the name of the file of places, below the output's directory.
const placesPattern = "places-*.tmp"

// symbolTable is a table of symbols that sources share: those of blocks of the same
// series are the same.
type symbolTable struct {
	symbols *block.Symbols
	sources []*source
	offset  int64  // of its places in the file
	buf     []byte // of those that are not written yet
	written int64
}

// symbolMerge merges the symbols of all sources into those of the output, and
// remembers where they went.
//
// Memory is that of a few buffers: symbols are read in their order from the mapped
// files, and places go into a file that is mapped in turn. A thousand blocks of
// the same series have one table, which needs no places.
type symbolMerge struct {
	ctx    context.Context
	tables []*symbolTable
	file   *os.File
	mapped *fileutil.MmapFile
}

// placesBuffer is how many bytes of places are gathered for each table.
const placesBuffer = 4 << 10

// mergeSymbols hands the symbols of all sources to add, ascending, each once, and
// sets where those of each source went. The places are valid until the symbolMerge
// is closed.
func mergeSymbols(ctx context.Context, dir string, sources []*source, add func(symbol []byte) error) (_ *symbolMerge, err error) {
	m := &symbolMerge{ctx: ctx, tables: symbolTables(sources)}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	if len(m.tables) > 1 {
		if err := step.Do(ctx, "write places"); err != nil {
			return nil, err
		}
		if m.file, err = os.CreateTemp(dir, placesPattern); err != nil {
			return nil, err
		}
	}
	count, nothing, err := m.merge(add)
	if err != nil {
		return nil, err
	}
	if m.file != nil {
		if m.mapped, err = fileutil.OpenMmapFile(m.file.Name()); err != nil {
			return nil, err
		}
	}
	for _, t := range m.tables {
		var p places
		if n := t.symbols.Len(); n < count && n > 0 { // else it has all of them
			p = m.mapped.Bytes()[t.offset : t.offset+4*int64(n)]
		}
		for _, s := range t.sources {
			s.place, s.nothing = p, nothing
		}
	}
	return m, nil
}

// symbolTables finds out which sources have the same symbols.
func symbolTables(sources []*source) (tables []*symbolTable) {
	byHash := map[uint64]*symbolTable{}
	offset := int64(0)
	for _, s := range sources {
		symbols := s.r.Symbols()
		h := hashSymbols(symbols)
		if t, ok := byHash[h]; ok && sameSymbols(t.symbols, symbols) {
			t.sources = append(t.sources, s)
			continue
		}
		t := &symbolTable{symbols: symbols, sources: []*source{s}, offset: offset}
		offset += 4 * int64(symbols.Len())
		byHash[h] = t
		tables = append(tables, t)
	}
	return tables
}

// hashSymbols returns a hash of all symbols, where each ends among them.
func hashSymbols(s *block.Symbols) uint64 {
	h := xxhash.New()
	var size [4]byte
	for it := s.Iter(); it.Next(); {
		binary.LittleEndian.PutUint32(size[:], uint32(len(it.Bytes())))
		_, _ = h.Write(size[:]) // never fails
		_, _ = h.Write(it.Bytes())
	}
	return h.Sum64()
}

func sameSymbols(a, b *block.Symbols) bool {
	if a.Len() != b.Len() {
		return false
	}
	ia, ib := a.Iter(), b.Iter()
	for ia.Next() && ib.Next() {
		if !bytes.Equal(ia.Bytes(), ib.Bytes()) {
			return false
		}
	}
	return true
}

// merge goes through all tables at once. It returns how many symbols there are,
// and whether an empty one is among them.
func (m *symbolMerge) merge(add func([]byte) error) (count int, nothing bool, err error) {
	iters := make([]*block.SymbolIter, len(m.tables))
	ended := make([]bool, len(m.tables))
	for i, t := range m.tables {
		iters[i] = t.symbols.Iter()
		ended[i] = !iters[i].Next()
	}
	tree := newTournament(len(iters), func(a, b int) bool {
		if ended[a] || ended[b] {
			return !ended[a]
		}
		return bytes.Compare(iters[a].Bytes(), iters[b].Bytes()) < 0
	})
	var last []byte // in a mapped file
	for i := tree.first(); !ended[i]; i = tree.first() {
		if s := iters[i].Bytes(); count == 0 || !bytes.Equal(s, last) {
			if count%ctxEvery == 0 && m.ctx.Err() != nil {
				return 0, false, m.ctx.Err()
			}
			if err := add(s); err != nil {
				return 0, false, err
			}
			last, nothing = s, nothing || len(s) == 0
			count++
		}
		if err := m.put(m.tables[i], uint32(count-1)); err != nil {
			return 0, false, err
		}
		ended[i] = !iters[i].Next()
		tree.moved()
	}
	for _, t := range m.tables {
		if err := m.flush(t); err != nil {
			return 0, false, err
		}
	}
	return count, nothing, nil
}

// put remembers the place of a table's next symbol.
func (m *symbolMerge) put(t *symbolTable, place uint32) error {
	if m.file == nil {
		return nil
	}
	t.buf = binary.LittleEndian.AppendUint32(t.buf, place)
	if len(t.buf) < placesBuffer {
		return nil
	}
	return m.flush(t)
}

func (m *symbolMerge) flush(t *symbolTable) error {
	if len(t.buf) == 0 {
		return nil
	}
	_, err := m.file.WriteAt(t.buf, t.offset+t.written)
	t.written += int64(len(t.buf))
	t.buf = t.buf[:0]
	return err
}

// close removes the places, which nobody may look at any more.
func (m *symbolMerge) close() error {
	if m.file == nil {
		return nil
	}
	var errs []error
	if m.mapped != nil {
		errs = append(errs, m.mapped.Close())
	}
	errs = append(errs, m.file.Close())
	if err := step.Do(m.ctx, "remove places"); err != nil {
		return errors.Join(append(errs, err)...)
	}
	errs = append(errs, os.Remove(m.file.Name()))
	m.file, m.mapped = nil, nil
	return errors.Join(errs...)
}

// back returns the source's place of an output's that it has.
func (p places) back(place uint32) uint32 {
	if p == nil {
		return place
	}
	return uint32(sort.Search(len(p)/4, func(i int) bool { return p.of(uint32(i)) >= place }))
}
