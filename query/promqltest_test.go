package query_test

import (
	"context"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

// testStorage is memstore as the storage that promqltest loads its scripts into,
// read through a Querier over whatever front is put before it.
type testStorage struct {
	storage.Queryable
	mem   *memstore.Store
	close func()
}

func newTestStorage(front func(store.Store) store.Store) (*testStorage, error) {
	s := &testStorage{mem: &memstore.Store{}, close: func() {}}
	q, err := query.New(front(s.mem), nil)
	if err != nil {
		return nil, err
	}
	s.Queryable = q.Queryable(nil)
	return s, nil
}

func (s *testStorage) ChunkQuerier(int64, int64) (storage.ChunkQuerier, error) { panic("not used") }
func (s *testStorage) Appender(context.Context) storage.Appender               { return &appender{mem: s.mem} }
func (s *testStorage) StartTime() (int64, error)                               { return math.MinInt64, nil }
func (s *testStorage) Close() error                                            { s.close(); return nil }

type appender struct {
	storage.Appender // panics on what scripts do not do
	mem              *memstore.Store
}

func (a *appender) Append(_ storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	return 0, a.mem.Append(l, t, v)
}

func (a *appender) AppendHistogram(_ storage.SeriesRef, l labels.Labels, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	if h != nil {
		return 0, a.mem.AppendHistogram(l, t, h)
	}
	return 0, a.mem.AppendFloatHistogram(l, t, fh)
}

func (a *appender) Commit() error { return nil }

func TestPromQLScripts(t *testing.T) {
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	promqltest.RunBuiltinTestsWithStorage(t, engine, inProcess)
}

func inProcess[T any](T) storage.Storage {
	s, err := newTestStorage(func(s store.Store) store.Store { return s })
	if err != nil {
		panic(err)
	}
	return s
}
