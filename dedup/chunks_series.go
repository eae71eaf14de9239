package dedup

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/internal/aggr"
)

// NewChunkSeries returns the series with the given labels that merges the chunks of
// replicas by alg whenever it is iterated, as ChunkMerger does.
//
// Input: replicas in the order in which alg gets them; replicas is retained.
// Output: a series whose Iterator reads all chunks of all replicas at the first call
// of Next. Chunks that are passed on are those of the replicas and valid as long,
// their references included; others have reference 0. It may be iterated any number
// of times, at the same time too if its replicas may; an iterator that is given up to
// Iterator saves its memory.
// Errors: those of the replicas and *ChunkError, from the iterator's Err.
func NewChunkSeries(lset labels.Labels, alg Algorithm, replicas ...storage.ChunkSeries) storage.ChunkSeries {
	return &mergedChunkSeries{lset: lset, alg: alg, replicas: replicas}
}

type mergedChunkSeries struct {
	lset     labels.Labels
	alg      Algorithm
	replicas []storage.ChunkSeries
}

// Labels implements storage.ChunkSeries.
func (s *mergedChunkSeries) Labels() labels.Labels { return s.lset }

// Iterator implements storage.ChunkSeries.
func (s *mergedChunkSeries) Iterator(reuse chunks.Iterator) chunks.Iterator {
	it, ok := reuse.(*mergedChunks)
	if !ok {
		it = &mergedChunks{}
	}
	it.merger.Algorithm = s.alg
	it.replicas, it.out, it.at, it.err = s.replicas, it.out[:0], -1, nil
	return it
}

// MergeChunkSeries returns what Prometheus' compactor and chunk queriers merge
// series with equal labels by, so that they do it by alg: for
// tsdb.LeveledCompactorOptions and storage.NewMergeChunkSeriesSet.
//
// In which order they give the replicas of a series is theirs to decide: it is not
// that of their blocks. Where that matters, NewChunkSeriesSet over sets that are in
// order keeps it.
func MergeChunkSeries(alg Algorithm) storage.VerticalChunkSeriesMergeFunc {
	return func(replicas ...storage.ChunkSeries) storage.ChunkSeries {
		switch len(replicas) {
		case 0:
			return nil
		case 1:
			return replicas[0]
		default:
			return NewChunkSeries(replicas[0].Labels(), alg, replicas...)
		}
	}
}

// mergedChunks iterates over the chunks of a series.
type mergedChunks struct {
	merger    ChunkMerger
	replicas  []storage.ChunkSeries
	iterators []chunks.Iterator
	lists     [][]Chunk
	metas     []chunks.Meta // as they came; a Chunk's Ref is the index plus one
	out       []Chunk
	at        int // in out; -1 before the chunks were read
	err       error
}

// Next implements chunks.Iterator.
func (it *mergedChunks) Next() bool {
	if it.at < 0 {
		it.err = it.read()
	}
	if it.err != nil || it.at+1 >= len(it.out) {
		it.at = len(it.out)
		return false
	}
	it.at++
	return true
}

// read reads all replicas' chunks and merges them.
func (it *mergedChunks) read() (err error) {
	it.metas = it.metas[:0]
	for i, r := range it.replicas {
		if i == len(it.lists) {
			it.iterators, it.lists = append(it.iterators, nil), append(it.lists, nil)
		}
		it.iterators[i], it.lists[i] = r.Iterator(it.iterators[i]), it.lists[i][:0]
		for it.iterators[i].Next() {
			m := it.iterators[i].At()
			it.metas = append(it.metas, m)
			it.lists[i] = append(it.lists[i], Chunk{MinTime: m.MinTime, MaxTime: m.MaxTime, Encoding: m.Chunk.Encoding(), Data: m.Chunk.Bytes(), Ref: uint64(len(it.metas))})
		}
		if err := it.iterators[i].Err(); err != nil {
			return fmt.Errorf("read chunks of replica %d: %w", i, err)
		}
	}
	it.out, err = it.merger.Merge(it.out[:0], it.lists[:len(it.replicas)]...)
	return err
}

