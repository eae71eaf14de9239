package encoded

import (
	"bytes"
	"cmp"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// maxKeptChunks bounds the memory that a ChunkMerger keeps for the next merge.
const maxKeptChunks = 8 << 10

// CompareChunks orders the chunks of one series as Thanos' proxy does: by
// MinTime, MaxTime, and then by data: a chunk that has some before one that has
// none, the lower encoding first, and of the same encoding the greater bytes
// first. It is 0 exactly for chunks that say the same.
//
// Source: AggrChunk.Compare in Thanos' pkg/store/storepb/custom.go. Splitting
// replicas that lost their label depends on the order among equal times.
func CompareChunks(a, b *Chunk) int {
	switch {
	case a.MinTime != b.MinTime:
		return cmp.Compare(a.MinTime, b.MinTime)
	case a.MaxTime != b.MaxTime:
		return cmp.Compare(a.MaxTime, b.MaxTime)
	}
	if c := compareData(a.Raw, b.Raw); c != 0 || (a.Aggregates == nil && b.Aggregates == nil) {
		return c
	}
	var none Aggregates
	x, y := a.Aggregates, b.Aggregates
	if x == nil {
		x = &none
	}
	if y == nil {
		y = &none
	}
	return cmp.Or(compareData(x.Count, y.Count), compareData(x.Sum, y.Sum), compareData(x.Min, y.Min),
		compareData(x.Max, y.Max), compareData(x.Counter, y.Counter))
}

func compareData(a, b Data) int {
	switch {
	case a.Encoding == b.Encoding:
		return bytes.Compare(b.Bytes, a.Bytes)
	case a.Encoding == chunkenc.EncNone:
		return 1
	case b.Encoding == chunkenc.EncNone:
		return -1
	}
	return cmp.Compare(a.Encoding, b.Encoding)
}

// Ascending returns the length of the longest start of cs in which every chunk
// is greater than the one before.
func Ascending(cs []Chunk) int {
	for i := 1; i < len(cs); i++ {
		if CompareChunks(&cs[i-1], &cs[i]) >= 0 {
			return i
		}
	}
	return len(cs)
}

// ChunkMerger merges lists of chunks of one series: in order, and of chunks that
// say the same only one. It is a natural merge sort, so that lists in order,
// which is what members send, are merged in one pass for each doubling of their
// number, and none is looked at closer than its times as long as those differ.
type ChunkMerger struct {
	runs    [][]Chunk
	scratch [2][]Chunk
}

// Add adds a list. It is not changed.
func (m *ChunkMerger) Add(cs []Chunk) {
	for len(cs) > 0 {
		n := Ascending(cs)
		m.runs = append(m.runs, cs[:n])
		cs = cs[n:]
	}
}

// Merge returns the chunks of all lists added since the last call, and dst,
// which was appended to if they are not one of the lists as it is.
func (m *ChunkMerger) Merge(dst []Chunk) (merged, newDst []Chunk) {
	defer m.reset()
	for pass := 0; len(m.runs) > 2; pass++ {
		buf := m.scratch[pass%2][:0]
		next := m.runs[:0]
		for i := 0; i < len(m.runs); i += 2 {
			from := len(buf)
			if i+1 == len(m.runs) { // copied: its memory is written to by the next pass but one
				buf = append(buf, m.runs[i]...)
			} else {
				buf = mergeRuns(buf, m.runs[i], m.runs[i+1])
			}
			next = append(next, buf[from:len(buf):len(buf)])
		}
		m.runs, m.scratch[pass%2] = next, buf
	}
	switch len(m.runs) {
	case 0:
		return nil, dst
	case 1:
		return m.runs[0], dst
	}
	from := len(dst)
	dst = mergeRuns(dst, m.runs[0], m.runs[1])
	return dst[from:len(dst):len(dst)], dst
}

func (m *ChunkMerger) reset() {
	clear(m.runs)
	m.runs = m.runs[:0]
	for i := range m.scratch {
		if cap(m.scratch[i]) > maxKeptChunks {
			m.scratch[i] = nil
		}
		clear(m.scratch[i])
	}
}

// mergeRuns appends two ascending lists, neither empty, to dst in order, chunks that are in both
// once.
func mergeRuns(dst, a, b []Chunk) []Chunk {
	if CompareChunks(&a[len(a)-1], &b[0]) < 0 {
		dst = append(dst, a...)
		return append(dst, b...)
	}
	for len(a) > 0 && len(b) > 0 {
		switch c := CompareChunks(&a[0], &b[0]); {
		case c < 0:
			dst, a = append(dst, a[0]), a[1:]
		case c > 0:
			dst, b = append(dst, b[0]), b[1:]
		default:
			b = b[1:]
		}
	}
	dst = append(dst, a...)
	return append(dst, b...)
}
