package bucketstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/store"
)

// Sizes of chunks in segments, in bytes.
const (
	// chunkFrame is what a chunk has beside its data and the length of it: an
	// encoding and a checksum.
	chunkFrame = 1 + crc32.Size
	// smallestGuess leaves room for the length at least.
	smallestGuess = 64
	// plainGuess is a guess where nothing is known: 120 samples of a gauge.
	plainGuess = 1 << 10
	// largestGuess bounds guesses, whatever meta.json says: room is kept for as
	// much.
	largestGuess = 64 << 10
	// largestChunk is how far apart two chunks may be at most for the one to be taken
	// for the end of the other.
	largestChunk = 1 << 20
	// maxChunk is what no chunk takes: not even a histogram with all of its buckets
	// in use in every sample.
	maxChunk = 64 << 20
)

// chunkSizes says how much of a segment to read for a chunk.
type chunkSizes struct {
	largest uint32 // with all that belongs to it; 0 if not known
	average uint32 // 0 if not known
}

func newChunkSizes(m *block.Meta) chunkSizes {
	s := chunkSizes{largest: uint32(min(max(m.Thanos.IndexStats.ChunkMaxSize, 0), largestChunk))}
	total := int64(0)
	for _, f := range m.Segments() {
		if f.SizeBytes == 0 {
			return s
		}
		total += f.SizeBytes
	}
	if n := int64(m.Stats.NumChunks); n > 0 {
		s.average = uint32(min(total/n, largestChunk))
	}
	return s
}

// between returns the size of the chunk at ref if the one at next follows it, or
// more if there are others between them that are not worth telling apart.
func (s *chunkSizes) between(ref, next uint64) (uint32, bool) {
	most := uint64(largestChunk)
	if s.largest > 0 {
		most = uint64(s.largest)
	}
	if next <= ref || ref>>32 != next>>32 || next-ref > most {
		return 0, false
	}
	return uint32(next - ref), true
}

// guess returns what most chunks fit in.
func (s *chunkSizes) guess() uint32 {
	switch {
	case s.largest > 0:
		return bound(s.largest)
	case s.average > 0:
		return bound(max(3*s.average, 4*smallestGuess))
	}
	return plainGuess
}

// like returns what a chunk most likely fits in that is of a series whose other
// chunks take so much at most; 0 if there are none.
func (s *chunkSizes) like(others uint32) uint32 {
	if others == 0 {
		return s.guess()
	}
	n := others + others/2 + smallestGuess
	if s.largest > 0 {
		n = min(n, s.largest)
	}
	return bound(n)
}

func bound(guess uint32) uint32 { return min(max(guess, smallestGuess), largestGuess) }

// slot is a chunk that is to be loaded, and the place for it.
type slot struct {
	ref   uint64
	size  uint32 // of what is to be read, and of the place
	need  uint32 // of what is to be read, if size turned out too small
	page  *page
	chunk int // in page.chunks
	at    int // in page.mem, where the place is
}

// chunkLoader loads the chunks of one block for one call. It is safe for
// concurrent use.
type chunkLoader struct {
	block     *loadedBlock
	ranges    chunkRanges
	want      store.Aggregates
	stats     *callStats
	refetches *atomic.Int64
	damaged   func(error) // told of each chunk that is left out
}

// load fills the slots. A chunk that cannot be used is left out.
//
// Errors: the bucket's and the context's; *block.CorruptError for a segment that
// ends before a chunk does.
func (l *chunkLoader) load(ctx context.Context, slots []slot) error {
	short, err := l.round(ctx, slots)
	if err != nil || len(short) == 0 {
		return err
	}
	l.refetches.Add(int64(len(short)))
	// Now their sizes are known, unless the object ended.
	if short, err = l.round(ctx, short); err != nil {
		return err
	}
	for i := range short {
		l.damaged(l.corrupt(short[i].ref, errChunkShort))
	}
	return nil
}

var (
	errChunkShort    = errors.New("chunk ends early")
	errChunkChecksum = errors.New("chunk does not match its checksum")
	errNoSegment     = errors.New("no such segment")
)

