package storetest_test

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// A Store that forgets to sort is found by what it sends.
func ExampleCheck() {
	var m memstore.Store
	for _, job := range []string{"a", "b"} {
		if err := m.Append(labels.FromStrings("__name__", "up", "job", job), 1000, 1); err != nil {
			fmt.Println(err)
			return
		}
	}
	unsorted := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		var all []*store.Series
		for s, err := range store.All(ctx, &m, req, req.Outcome) {
			if err != nil {
				return err
			}
			all = append([]*store.Series{s}, all...)
		}
		for _, s := range all {
			if err := w.Send(s); err != nil {
				return err
			}
		}
		return nil
	})
	results, err := storetest.Check(context.Background(), unsorted, &storetest.Options{Checks: []string{"order", "chunk-times"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Println(r)
	}
	// Output:
	// ok chunk-times
	// FAIL order: series {__name__="up", job="a"} came after {__name__="up", job="b"}: not sorted
}
