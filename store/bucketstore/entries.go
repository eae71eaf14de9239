package bucketstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// chunkMeta is a chunk as a series entry of an index tells of it.
type chunkMeta struct {
	ref        uint64 // segment and offset, see segmentOf
	mint, maxt int64  // ms, inclusive
	// size is how much of the segment is to be read for the chunk: at least all of
	// it, if it is not a guess.
	size  uint32
	guess bool
}

// chunkMetaSize is about the memory of a chunkMeta.
const chunkMetaSize = 32

// segmentOf takes a chunk reference apart.
func segmentOf(ref uint64) (segment int, off int64) { return int(ref >> 32), int64(uint32(ref)) }

// entry is a series that is to be sent.
type entry struct {
	labels run // of entries.labels: as they are sent
	chunks run // of entries.chunks: those that overlap the range
}

type run struct{ from, to int }

// maxLabelBytes is what the labels of a series take at most. Symbols can be
// referred to any number of times, so that a small entry may stand for many bytes.
const maxLabelBytes = 16 << 20

// maxKeptEntries is how much memory entries may take to be used again.
const maxKeptEntries = 16 << 20

// entries collects the series entries of one block that answer a call, in the
// order in which they are to be sent. It is not safe for concurrent use.
type entries struct {
	mint, maxt int64
	algebra    *algebra
	rest       []*labels.Matcher // that no posting has answered for
	symbol     func(ref uint32) ([]byte, error)
	sizes      *chunkSizes
	skipChunks bool

	all     []entry
	labels  []byte
	chunks  []chunkMeta
	dropped int // in all, where those begin that were not dropped
	left    int // how many chunks these have
	group   int // in all, where the group begins that may not be complete

	own, before []byte // labels of this series and of the one before, its own
	refs        []labelRef
	values      [][]byte // of the labels that rest asks for
	last        int      // in chunks, of the series before; -1 if it was not taken
	unlabelled  bool     // a series was left out because no label was left
}

// errors of entries; the caller says which block.
var (
	errEntryShort  = errors.New("series entry ends early")
	errEntryOrder  = errors.New("series are not in order")
	errLabelOrder  = errors.New("labels of a series are not in order")
	errLabelBytes  = errors.New("labels of a series take too many bytes")
	errChunkRange  = errors.New("chunk ends before it begins")
	errNoLabels    = errors.New("series left out: it has no labels but replica labels")
	errRefOverflow = errors.New("chunk reference overflows")
)

// begin prepares for the series of one block. mint, maxt and skipChunks are set.
func (e *entries) begin(a *algebra, sizes *chunkSizes, symbol func(uint32) ([]byte, error), rest []*labels.Matcher) {
	e.algebra, e.sizes, e.symbol, e.rest = a, sizes, symbol, rest
	e.clear()
	e.own, e.before, e.refs, e.unlabelled = e.own[:0], e.before[:0], e.refs[:0], false
	clear(e.values)
	e.values = append(e.values[:0], make([][]byte, len(rest))...)
}

// entriesPool recycles entries with their memory. The zero value is ready for
// use, and safe for concurrent use.
type entriesPool struct{ pool sync.Pool }

func (p *entriesPool) get() *entries {
	if e, ok := p.pool.Get().(*entries); ok {
		return e
	}
	return &entries{}
}

// put takes back what get returned, unless a group was so large that its memory
// is not worth keeping.
func (p *entriesPool) put(e *entries) {
	e.algebra, e.sizes, e.symbol, e.rest = nil, nil, nil, nil
	clear(e.values)
	if cap(e.labels)+chunkMetaSize*cap(e.chunks) <= maxKeptEntries {
		p.pool.Put(e)
	}
}

// add reads a series entry: what is behind its length and in front of its
// checksum. They come in the order of the index.
//
// Source: tsdb/docs/format/index.md, Series.
func (e *entries) add(b []byte) error {
	d := entryReader{b: b}
	if err := e.readLabels(&d); err != nil {
		return err
	}
	e.before, e.own = e.own, e.before
	n := d.uvarint()
	if d.failed {
		return errEntryShort
	}
	from, err := e.readChunks(&d, n)
	if err != nil {
		return err
	}
	if from == len(e.chunks) || !e.matches() {
		e.chunks, e.last = e.chunks[:from], -1
		return nil
	}
	return e.take(from)
}

