package tsdbstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/rechunk"
	"github.com/thanoskit/thanoskit/store"
)

// NewQueryable returns db, which has samples and no chunks, as a Store: a
// remote.Storage, a lazy or merging Queryable, one that a program made by
// itself. opts may be nil.
//
// Samples in the range are encoded to chunks of at most store.SamplesPerChunk,
// one series at a time and one chunk at a time; native histograms, gauges among
// them, keep their kind and their counter resets, and a series may mix kinds.
// Start timestamps are lost. A request that skips chunks reads one sample of each
// series.
//
// The database is not closed by the Store, and not to be closed during a call.
// Its Querier must sort series if it is asked to; what does not is wrapped in
// store.WithSorting after setting Options.Unsorted.
//
// Errors of Series are besides store.ErrUnsorted, and store.ErrMalformed if the
// samples of a series do not ascend.
func NewQueryable(db storage.Queryable, opts *Options) *Store {
	unsorted := opts != nil && opts.Unsorted
	s := New(sampled{db: db, unsorted: unsorted}, opts)
	if opts == nil || opts.TimeRange == nil {
		s.timeRange = startTime(db)
	}
	return s
}

// sampled is a storage.Queryable as a storage.ChunkQueryable.
type sampled struct {
	db       storage.Queryable
	unsorted bool
}

func (s sampled) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	q, err := s.db.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return &sampledQuerier{Querier: q, mint: mint, maxt: maxt, unsorted: s.unsorted}, nil
}

type sampledQuerier struct {
	storage.Querier
	mint, maxt int64
	unsorted   bool
}

func (q *sampledQuerier) Select(ctx context.Context, sortSeries bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.ChunkSeriesSet {
	h := *hints
	h.DisableTrimming = false // of samples, those in the range are enough
	return &sampledSet{set: q.Querier.Select(ctx, sortSeries, &h, ms...), mint: q.mint, maxt: q.maxt, unsorted: q.unsorted}
}

// sampledSet is a set of series of samples as one of chunks. It checks the
// order.
type sampledSet struct {
	set        storage.SeriesSet
	mint, maxt int64
	unsorted   bool

	series  *sampledSeries
	started bool
	err     error
}

func (s *sampledSet) Next() bool {
	if s.err != nil || !s.set.Next() {
		return false
	}
	series := s.set.At()
	if s.started && !s.unsorted && labels.Compare(s.series.Labels(), series.Labels()) > 0 {
		s.err = fmt.Errorf("%w: %s after %s", store.ErrUnsorted, series.Labels(), s.series.Labels())
		return false
	}
	s.series, s.started = &sampledSeries{Series: series, mint: s.mint, maxt: s.maxt}, true
	return true
}

func (s *sampledSet) At() storage.ChunkSeries { return s.series }

func (s *sampledSet) Err() error {
	if s.err != nil {
		return s.err
	}
	return s.set.Err()
}

func (s *sampledSet) Warnings() annotations.Annotations { return s.set.Warnings() }

// sampledSeries is a series of samples as one of chunks.
type sampledSeries struct {
	storage.Series
	mint, maxt int64
}

// Iterator returns an iterator over chunks, which is it if that was one of
// these.
func (s *sampledSeries) Iterator(it chunks.Iterator) chunks.Iterator {
	c, ok := it.(*sampledChunks)
	if !ok {
		c = &sampledChunks{}
	}
	samples := s.Series.Iterator(c.samples)
	*c = sampledChunks{samples: samples, maxt: s.maxt, next: samples.Seek(s.mint)}
	return c
}

// hasData reports whether a sample is in the range, without making a chunk.
func (s *sampledSeries) hasData(it chunks.Iterator) (bool, chunks.Iterator, error) {
	it = s.Iterator(it)
	c := it.(*sampledChunks)
	if c.next == chunkenc.ValNone {
		return false, it, c.samples.Err()
	}
	return c.samples.AtT() <= s.maxt, it, nil
}

// sampledChunks encodes the samples of a series chunk by chunk.
type sampledChunks struct {
	samples chunkenc.Iterator
	next    chunkenc.ValueType // of the sample that samples stands on
	maxt    int64
	encoder rechunk.Encoder
	ready   []encoded.Chunk
	current chunks.Meta
	err     error
}

func (c *sampledChunks) Next() bool {
	for len(c.ready) == 0 && c.err == nil && c.next != chunkenc.ValNone && c.samples.AtT() <= c.maxt {
		c.err = c.encoder.Sample(c.next, c.samples)
		c.ready = c.encoder.Take()
		c.next = c.samples.Next()
	}
	if c.err == nil {
		c.err = c.samples.Err()
	}
	if c.err == nil && len(c.ready) == 0 {
		c.ready = c.encoder.Chunks()
	}
	if c.err != nil || len(c.ready) == 0 {
		return false
	}
	chunk := c.ready[0]
	c.ready = slices.Delete(c.ready, 0, 1)
	c.current = chunks.Meta{MinTime: chunk.MinTime, MaxTime: chunk.MaxTime}
	c.current.Chunk, c.err = chunkenc.FromData(chunk.Raw.Encoding, chunk.Raw.Bytes)
	return c.err == nil
}

func (c *sampledChunks) At() chunks.Meta { return c.current }

func (c *sampledChunks) Err() error { return c.err }