// round fills the slots and returns those for which too little was read, with
// their sizes.
func (l *chunkLoader) round(ctx context.Context, slots []slot) (short []slot, err error) {
	byRef := func(a, b slot) int { return cmp.Compare(a.ref, b.ref) }
	if !slices.IsSortedFunc(slots, byRef) {
		slices.SortFunc(slots, byRef)
	}
	if len(slots) > 0 && slots[0].ref>>32 == slots[len(slots)-1].ref>>32 {
		return l.segment(ctx, slots)
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for len(slots) > 0 {
		n := 1
		for n < len(slots) && slots[n].ref>>32 == slots[0].ref>>32 {
			n++
		}
		of := slots[:n]
		slots = slots[n:]
		g.Go(func() error {
			missing, err := l.segment(ctx, of)
			mu.Lock()
			defer mu.Unlock()
			short = append(short, missing...)
			return err
		})
	}
	return short, g.Wait()
}

// segment fills slots that lie in the same segment.
func (l *chunkLoader) segment(ctx context.Context, slots []slot) (short []slot, err error) {
	segment, _ := segmentOf(slots[0].ref)
	file, ok := l.block.segment(segment)
	if !ok {
		return nil, &block.CorruptError{Block: l.block.meta.ULID, File: block.IndexFile, Err: fmt.Errorf("chunk in segment %d: %w", segment, errNoSegment)}
	}
	parts, first := make([]part, 0, 16), make([]int, 0, 16)
	for i := range slots {
		_, off := segmentOf(slots[i].ref)
		size := int64(max(slots[i].size, slots[i].need))
		if file.SizeBytes > 0 {
			size = min(size, max(file.SizeBytes-off, 1))
		}
		if n := len(parts); n > 0 && off <= parts[n-1].end() {
			parts[n-1].size = max(parts[n-1].size, off+size-parts[n-1].off)
			continue
		}
		parts, first = append(parts, part{off, size}), append(first, i)
	}
	first = append(first, len(slots))
	name := block.ObjectName(l.block.meta.ULID, file.RelPath)
	err = l.ranges.fetch(ctx, name, parts, l.stats, func(i int, b []byte) error {
		for j := first[i]; j < first[i+1]; j++ {
			_, off := segmentOf(slots[j].ref)
			if need := l.fill(&slots[j], b[min(off-parts[i].off, int64(len(b))):]); need > 0 {
				again := slots[j]
				again.need = need
				short = append(short, again)
			}
		}
		return nil
	})
	return short, err
}

// fill puts the chunk that b begins with in its place. It returns how many bytes
// it takes if b has less, else 0.
//
// Source: tsdb/docs/format/chunks.md.
func (l *chunkLoader) fill(s *slot, b []byte) (need uint32) {
	size, n := binary.Uvarint(b)
	switch {
	case n == 0 && len(b) < binary.MaxVarintLen32:
		return max(s.size, smallestGuess)
	case n <= 0 || size > maxChunk:
		l.damaged(l.corrupt(s.ref, errors.New("length of a chunk overflows")))
		return 0
	case size+uint64(n)+chunkFrame > uint64(len(b)):
		return uint32(size) + uint32(n) + chunkFrame
	}
	whole := b[n : n+int(size)+chunkFrame]
	data, sum := whole[:1+size], whole[1+size:]
	if crc32.Checksum(data, castagnoli) != binary.BigEndian.Uint32(sum) {
		l.damaged(l.corrupt(s.ref, errChunkChecksum))
		return 0
	}
	l.stats.touch(kindChunks, int64(n+len(whole)))
	place := s.page.mem[s.at : s.at : s.at+int(s.size)]
	if len(data) > cap(place) { // it was guessed smaller
		place = make([]byte, 0, len(data))
	}
	c := &s.page.chunks[s.chunk]
	switch e := chunkenc.Encoding(data[0]); {
	case promcompat.PlainEncoding(e):
		c.Raw = encoded.Data{Encoding: e, Bytes: append(place, data[1:]...)}
	case e == aggr.Encoding:
		l.aggregates(s, c, place, data[1:])
	default:
		l.damaged(&block.UnsupportedError{
			Block: l.block.meta.ULID, File: l.fileOf(s.ref), What: fmt.Sprintf("chunk encoding %d", data[0]),
		})
	}
	return 0
}

// aggregates takes those that are wanted. A chunk that has none of them is left
// out: series of histograms have no minimum.
func (l *chunkLoader) aggregates(s *slot, c *encoded.Chunk, place, data []byte) {
	parsed, err := aggr.Parse(data)
	if err != nil {
		l.damaged(l.corrupt(s.ref, err))
		return
	}
	out := &encoded.Aggregates{}
	if len(s.page.aggrs) > 0 { // else it is downsampled data in a block that says it is raw
		out = &s.page.aggrs[s.chunk]
	}
	for _, a := range [...]struct {
		want store.Aggregates
		kind aggr.Kind
		to   *encoded.Data
	}{
		{store.AggregateCount, aggr.Count, &out.Count},
		{store.AggregateSum, aggr.Sum, &out.Sum},
		{store.AggregateMin, aggr.Min, &out.Min},
		{store.AggregateMax, aggr.Max, &out.Max},
		{store.AggregateCounter, aggr.CounterKind, &out.Counter},
	} {
		sub := parsed[a.kind]
		if !l.want.Has(a.want) || sub.Encoding == chunkenc.EncNone {
			continue
		}
		if !promcompat.PlainEncoding(sub.Encoding) {
			l.damaged(&block.UnsupportedError{
				Block: l.block.meta.ULID, File: l.fileOf(s.ref), What: fmt.Sprintf("chunk encoding %d of aggregate %s", sub.Encoding, a.kind),
			})
			continue
		}
		from := len(place)
		place = append(place, sub.Data...)
		*a.to = encoded.Data{Encoding: sub.Encoding, Bytes: place[from:len(place):len(place)]}
		c.Aggregates = out
	}
}

func (l *chunkLoader) fileOf(ref uint64) string {
	segment, _ := segmentOf(ref)
	file, _ := l.block.segment(segment)
	return file.RelPath
}

func (l *chunkLoader) corrupt(ref uint64, err error) error {
	_, off := segmentOf(ref)
	return &block.CorruptError{Block: l.block.meta.ULID, File: l.fileOf(ref), Err: fmt.Errorf("chunk at %d: %w", off, err)}
}
