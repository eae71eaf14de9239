package tsdbstore_test

import (
	"context"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/storetest"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

// TestConformanceOfSamples runs the kit over a TSDB of which only the samples are
// read.
func TestConformanceOfSamples(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		New: func(t testing.TB, f *storetest.Fixture) store.Store {
			db := openDB(t)
			app := &scraped{db: db, Appender: db.Appender(t.Context())}
			testutil.Ok(t, f.Append(t.Context(), app))
			testutil.Ok(t, app.Commit())
			db.ForceHeadMMap() // as it does each minute
			return store.Wrap(tsdbstore.NewQueryable(db, nil), store.WithExternalLabels(f.ExternalLabels()))
		},
		Lacks: map[storetest.Feature]string{storetest.DownsampledData: "a TSDB holds raw data only"},
	})
}

// scraped appends in transactions of some samples each, as who scrapes does, not in
// one: for each chunk that is read of the head, the TSDB looks at every sample of
// the series' last transaction.
type scraped struct {
	storage.Appender
	db *tsdb.DB
	n  int
}

func (s *scraped) Append(ref storage.SeriesRef, lset labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	if s.n++; s.n%1000 == 0 {
		if err := s.Commit(); err != nil {
			return 0, err
		}
		s.Appender = s.db.Appender(context.Background())
	}
	return s.Appender.Append(ref, lset, t, v)
}