// readLabels reads the labels of a series into e.own. Those before it are in
// e.before, which they must follow. What the two begin with, as most neighbours
// do, is copied.
func (e *entries) readLabels(d *entryReader) error {
	n := d.uvarint()
	same, common := e.readCommon(d, n)
	e.own = append(e.own[:0], e.before[:common]...)
	e.refs = e.refs[:same]
	clear(e.values)
	var name []byte
	if same > 0 {
		var err error
		if name, err = e.symbol(e.refs[same-1].name); err != nil {
			return err
		}
	}
	for i := uint64(same); i < n; i++ {
		r, ok := d.label()
		if !ok {
			return errEntryShort
		}
		next, err := e.symbol(r.name)
		if err != nil {
			return err
		}
		if i > 0 && string(next) <= string(name) {
			return fmt.Errorf("%w: %q follows %q", errLabelOrder, next, name)
		}
		name = next
		if err := e.addLabel(name, &r); err != nil {
			return err
		}
		e.refs = append(e.refs, r)
	}
	if d.failed {
		return errEntryShort
	}
	if encoded.CompareLabels(e.own[common:], e.before[common:]) < 0 {
		return errEntryOrder
	}
	return nil
}

// readCommon reads labels for as long as they are those of the series before: so
// many, which took so many bytes of e.before. Where values are looked at, none
// are.
func (e *entries) readCommon(d *entryReader, n uint64) (same, common int) {
	if len(e.rest) > 0 {
		return 0, 0
	}
	for uint64(same) < n && same < len(e.refs) {
		at := *d
		r, ok := d.label()
		if !ok || r.name != e.refs[same].name || r.value != e.refs[same].value {
			*d = at
			break
		}
		common = e.refs[same].end
		same++
	}
	return same, common
}

// addLabel appends a label to e.own, unless it has no value, and notes in r where
// that ends.
func (e *entries) addLabel(name []byte, r *labelRef) error {
	value, err := e.symbol(r.value)
	if err != nil {
		return err
	}
	if len(e.own)+len(name)+len(value) > maxLabelBytes {
		return errLabelBytes
	}
	if len(value) > 0 {
		e.own = encoded.AppendLabel(e.own, name, value)
		for j, m := range e.rest {
			if m.Name == string(name) {
				e.values[j] = value
			}
		}
	}
	r.end = len(e.own)
	return nil
}

// labelRef is a label of the series before: its symbols, and where it ends in
// e.before.
type labelRef struct {
	name, value uint32
	end         int
}

// matches looks at the matchers that postings have not answered for.
func (e *entries) matches() bool {
	for i, m := range e.rest {
		if !m.Matches(string(e.values[i])) {
			return false
		}
	}
	return true
}

// readChunks appends the chunks that overlap the range to e.chunks and returns
// where they begin.
func (e *entries) readChunks(d *entryReader, n uint64) (from int, err error) {
	from = len(e.chunks)
	var ref uint64
	var t int64
	previous, largest := -1, uint32(0) // the chunk before if it was taken, and the largest that is known
	for i := range n {
		var mint int64
		if i == 0 {
			mint = d.varint()
		} else {
			mint = t + int64(d.uvarint())
		}
		maxt := mint + int64(d.uvarint())
		next := d.uvarint()
		if i > 0 {
			next = ref + uint64(unzigzag(next))
		}
		switch {
		case d.failed:
			return from, errEntryShort
		case maxt < mint:
			return from, errChunkRange
		case next>>32 > math.MaxInt32:
			return from, errRefOverflow
		}
		if i == 0 {
			e.bound(e.last, next)
		} else if size, ok := e.sizes.between(ref, next); ok {
			largest = max(largest, size)
			if previous >= 0 {
				e.chunks[previous].size, e.chunks[previous].guess = size, false
			}
		}
		ref, t, previous = next, maxt, -1
		if mint <= e.maxt && maxt >= e.mint {
			previous = len(e.chunks)
			e.chunks = append(e.chunks, chunkMeta{ref: ref, mint: mint, maxt: maxt, size: e.sizes.guess(), guess: true})
			if e.skipChunks { // one is enough to know that there are some
				break
			}
		}
	}
	if e.last = previous; previous >= 0 {
		e.chunks[previous].size = e.sizes.like(largest)
	}
	return from, nil
}

// bound bounds what is to be read for a chunk by where another one begins.
func (e *entries) bound(chunk int, next uint64) {
	if chunk < 0 || chunk >= len(e.chunks) {
		return
	}
	c := &e.chunks[chunk]
	if size, ok := e.sizes.between(c.ref, next); ok && size <= c.size {
		c.size, c.guess = size, false
	}
}

