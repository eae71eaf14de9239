package bucketstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// foundEntry is a series entry: its bytes, and where the chunks of the series
// after it begin, 0 if that is not known.
type foundEntry struct {
	b        []byte // Of a cached value, or nil if it is in the arena:
	from, to int
	next     uint64
}

// seriesScratch is what series needs while it runs, to be used again.
type seriesScratch struct {
	found   []foundEntry
	arena   []byte // Entries that were fetched.
	missing []int  // Those of found that are to be fetched,
	short   []int  // and those of which too little was.
	parts   []part // What is to be read for them.
	again   []part
}

// largestArena bounds what room is made for before entries were read.
const largestArena = 64 << 20

// maxKeptArena is how large a scratch may be to be used again.
const maxKeptArena = 4 << 20

// series reads the series at those offsets, which ascend. It calls use for each,
// in order, with what is between length and checksum of its entry, and with the
// reference of the first chunk of the series that follows it in the block, if
// that was read as well: 0 if not. The bytes are valid until use returns.
//
// Errors: that of use; *block.CorruptError; those of ranger.fetch.
// Cost: one trip to the bucket, none for what is in the cache, and one more if
// too little was read of an entry. All entries are in memory together.
func (x *indexReader) series(ctx context.Context, refs []uint64, use func(i int, entry []byte, next uint64) error) error {
	if cap(x.found) < len(refs) {
		x.found = make([]foundEntry, len(refs))
	}
	x.found, x.arena = x.found[:len(refs)], x.arena[:0]
	clear(x.found)
	pages := x.cachedPages(ctx, refs)
	if err := x.fetchSeries(ctx, refs); err != nil {
		return err
	}
	x.cachePages(pages, refs)
	for i := range x.found {
		b := x.entry(i)
		x.st.touch(kindSeries, int64(len(b)))
		if err := use(i, b, x.found[i].next); err != nil {
			return err
		}
	}
	return nil
}

// entry returns the bytes of the i-th entry, nil if it was not found.
func (x *indexReader) entry(i int) []byte {
	f := &x.found[i]
	if f.b != nil || f.to == 0 {
		return f.b
	}
	return x.arena[f.from:f.to:f.to]
}

// Sizes of what is read for an entry, in bytes.
const (
	// entryFrame is what an entry has beside its bytes, at most: length and
	// checksum.
	entryFrame = binary.MaxVarintLen32 + crc32.Size
	// nextHead is what of the next entry has the reference of its first chunk, most
	// of the time: padding, some ten labels and the times of the chunk.
	nextHead = 64
	// fewSeries is how many entries are so few that reading more of each costs less
	// than reading one of them twice.
	fewSeries = 16
	// largestEntryGuess bounds guesses, whatever an index says of how many series it
	// has.
	largestEntryGuess = 1 << 20
)

// guess returns how much to read for each of n entries.
func (x *indexReader) guess(n int) int64 {
	times := int64(3)
	if n <= fewSeries {
		times = 8
	}
	guess := times*x.seriesBytes() + entryFrame
	if largest := x.block.largestSeries; largest > 0 {
		guess = min(guess, largest+entryFrame)
	}
	return min(guess, largestEntryGuess) + nextHead
}

// fetchSeries reads the entries that were not found yet.
func (x *indexReader) fetchSeries(ctx context.Context, refs []uint64) error {
	section := x.header.Series()
	end := section.Off + section.Size
	missing := x.missing[:0]
	for i := range x.found {
		if x.found[i].b != nil {
			continue
		}
		if off := int64(refs[i]); off < section.Off || off >= end {
			return x.corrupt(fmt.Errorf("postings have a series at %d, outside of [%d, %d)", off, section.Off, end))
		}
		missing = append(missing, i)
	}
	x.missing = missing
	guess := x.guess(len(missing))
	x.parts = x.parts[:0]
	// On average, and not more than there is.
	x.arena = slices.Grow(x.arena, int(min(float64(len(missing))*float64(x.seriesBytes()), float64(section.Size), largestArena)))
	for _, i := range missing {
		x.parts = append(x.parts, part{int64(refs[i]), min(guess, end-int64(refs[i]))})
	}
	if err := x.readEntries(ctx, missing); err != nil || len(x.short) == 0 {
		return err
	}
	x.st.addRefetches(len(x.short))
	x.missing, x.short = x.short, x.missing
	x.parts, x.again = x.again, x.parts
	err := x.readEntries(ctx, x.missing)
	if err == nil && len(x.short) > 0 {
		err = x.corrupt(fmt.Errorf("series at %d: %w", refs[x.short[0]], io.ErrUnexpectedEOF))
	}
	return err
}

// readEntries reads x.parts, which are those of the entries at. It leaves in
// x.short those of which that was too little, and in x.again what they take.
func (x *indexReader) readEntries(ctx context.Context, at []int) error {
	x.short, x.again = x.short[:0], x.again[:0]
	section := x.header.Series()
	o := indexObject(x.block.id, kindSeries)
	parts := x.parts
	return x.ranger.fetch(ctx, o, parts, x.st, func(i int, b []byte) error {
		b = b[:cap(b)] // An entry that is larger than the guess may be there all the same.
		entry, size, err := parseEntry(b)
		if errors.Is(err, io.ErrUnexpectedEOF) && parts[i].off+int64(size) <= section.Off+section.Size {
			x.short, x.again = append(x.short, at[i]), append(x.again, part{parts[i].off, int64(size)})
			return nil
		}
		if err != nil {
			return o.corrupt(fmt.Errorf("series at %d: %w", parts[i].off, err))
		}
		f := &x.found[at[i]]
		f.from = len(x.arena)
		x.arena = append(x.arena, entry...)
		f.to = len(x.arena)
		after := size
		if unit := int64(x.header.SeriesUnit()); unit > 1 {
			after = int((parts[i].off+int64(size)+unit-1)/unit*unit - parts[i].off)
		}
		if after < len(b) {
			f.next = firstChunk(b[after:])
		}
		return nil
	})
}

// parseEntry returns the series entry at the beginning of b, and how many bytes it
// takes with its length and checksum. If b has less, that is how much to read.
func parseEntry(b []byte) (entry []byte, size int, err error) {
	n, k := binary.Uvarint(b)
	switch {
	case k == 0:
		return nil, 2 * entryFrame, io.ErrUnexpectedEOF
	case k < 0 || n > 1<<30:
		return nil, 0, errors.New("length overflows")
	}
	size = k + int(n) + crc32.Size
	if size > len(b) {
		return nil, size, io.ErrUnexpectedEOF
	}
	entry = b[k : k+int(n)]
	if crc32.Checksum(entry, castagnoli) != binary.BigEndian.Uint32(b[k+int(n):]) {
		return nil, size, errChecksum
	}
	return entry, size, nil
}

// firstChunk returns the reference of the first chunk of a series entry of which
// b may have only the beginning, 0 if that is not enough. It is a hint: whoever
// uses it must not rely on it.
func firstChunk(b []byte) uint64 {
	skip := func() (v uint64) {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			b = nil
			return 0
		}
		b = b[k:]
		return v
	}
	if skip() == 0 { // Length: 0 is padding at the end of the section.
		return 0
	}
	for n := skip(); n > 0 && len(b) > 0; n-- {
		skip()
		skip()
	}
	if skip() == 0 { // Number of chunks.
		return 0
	}
	skip()
	skip()
	return skip()
}
