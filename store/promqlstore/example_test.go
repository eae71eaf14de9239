package promqlstore_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/query/httpapi"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/promqlstore"
)

func Example() {
	srv, err := server()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()

	s, err := promqlstore.New(srv.URL, &promqlstore.Options{Dialect: promqlstore.Thanos})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	external := store.Wrap(s, store.WithExternalLabels(labels.FromStrings("cluster", "eu")))
	for series, err := range store.All(context.Background(), external, &store.SeriesRequest{MinTime: 15_000, MaxTime: 45_000}, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range series.Chunks {
			fmt.Println(series.Labels, c.MinTime, c.MaxTime, c.Raw.Encoding)
		}
	}
	// Output: {__name__="up", cluster="eu", job="node"} 15000 45000 XOR
}

// server answers PromQL over a few samples, as a Thanos querier would.
func server() (*httptest.Server, error) {
	var s memstore.Store
	for t := range int64(5) {
		if err := s.Append(labels.FromStrings("__name__", "up", "job", "node"), 15_000*t, 1); err != nil {
			return nil, err
		}
	}
	q, err := query.New(&s, nil)
	if err != nil {
		return nil, err
	}
	h, err := httpapi.New(q, nil)
	if err != nil {
		return nil, err
	}
	return httptest.NewServer(h), nil
}
