package tsdbstore_test

import (
	"context"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/tsdbstore"
)

func Example() {
	if err := serve(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {__name__="up", cluster="eu", job="node"} 0 60000
}

// serve is what Example does, with room for errors.
func serve() error {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	db, err := tsdb.Open(dir, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		return err
	}
	defer db.Close()

	ctx := context.Background()
	app := db.Appender(ctx)
	for _, t := range []int64{0, 15_000, 60_000} {
		if _, err := app.Append(0, labels.FromStrings("__name__", "up", "job", "node"), t, 1); err != nil {
			return err
		}
	}
	if err := app.Commit(); err != nil {
		return err
	}

	s := store.Wrap(tsdbstore.New(db, nil), store.WithExternalLabels(labels.FromStrings("cluster", "eu")))
	for series, err := range store.All(ctx, s, &store.SeriesRequest{MaxTime: 30_000}, nil) {
		if err != nil {
			return err
		}
		for _, c := range series.Chunks {
			fmt.Println(series.Labels, c.MinTime, c.MaxTime)
		}
	}
	return nil
}

// answer is a querier of one series, and the set that it answers with.
type answer struct {
	storage.Querier
	storage.SeriesSet
	at int
}

func (a *answer) Select(context.Context, bool, *storage.SelectHints, ...*labels.Matcher) storage.SeriesSet {
	return a
}

func (a *answer) Next() bool { a.at++; return a.at == 1 }

func (*answer) At() storage.Series {
	return list(labels.FromStrings("__name__", "up"), 3, func(i int64) sample { return sample{t: 15_000 * i, f: 1} })
}

func ExampleNewQueryable() {
	// Anything that a PromQL engine can query.
	db := storage.QueryableFunc(func(mint, maxt int64) (storage.Querier, error) {
		return &answer{Querier: storage.NoopQuerier(), SeriesSet: storage.EmptySeriesSet()}, nil
	})
	s := store.Wrap(tsdbstore.NewQueryable(db, nil), store.WithExternalLabels(labels.FromStrings("cluster", "eu")))
	for series, err := range store.All(context.Background(), s, &store.SeriesRequest{MaxTime: 30_000}, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range series.Chunks {
			fmt.Println(series.Labels, c.MinTime, c.MaxTime, c.Raw.Encoding)
		}
	}
	// Output: {__name__="up", cluster="eu"} 0 30000 XOR
}
