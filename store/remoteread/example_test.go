package remoteread_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/promstore"
	"github.com/thanoskit/thanoskit/store/remoteread"
)

func Example() {
	var s memstore.Store
	for t := range int64(5) {
		if err := s.Append(labels.FromStrings("__name__", "up", "job", "node"), 15_000*t, 1); err != nil {
			fmt.Println(err)
		}
	}
	h, err := remoteread.New(&s, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := httptest.NewServer(h)
	defer srv.Close()

	// Prometheus would read from it; so does our Store of the other end.
	r, err := promstore.NewRemoteRead(srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for series, err := range store.All(context.Background(), r, &store.SeriesRequest{MaxTime: 60_000}, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range series.Chunks {
			fmt.Println(series.Labels, c.MinTime, c.MaxTime, c.Raw.Encoding)
		}
	}
	// Output: {__name__="up", job="node"} 0 60000 XOR
}
