package block

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/tsdb/index"
)

// postingSum stands for a set of series by label: how many there are and the sum
// of their hashes. That of the series and that of the postings are equal if the
// sets are, and if they are not with a chance of 1 in 2^64.
type postingSum struct{ n, hash uint64 }

func (s *postingSum) add(value uint32, series uint64) {
	s.n++
	s.hash += mix(mix(uint64(value)+1) ^ series)
}

// mix is the finalizer of MurmurHash3.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// sum adds the labels of a series.
func (v *verifier) sum(off uint64, lset []LabelRef) {
	v.all.add(0, off)
	for _, l := range lset {
		s := v.sums[l.Name]
		s.add(l.Value, off)
		v.sums[l.Name] = s
	}
}

// postings compares the lists of series by label with the series.
func (v *verifier) postings() error {
	c := &postingsCheck{verifier: v, found: map[uint32]postingSum{}}
	err := v.index.postingsTable(c.entry)
	switch {
	case v.ctx.Err() != nil:
		return v.ctx.Err()
	case err != nil:
		v.add(CorruptPostings, err)
	case v.report.Count(CorruptIndex) == 0: // else series are missing
		c.compare()
	}
	return nil
}

// postingsCheck goes through the lists of series by label.
type postingsCheck struct {
	*verifier
	entries, bytes      int
	lastName, lastValue []byte
	everything          postingSum            // of the list of all series
	found               map[uint32]postingSum // of the others, by place of the label's name
}

func (c *postingsCheck) problemf(off uint64, format string, args ...any) {
	c.add(CorruptPostings, c.index.corrupt(off, fmt.Errorf(format, args...)))
}

// entry looks at one entry of the table, and at its list.
func (c *postingsCheck) entry(name, value []byte, off uint64) error {
	if c.entries++; c.entries%1024 == 0 && c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	x := c.index
	if order := cmp.Or(bytes.Compare(c.lastName, name), bytes.Compare(c.lastValue, value)); order >= 0 && c.entries > 1 && x.version != index.FormatV1 {
		c.problemf(x.toc.PostingsTable, "%q=%q follows %q=%q", name, value, c.lastName, c.lastValue)
	}
	c.lastName, c.lastValue = name, value
	list, err := x.postingsAt(off)
	if err != nil {
		c.problemf(off, "postings of %q=%q: %w", name, value, err)
		return nil
	}
	if c.bytes += len(list); c.bytes > len(x.b) {
		return x.corrupt(off, errors.New("lists of postings overlap"))
	}
	if len(name) == 0 && len(value) == 0 {
		c.list(&c.everything, 0, name, value, off, list)
		return nil
	}
	n, ok := x.symbols.Find(string(name))
	place, okToo := x.symbols.Find(string(value))
	if !ok || !okToo {
		c.problemf(x.toc.PostingsTable, "%q=%q is not among the symbols", name, value)
		return nil
	}
	sum := c.found[n]
	c.list(&sum, place, name, value, off, list)
	c.found[n] = sum
	return nil
}

// list adds a list to a sum.
func (c *postingsCheck) list(sum *postingSum, place uint32, name, value []byte, off uint64, list []byte) {
	if !c.index.eachPosting(list, func(series uint64) { sum.add(place, series) }) {
		c.problemf(off, "postings of %q=%q do not ascend", name, value)
	}
}

// compare reports labels whose postings are not those of the series.
func (c *postingsCheck) compare() {
	table := c.index.toc.PostingsTable
	if c.everything != c.all {
		c.problemf(table, "postings of all series have %d series, there are %d", c.everything.n, c.all.n)
	}
	for name := range uint32(c.index.symbols.Len()) {
		if is, has := c.found[name], c.sums[name]; is != has {
			c.problemf(table, "postings of label %q are not those of its series: %d and %d", c.index.symbols.Bytes(name), is.n, has.n)
		}
	}
}

// postingsTable calls f for each entry of the table of postings.
func (x *indexFile) postingsTable(f func(name, value []byte, off uint64) error) error {
	b, err := section(x.b, x.toc.PostingsTable)
	if err != nil {
		return x.corrupt(x.toc.PostingsTable, fmt.Errorf("table of postings: %w", err))
	}
	d := decoder{b: b}
	for range d.be32() {
		if keys := d.uvarint(); keys != 2 && !d.bad {
			return x.corrupt(x.toc.PostingsTable, fmt.Errorf("entry of %d strings in the table of postings", keys))
		}
		name, value, off := d.bytes(), d.bytes(), d.uvarint()
		if d.bad {
			return x.corrupt(x.toc.PostingsTable, fmt.Errorf("table of postings: %w", errShort))
		}
		if err := f(name, value, off); err != nil {
			return err
		}
	}
	return nil
}

// postingsAt returns the references in a list, 4 bytes each.
func (x *indexFile) postingsAt(off uint64) ([]byte, error) {
	b, err := section(x.b, off)
	if err != nil {
		return nil, err
	}
	if len(b) < 4 || uint64(binary.BigEndian.Uint32(b))*4 != uint64(len(b)-4) {
		return nil, errors.New("wrong number of series")
	}
	return b[4:], nil
}

// eachPosting calls f with the offset of each series, and reports whether they
// ascend.
func (x *indexFile) eachPosting(list []byte, f func(series uint64)) bool {
	factor := uint64(seriesAlign)
	if x.version == index.FormatV1 {
		factor = 1
	}
	last, sorted := uint64(0), true
	for ; len(list) >= 4; list = list[4:] {
		series := uint64(binary.BigEndian.Uint32(list)) * factor
		if series <= last {
			sorted = false
		}
		last = series
		f(series)
	}
	return sorted
}
