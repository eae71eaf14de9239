package memstore_test

import (
	"context"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/prometheus/prometheus/util/testutil"

	"github.com/thanoskit/thanoskit/store/memstore"
)

type tee struct {
	*teststorage.TestStorage
	m memstore.Store
}
type teeApp struct {
	storage.Appender
	m *memstore.Store
	t testutil.T
}

func (s *tee) Appender(ctx context.Context) storage.Appender {
	return &teeApp{s.TestStorage.Appender(ctx), &s.m, nil}
}
var bad int
var n int
func (a *teeApp) Append(ref storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	n++
	if err := a.m.Append(l, t, v); err != nil {
		bad++
		println(err.Error())
	}
	return a.Appender.Append(ref, l, t, v)
}
func (a *teeApp) AppendHistogram(ref storage.SeriesRef, l labels.Labels, t int64, h *histogram.Histogram, fh *histogram.FloatHistogram) (storage.SeriesRef, error) {
	n++
	var err error
	if h != nil {
		err = a.m.AppendHistogram(l, t, h)
	} else {
		err = a.m.AppendFloatHistogram(l, t, fh)
	}
	if err != nil {
		bad++
		println(err.Error())
	}
	return a.Appender.AppendHistogram(ref, l, t, h, fh)
}

func TestTmp(t *testing.T) {
	promqltest.RunBuiltinTestsWithStorage(t, promqltest.NewTestEngine(t, false, 0, 50000000), func(t testutil.T) storage.Storage {
		return &tee{TestStorage: teststorage.New(t)}
	})
	t.Log(n, bad)
}
