package tsdbstore_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/thanoskit/thanoskit/internal/promcompat"
)

// fakeDB is a ChunkQueryable that fails where it is told to. What its iterators
// return is overwritten by the next call.
type fakeDB struct {
	series   []fakeSeries
	warnings annotations.Annotations

	openErr, setErr, labelErr, startErr, closeErr error

	hints *storage.SelectHints // of the last call
	open  int                  // queriers not closed
}

type fakeSeries struct {
	lset  labels.Labels
	metas []chunks.Meta
	err   error // after all chunks
}

func (db *fakeDB) ChunkQuerier(int64, int64) (storage.ChunkQuerier, error) {
	if db.openErr != nil {
		return nil, db.openErr
	}
	db.open++
	return &fakeQuerier{db}, nil
}

func (db *fakeDB) StartTime() (int64, error) { return 42, db.startErr }

type fakeQuerier struct{ db *fakeDB }

func (q *fakeQuerier) Select(_ context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.ChunkSeriesSet {
	slices.Reverse(ms) // as Prometheus' queriers sort them in place
	q.db.hints = hints
	if !sorted {
		return storage.ErrChunkSeriesSet(errors.New("not asked to sort"))
	}
	return &fakeSet{db: q.db, i: -1}
}

func (q *fakeQuerier) LabelNames(_ context.Context, _ *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	slices.Reverse(ms)
	return []string{"a", "b"}, q.db.warnings, q.db.labelErr
}

func (q *fakeQuerier) LabelValues(ctx context.Context, _ string, h *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.LabelNames(ctx, h, ms...)
}

func (q *fakeQuerier) Close() error {
	q.db.open--
	return q.db.closeErr
}

type fakeSet struct {
	db *fakeDB
	i  int
}

func (s *fakeSet) Next() bool                        { s.i++; return s.i < len(s.db.series) }
func (s *fakeSet) At() storage.ChunkSeries           { return s.db.series[s.i] }
func (s *fakeSet) Err() error                        { return s.db.setErr }
func (s *fakeSet) Warnings() annotations.Annotations { return s.db.warnings }

func (s fakeSeries) Labels() labels.Labels { return s.lset }

func (s fakeSeries) Iterator(chunks.Iterator) chunks.Iterator {
	return &fakeIterator{series: s, i: -1}
}

type fakeIterator struct {
	series fakeSeries
	i      int
	buf    []byte
}

func (it *fakeIterator) Next() bool {
	for i := range it.buf {
		it.buf[i] = 0xee
	}
	it.i++
	return it.i < len(it.series.metas)
}

func (it *fakeIterator) At() chunks.Meta {
	m := it.series.metas[it.i]
	if c, ok := m.Chunk.(*chunkenc.XORChunk); ok {
		it.buf = slices.Clone(c.Bytes())
		m.Chunk, _ = chunkenc.FromData(chunkenc.EncXOR, it.buf)
	}
	return m
}

func (it *fakeIterator) Err() error { return it.series.err }

// newer is a chunk in an encoding that the StoreAPI does not know. It has a
// sample at each millisecond; nil is one of an unknown kind.
type newer struct {
	chunkenc.Chunk
	values []any
	err    error // after all samples
}

const newerEncoding = chunkenc.Encoding(99)

func (newer) Encoding() chunkenc.Encoding { return newerEncoding }

func (c newer) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	return &valueIterator{Iterator: chunkenc.NewNopIterator(), values: c.values, i: -1, err: c.err}
}

type valueIterator struct {
	chunkenc.Iterator
	values []any
	i      int
	err    error
}

func (it *valueIterator) Next() chunkenc.ValueType {
	it.i++
	if it.i >= len(it.values) {
		return chunkenc.ValNone
	}
	switch it.values[it.i].(type) {
	case float64:
		return chunkenc.ValFloat
	case *histogram.Histogram:
		return chunkenc.ValHistogram
	case *histogram.FloatHistogram:
		return chunkenc.ValFloatHistogram
	}
	return 77
}

func (it *valueIterator) AtT() int64           { return int64(it.i) }
func (it *valueIterator) At() (int64, float64) { return it.AtT(), it.values[it.i].(float64) }
func (it *valueIterator) Err() error           { return it.err }

func (it *valueIterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) {
	return it.AtT(), it.values[it.i].(*histogram.Histogram)
}

func (it *valueIterator) AtFloatHistogram(*histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	return it.AtT(), it.values[it.i].(*histogram.FloatHistogram)
}

// floats makes a meta of a float chunk.
func floats(t testing.TB, ts ...int64) chunks.Meta {
	t.Helper()
	c, err := promcompat.NewChunk(chunkenc.ValFloat)
	testutil.Ok(t, err)
	app, err := promcompat.NewAppender(c)
	testutil.Ok(t, err)
	for _, ts := range ts {
		app.Append(ts, float64(ts))
	}
	return chunks.Meta{Chunk: c, MinTime: ts[0], MaxTime: ts[len(ts)-1]}
}
