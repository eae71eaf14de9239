package tsdbstore_test

import (
	"context"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/model/labels"
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
