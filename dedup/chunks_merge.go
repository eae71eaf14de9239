package dedup

import (
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/recode"
)

// Merge appends to dst the chunks of the merged series, in ascending order and
// without overlap.
//
// Input: replicas in the order in which Algorithm gets them, that of
// Replicas.Compare; the chunks of each ascend by MinTime. Those of one replica may
// overlap, as out-of-order samples do: all of its samples count then, of several
// at one time that of the chunk that comes first. Nothing is kept or changed.
// Output: what Algorithm.Merge makes of the replicas' samples over their whole
// range. Chunks that come out of that as they are, are passed on: those that share
// their range with no other, or with identical ones only (same range, encoding and
// bytes), as far as Algorithm leaves such alone. Data of chunks that are encoded
// anew, of up to 120 samples, is the caller's.
// Errors: *ChunkError for a chunk that had to be decoded and cannot be, or whose
// samples are not within its range. dst is then returned as it was.
func (m *ChunkMerger) Merge(dst []Chunk, replicas ...[]Chunk) ([]Chunk, error) {
	alg := m.Algorithm
	if alg == nil {
		alg = Follow{}
	}
	sources := make([]chunkenc.Iterable, len(replicas))
	for i, chunks := range replicas {
		s := &chunkSource{}
		s.reset(i, chunks, &m.decoded)
		sources[i] = s
	}
	it := alg.Merge(nil, Untyped, sources...)
	e := recode.Encoder{}
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if err := e.Sample(vt, it); err != nil {
			return dst, err
		}
	}
	if err := it.Err(); err != nil {
		return dst, err
	}
	for _, c := range e.Chunks() {
		dst = append(dst, Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Encoding, Data: c.Data})
	}
	return dst, nil
}
