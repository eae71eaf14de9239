package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/index"
)

// seriesAlign is what offsets of series are multiples of in version 2.
const seriesAlign = 16

// indexFile is an index in memory.
//
// Source: prometheus/tsdb/docs/format/index.md, and Prometheus v2.0 for version
// 1, in which series are not aligned and symbols are known by their offset.
type indexFile struct {
	mapped
	block   ulid.ULID
	version int
	toc     *index.TOC
	symbols *Symbols
	end     uint64 // of the section of series
}

// byteSlice is what the table of contents is read from.
type byteSlice []byte

func (b byteSlice) Len() int                    { return len(b) }
func (b byteSlice) Range(start, end int) []byte { return b[start:end] }

func openIndex(name string, block ulid.ULID) (*indexFile, error) {
	m, err := mapFile(name)
	if err != nil {
		return nil, fmt.Errorf("open block %s: %w", block, err)
	}
	x := &indexFile{mapped: m, block: block}
	if err := x.read(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return x, nil
}

func (x *indexFile) read() error {
	if len(x.b) < index.HeaderLen {
		return x.corrupt(0, fmt.Errorf("%d bytes: %w", len(x.b), errShort))
	}
	if magic := binary.BigEndian.Uint32(x.b); magic != index.MagicIndex {
		return x.corrupt(0, fmt.Errorf("magic number %#x", magic))
	}
	x.version = int(x.b[4])
	if x.version != index.FormatV1 && x.version != index.FormatV2 {
		return &UnsupportedError{Block: x.block, File: IndexFile, What: fmt.Sprintf("index version %d", x.version)}
	}
	var err error
	if x.toc, err = index.NewTOCFromByteSlice(byteSlice(x.b)); err != nil {
		return x.corrupt(uint64(len(x.b)), err)
	}
	symbols, err := section(x.b, x.toc.Symbols)
	if err != nil {
		return x.corrupt(x.toc.Symbols, fmt.Errorf("symbols: %w", err))
	}
	if x.symbols, err = readSymbols(symbols, x.toc.Symbols+4, x.version); err != nil {
		return x.corrupt(x.toc.Symbols, fmt.Errorf("symbols: %w", err))
	}
	x.end = uint64(len(x.b))
	for _, off := range []uint64{x.toc.LabelIndices, x.toc.LabelIndicesTable, x.toc.Postings, x.toc.PostingsTable} {
		if off >= x.toc.Series {
			x.end = min(x.end, off)
		}
	}
	if x.toc.Series < index.HeaderLen || x.toc.Series > x.end {
		return x.corrupt(x.toc.Series, fmt.Errorf("no series can be there in %d bytes", len(x.b)))
	}
	return nil
}

func (x *indexFile) corrupt(offset uint64, err error) error {
	return &CorruptError{Block: x.block, File: IndexFile, Err: &OffsetError{Offset: int64(offset), Err: err}}
}

// LabelRef is a label by the places of its name and value in Symbols.
type LabelRef struct{ Name, Value uint32 }

// SeriesIter goes through the series of a block in the order of the index, which
// is that of their labels in a block in which nothing is wrong.
//
//	for it := r.Series(); it.Next(); {
//		...
//	}
//	if err := it.Err(); err != nil {
//
// Next allocates nothing once its buffers have grown to the largest series.
//
// Concurrency: not safe; there may be many of one Reader.
type SeriesIter struct {
	x        *indexFile
	next     uint64 // where to look for the next one
	off      uint64 // of the current one
	labels   []LabelRef
	chunks   []ChunkMeta
	unsorted bool // labels
	err      error
}

// Next goes to the next series. It is false at the end and at the first error.
func (it *SeriesIter) Next() bool {
	if it.err != nil {
		return false
	}
	off := it.next
	if it.x.version != index.FormatV1 {
		off = (off + seriesAlign - 1) / seriesAlign * seriesAlign
	}
	if off >= it.x.end {
		return false
	}
	entry, size, err := it.x.entry(off)
	if err == nil {
		err = it.decode(entry)
	}
	it.off, it.next = off, off+uint64(size)
	if err != nil {
		it.err = it.x.corrupt(off, fmt.Errorf("series: %w", err))
		return false
	}
	return true
}

// resume goes on after an error if the entry had a length to go by.
func (it *SeriesIter) resume() bool {
	if it.err == nil || it.next == it.off {
		return false
	}
	it.err = nil
	return true
}

// entry returns the series at an offset, and the size of the entry with length
// and checksum, which is there even if the checksum is not that of the entry.
func (x *indexFile) entry(off uint64) ([]byte, int, error) {
	b := x.b[off:x.end]
	size, n := binary.Uvarint(b)
	if n <= 0 || len(b)-n < crc32.Size || size > uint64(len(b)-n-crc32.Size) {
		return nil, 0, errShort
	}
	end := n + int(size)
	if crc32.Checksum(b[n:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return nil, end + crc32.Size, errChecksum
	}
	return b[n:end], end + crc32.Size, nil
}

func (it *SeriesIter) decode(entry []byte) error {
	it.labels, it.chunks, it.unsorted = it.labels[:0], it.chunks[:0], false
	d := decoder{b: entry}
	n := d.uvarint()
	if n > uint64(len(d.b))/2 {
		return errShort
	}
	for range n {
		name, ok := it.x.symbols.place(d.uvarint())
		value, okToo := it.x.symbols.place(d.uvarint())
		if d.bad {
			return errShort
		}
		if !ok || !okToo {
			return errors.New("label with an unknown symbol")
		}
		if k := len(it.labels); k > 0 && name <= it.labels[k-1].Name {
			it.unsorted = true
		}
		it.labels = append(it.labels, LabelRef{Name: name, Value: value})
	}
	n = d.uvarint()
	if d.bad || n > uint64(len(d.b))/3 {
		return errShort
	}
	var c ChunkMeta
	for i := range n {
		if i == 0 {
			c.MinTime = d.varint()
			c.MaxTime = c.MinTime + int64(d.uvarint())
			c.Ref = ChunkRef(d.uvarint())
		} else {
			c.MinTime = c.MaxTime + int64(d.uvarint())
			c.MaxTime = c.MinTime + int64(d.uvarint())
			c.Ref += ChunkRef(d.varint())
		}
		it.chunks = append(it.chunks, c)
	}
	if d.bad {
		return errShort
	}
	return nil
}

// Err returns what Next ended with: nil at the end, else a CorruptError.
func (it *SeriesIter) Err() error { return it.err }

// Offset returns where in the index the current series is, in bytes.
func (it *SeriesIter) Offset() uint64 { return it.off }

// LabelRefs returns the labels of the current series, valid until Next. They are
// as the index has them, ascending by name unless something is wrong.
func (it *SeriesIter) LabelRefs() []LabelRef { return it.labels }

// Labels returns the labels of the current series, ascending, valid for ever.
// What is in sb is lost.
func (it *SeriesIter) Labels(sb *labels.ScratchBuilder) labels.Labels {
	sb.Reset()
	for _, l := range it.labels {
		sb.Add(it.x.symbols.String(l.Name), it.x.symbols.String(l.Value))
	}
	if it.unsorted {
		sb.Sort()
	}
	return sb.Labels()
}

// Chunks returns the chunks of the current series, valid until Next. They ascend
// in time and do not overlap unless something is wrong.
func (it *SeriesIter) Chunks() []ChunkMeta { return it.chunks }