// At implements chunks.Iterator.
func (it *mergedChunks) At() chunks.Meta {
	c := &it.out[it.at]
	if c.Ref != 0 {
		return it.metas[c.Ref-1]
	}
	m := chunks.Meta{MinTime: c.MinTime, MaxTime: c.MaxTime}
	chunk, err := chunkenc.FromData(c.Encoding, c.Data)
	if err != nil { // of aggregates, which Prometheus does not know
		chunk = &encodedChunk{encoding: c.Encoding, data: c.Data}
	}
	m.Chunk = chunk
	return m
}

// Err implements chunks.Iterator.
func (it *mergedChunks) Err() error { return it.err }

// encodedChunk is a chunk that is only carried.
type encodedChunk struct {
	encoding chunkenc.Encoding
	data     []byte
}

// errCarried says that samples of an encodedChunk were asked for.
var errCarried = errors.New("chunk of aggregates has no samples of its own")

// Bytes implements chunkenc.Chunk.
func (c *encodedChunk) Bytes() []byte { return c.data }

// Encoding implements chunkenc.Chunk.
func (c *encodedChunk) Encoding() chunkenc.Encoding { return c.encoding }

// Appender implements chunkenc.Chunk. There is none.
func (*encodedChunk) Appender() (chunkenc.Appender, error) { return nil, errCarried }

// Iterator implements chunkenc.Chunk. It has no samples, and says why.
func (*encodedChunk) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return carriedIterator{chunkenc.NewNopIterator()}
}

type carriedIterator struct{ chunkenc.Iterator }

// Err implements chunkenc.Iterator.
func (carriedIterator) Err() error { return errCarried }

// NumSamples implements chunkenc.Chunk: it is how many windows there are.
func (c *encodedChunk) NumSamples() int {
	parts, err := aggr.Parse(c.data)
	if err != nil || len(parts[aggr.Count].Data) < 2 {
		return 0
	}
	count := parts[aggr.Count].Data
	return int(count[0])<<8 | int(count[1])
}

// Compact implements chunkenc.Chunk.
func (*encodedChunk) Compact() {}

// Reset implements chunkenc.Chunk.
func (c *encodedChunk) Reset(data []byte) { c.data = data }

// NewChunkSeriesSet does for series of chunks what NewSeriesSet does for those of
// samples: it returns the series of set with the replicas of each merged into one.
//
// Input, output, errors, concurrency: as NewSeriesSet; the chunks as those of
// NewChunkSeries.
func NewChunkSeriesSet(set storage.ChunkSeriesSet, alg Algorithm) storage.ChunkSeriesSet {
	return &chunkSeriesSet{set: set, alg: alg}
}

type chunkSeriesSet struct {
	set storage.ChunkSeriesSet
	alg Algorithm
	cur storage.ChunkSeries
	// ahead is the first replica of the series after cur, nil if there is none.
	ahead   storage.ChunkSeries
	started bool
}

// Next implements storage.ChunkSeriesSet.
func (s *chunkSeriesSet) Next() bool {
	if !s.started {
		s.started = true
		s.advance()
	}
	if s.cur = s.ahead; s.cur == nil {
		return false
	}
	lset := s.cur.Labels()
	var replicas []storage.ChunkSeries
	for s.advance() && labels.Equal(lset, s.ahead.Labels()) {
		if replicas == nil {
			replicas = append(replicas, s.cur)
		}
		replicas = append(replicas, s.ahead)
	}
	if replicas != nil {
		s.cur = NewChunkSeries(lset, s.alg, replicas...)
	}
	return s.ahead != nil || s.set.Err() == nil
}

// advance reads the next replica into ahead.
func (s *chunkSeriesSet) advance() bool {
	s.ahead = nil
	if s.set.Next() {
		s.ahead = s.set.At()
	}
	return s.ahead != nil
}

// At implements storage.ChunkSeriesSet.
func (s *chunkSeriesSet) At() storage.ChunkSeries { return s.cur }

// Err implements storage.ChunkSeriesSet.
func (s *chunkSeriesSet) Err() error { return s.set.Err() }

// Warnings implements storage.ChunkSeriesSet.
func (s *chunkSeriesSet) Warnings() annotations.Annotations { return s.set.Warnings() }
