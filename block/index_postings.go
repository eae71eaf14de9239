package block

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
)

// postingsBatch is how many postings are sorted at once, unless there are more
// series than that. They take 8 bytes each.
const postingsBatch = 4 << 20

// postingsWriter writes the lists of series by label, and beside them the table
// of where each list is.
type postingsWriter struct {
	*indexWriter
	table  *fileWriter
	lists  uint64
	counts []uint32 // by place of value; 0 between names
	values []uint32
	sorted []uint32
}

func (w *indexWriter) writePostings() (err error) {
	if err := w.f.buf.Flush(); err != nil {
		return err
	}
	whole, err := mapFile(w.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, whole.Close()) }()

	p := &postingsWriter{indexWriter: w, counts: make([]uint32, w.symbols.Len())}
	if p.table, err = createFile(w.name+".postings.tmp", indexBuffer, w.step); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.dropTable()) }()

	w.toc.Postings = w.f.pos
	if err := p.list("", "", w.series); err != nil {
		return err
	}
	names := make([]uint32, 0, len(w.names))
	for name := range w.names {
		names = append(names, name)
	}
	slices.Sort(names)
	for len(names) > 0 {
		n := p.next(names)
		if err := p.gather(whole.b, names[:n]); err != nil {
			return err
		}
		names = names[n:]
	}
	return p.copyTable()
}

// next returns how many of the names are to be sorted at once: all that fit, one
// at least.
func (p *postingsWriter) next(names []uint32) int {
	limit := uint64(max(p.batch, len(p.series)))
	uses := uint64(0)
	for i, name := range names {
		if uses += p.names[name]; uses > limit && i > 0 {
			return i
		}
	}
	return len(names)
}

// posting is a series by the value that it has for a name.
type posting struct{ value, series uint32 }

// gather writes the lists of some names, ascending, which it gathers in one pass
// over the series.
func (p *postingsWriter) gather(b []byte, names []uint32) error {
	columns := make([][]posting, len(names))
	for i, name := range names {
		columns[i] = make([]posting, 0, p.names[name])
	}
	first, last := names[0], names[len(names)-1]
	for _, series := range p.series {
		d := decoder{b: b[uint64(series)*seriesAlign:]}
		d.uvarint() // size of the entry
		for range d.uvarint() {
			name, value := uint32(d.uvarint()), uint32(d.uvarint())
			if name < first || name > last {
				continue
			}
			i, _ := slices.BinarySearch(names, name)
			columns[i] = append(columns[i], posting{value: value, series: series})
		}
	}
	for i, name := range names {
		if err := p.column(name, columns[i]); err != nil {
			return err
		}
		columns[i] = nil
	}
	return nil
}

// column writes the lists of one name.
func (p *postingsWriter) column(name uint32, column []posting) error {
	p.values = p.values[:0]
	for _, e := range column {
		if p.counts[e.value] == 0 {
			p.values = append(p.values, e.value)
		}
		p.counts[e.value]++
	}
	slices.Sort(p.values) // places ascend as strings do
	next := uint32(0)
	for _, v := range p.values {
		p.counts[v], next = next, next+p.counts[v]
	}
	p.sorted = slices.Grow(p.sorted[:0], len(column))[:len(column)]
	for _, e := range column {
		p.sorted[p.counts[e.value]] = e.series
		p.counts[e.value]++ // which ends as the end of the value's list
	}
	from := uint32(0)
	label := p.symbols.Bytes(name)
	for _, v := range p.values {
		to := p.counts[v]
		p.counts[v] = 0
		if err := p.list(string(label), string(p.symbols.Bytes(v)), p.sorted[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// list writes one list of series, and where it is.
func (p *postingsWriter) list(name, value string, series []uint32) error {
	if err := p.f.pad(4); err != nil {
		return err
	}
	b := binary.AppendUvarint(p.buf[:0], 2)
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(b, value...)
	b = binary.AppendUvarint(b, p.f.pos)
	if _, err := p.table.Write(b); err != nil {
		return err
	}
	p.lists++

	b = binary.BigEndian.AppendUint32(b[:0], uint32(4+4*len(series)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(series)))
	for _, s := range series {
		b = binary.BigEndian.AppendUint32(b, s)
	}
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[4:], castagnoli))
	p.buf = b
	_, err := p.f.Write(b)
	return err
}

// copyTable writes the table to where it belongs.
func (p *postingsWriter) copyTable() error {
	p.toc.LabelIndicesTable, p.toc.PostingsTable = p.f.pos, p.f.pos
	size := p.table.pos + 4
	if size > math.MaxUint32 || p.lists > math.MaxUint32 {
		return errors.New("table of postings has more than 4 GiB")
	}
	if err := p.table.buf.Flush(); err != nil {
		return err
	}
	if _, err := p.table.f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(size))
	head = binary.BigEndian.AppendUint32(head, uint32(p.lists))
	if _, err := p.f.Write(head); err != nil {
		return err
	}
	sum := crc32.New(castagnoli)
	sum.Write(head[4:])
	if _, err := io.Copy(io.MultiWriter(p.f, sum), p.table.f); err != nil {
		return err
	}
	_, err := p.f.Write(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
	return err
}

func (p *postingsWriter) dropTable() error {
	if p.table.f == nil {
		return nil
	}
	name := p.table.f.Name()
	if err := errors.Join(p.table.close(), p.step.do("remove", name)); err != nil {
		return err
	}
	return os.Remove(name)
}
