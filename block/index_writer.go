package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"path/filepath"

	"github.com/prometheus/prometheus/tsdb/index"
)

// indexWriter writes an index of version 2, byte for byte the one that the
// writer of Prometheus makes of the same symbols and series.
//
// Series come as places of symbols, so no string is looked up, and postings are
// sorted by counting. Memory: 4 bytes per series, 8 bytes per symbol, and those
// of postingsBatch.
type indexWriter struct {
	name string
	f    *fileWriter
	step stepFunc
	toc  index.TOC

	symbolCount uint32
	lastSymbol  []byte
	file        mapped   // up to the end of the symbols; once there are series
	symbols     *Symbols // likewise

	series   []uint32          // offsets / 16
	postings uint64            // that there will be
	names    map[uint32]uint64 // how many series have a label, by the place of its name
	batch    int               // how many postings are sorted at once, at least
	buf      []byte
	head     [binary.MaxVarintLen64]byte
}

// indexBuffer is the size of the buffer of an index file.
const indexBuffer = 1 << 20

func createIndex(dir string, step stepFunc) (*indexWriter, error) {
	name := filepath.Join(dir, IndexFile)
	f, err := createFile(name, indexBuffer, step)
	if err != nil {
		return nil, err
	}
	w := &indexWriter{name: name, f: f, step: step, names: map[uint32]uint64{}, batch: postingsBatch}
	header := binary.BigEndian.AppendUint32(nil, index.MagicIndex)
	header = append(header, index.FormatV2)
	w.toc.Symbols = uint64(len(header))
	if _, err := f.Write(append(header, make([]byte, 8)...)); err != nil { // length and count come later
		return nil, errors.Join(err, f.close())
	}
	return w, nil
}

func (w *indexWriter) addSymbol(s []byte) error {
	if w.symbols != nil {
		return errors.New("series were added before")
	}
	if w.symbolCount > 0 && string(s) <= string(w.lastSymbol) {
		return fmt.Errorf("%w: %q follows %q", errUnsorted, s, w.lastSymbol)
	}
	if w.f.pos-w.toc.Symbols+uint64(len(s))+binary.MaxVarintLen32 > math.MaxUint32 {
		return fmt.Errorf("symbols have more than %d bytes", uint32(math.MaxUint32))
	}
	w.lastSymbol = append(w.lastSymbol[:0], s...)
	w.symbolCount++
	w.buf = binary.AppendUvarint(w.buf[:0], uint64(len(s)))
	w.buf = append(w.buf, s...)
	_, err := w.f.Write(w.buf)
	return err
}

// finishSymbols ends the section of symbols and begins that of series.
func (w *indexWriter) finishSymbols() error {
	end, start := w.f.pos, w.toc.Symbols
	if _, err := w.f.Write(make([]byte, crc32.Size)); err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(end-start-4))
	head = binary.BigEndian.AppendUint32(head, w.symbolCount)
	if err := w.f.writeAt(head, start); err != nil {
		return err
	}
	var err error
	if w.file, err = mapFile(w.name); err != nil {
		return err
	}
	content := w.file.b[start+4 : end]
	if err := w.f.writeAt(binary.BigEndian.AppendUint32(nil, crc32.Checksum(content, castagnoli)), end); err != nil {
		return err
	}
	if w.symbols, err = readSymbols(content, start+4, index.FormatV2); err != nil {
		return err
	}
	w.toc.Series = w.f.pos
	return nil
}

// addSeries writes a series and returns its offset.
func (w *indexWriter) addSeries(lset []LabelRef, chunks []ChunkMeta) (uint64, error) {
	if err := w.f.pad(seriesAlign); err != nil {
		return 0, err
	}
	off := w.f.pos
	if off/seriesAlign > math.MaxUint32 {
		return 0, fmt.Errorf("index has more than %d bytes of series", off)
	}
	b := binary.AppendUvarint(w.buf[:0], uint64(len(lset)))
	w.postings += 1 + uint64(len(lset))
	for _, l := range lset {
		w.names[l.Name]++
		b = binary.AppendUvarint(b, uint64(l.Name))
		b = binary.AppendUvarint(b, uint64(l.Value))
	}
	b = binary.AppendUvarint(b, uint64(len(chunks)))
	for i, c := range chunks {
		if i == 0 {
			b = binary.AppendVarint(b, c.MinTime)
			b = binary.AppendUvarint(b, uint64(c.MaxTime-c.MinTime))
			b = binary.AppendUvarint(b, uint64(c.Ref))
			continue
		}
		prev := chunks[i-1]
		b = binary.AppendUvarint(b, uint64(c.MinTime-prev.MaxTime))
		b = binary.AppendUvarint(b, uint64(c.MaxTime-c.MinTime))
		b = binary.AppendVarint(b, int64(c.Ref)-int64(prev.Ref))
	}
	w.buf = b
	n := binary.PutUvarint(w.head[:], uint64(len(b)))
	w.buf = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := w.f.Write(w.head[:n]); err != nil {
		return 0, err
	}
	_, err := w.f.Write(w.buf)
	w.series = append(w.series, uint32(off/seriesAlign))
	return off, err
}

// end writes postings and the table of contents, and returns the file's size.
func (w *indexWriter) end() (uint64, error) {
	w.toc.LabelIndices = w.f.pos // Prometheus has given up that section
	if err := w.writePostings(); err != nil {
		return 0, err
	}
	b := w.buf[:0]
	for _, off := range []uint64{w.toc.Symbols, w.toc.Series, w.toc.LabelIndices, w.toc.LabelIndicesTable, w.toc.Postings, w.toc.PostingsTable} {
		b = binary.BigEndian.AppendUint64(b, off)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	_, err := w.f.Write(b)
	return w.f.pos, err
}

// finish puts the file on disk, after end.
func (w *indexWriter) finish() error { return errors.Join(w.f.finish(), w.unmap()) }

func (w *indexWriter) unmap() error {
	w.symbols = nil
	if w.file.Closer == nil {
		return nil
	}
	err := w.file.Close()
	w.file = mapped{}
	return err
}

// abort closes what is open.
func (w *indexWriter) abort() error { return errors.Join(w.f.close(), w.unmap()) }