// take appends the series with e.before, in which its labels are now.
func (e *entries) take(chunks int) error {
	own, from := e.before, len(e.labels)
	if e.algebra.rewrite.IsZero() {
		e.labels = append(e.labels, own...)
	} else {
		e.labels = e.algebra.rewrite.Append(e.labels, own)
	}
	sent := e.labels[from:]
	out := len(sent) == 0 && len(own) > 0
	e.unlabelled = e.unlabelled || out
	if out || e.algebra.shard != nil && !e.algebra.shard.has(sent) {
		e.labels, e.chunks, e.last = e.labels[:from], e.chunks[:chunks], -1
		return nil
	}
	if e.algebra.order.starts(own) {
		e.complete()
	}
	e.all = append(e.all, entry{run{from, len(e.labels)}, run{chunks, len(e.chunks)}})
	e.left += len(e.chunks) - chunks
	return nil
}

// ready returns how many of the entries that were not dropped are complete:
// nothing that comes before them follows.
func (e *entries) ready() int {
	if !e.algebra.order.open {
		e.complete()
	}
	return e.group - e.dropped
}

// waiting returns how many series were not dropped, and how many chunks they
// have that are to be loaded.
func (e *entries) waiting() (series, chunks int) {
	if e.skipChunks {
		return len(e.all) - e.dropped, 0
	}
	return len(e.all) - e.dropped, e.left
}

// complete sorts the group, in which nothing follows.
func (e *entries) complete() {
	group := e.all[e.group:]
	if len(group) > 1 {
		byLabels := func(a, b entry) int {
			return encoded.CompareLabels(e.labels[a.labels.from:a.labels.to], e.labels[b.labels.from:b.labels.to])
		}
		if !slices.IsSortedFunc(group, byLabels) {
			slices.SortStableFunc(group, byLabels)
		}
	}
	e.group = len(e.all)
}

// drop lets go of the first n entries, which are complete.
func (e *entries) drop(n int) {
	for _, x := range e.all[e.dropped : e.dropped+n] {
		e.left -= x.chunks.to - x.chunks.from
	}
	e.dropped += n
	left := e.all[e.dropped:]
	if len(left) == 0 {
		e.clear()
		return
	}
	// A group is on its way through the memory. What is in front of it is given up
	// when it is the larger part, so that no entry is moved more often than another
	// one was dropped.
	if e.dropped < len(left) {
		return
	}
	firstLabel, firstChunk := len(e.labels), len(e.chunks)
	for _, x := range left {
		firstLabel, firstChunk = min(firstLabel, x.labels.from), min(firstChunk, x.chunks.from)
	}
	if firstLabel > len(e.labels)/2 || firstChunk > len(e.chunks)/2 {
		e.labels = append(e.labels[:0], e.labels[firstLabel:]...)
		e.chunks = append(e.chunks[:0], e.chunks[firstChunk:]...)
		for i := range left {
			x := &left[i]
			x.labels = run{x.labels.from - firstLabel, x.labels.to - firstLabel}
			x.chunks = run{x.chunks.from - firstChunk, x.chunks.to - firstChunk}
		}
		e.last = max(e.last-firstChunk, -1)
	}
	e.all = append(e.all[:0], left...)
	e.group -= e.dropped
	e.dropped = 0
}

// clear drops all entries.
func (e *entries) clear() {
	e.all, e.labels, e.chunks = e.all[:0], e.labels[:0], e.chunks[:0]
	e.dropped, e.left, e.group, e.last = 0, 0, 0, -1
}

// entryReader reads numbers until one is missing.
type entryReader struct {
	b      []byte
	failed bool
}

func (d *entryReader) uvarint() uint64 {
	if len(d.b) > 0 && d.b[0] < 0x80 {
		x := d.b[0]
		d.b = d.b[1:]
		return uint64(x)
	}
	x, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return x
}

// label reads the symbols of a label.
func (d *entryReader) label() (r labelRef, ok bool) {
	name, value := d.uvarint(), d.uvarint()
	r.name, r.value = uint32(name), uint32(value)
	return r, !d.failed && name <= math.MaxUint32 && value <= math.MaxUint32
}

func (d *entryReader) varint() int64 { return unzigzag(d.uvarint()) }

func unzigzag(x uint64) int64 { return int64(x>>1) ^ -int64(x&1) }
