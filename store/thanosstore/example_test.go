package thanosstore_test

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
	"github.com/thanoskit/thanoskit/store/thanosstore"
)

// A Store goes to code that takes Thanos' StoreServer, and comes back.
func Example() {
	m := memstore.New(nil)
	if err := m.Append(labels.FromStrings("__name__", "up", "cluster", "a", "job", "node"), 1000, 1); err != nil {
		fmt.Println(err)
		return
	}
	var srv storepb.StoreServer = thanosstore.NewServer(m, nil)

	s := thanosstore.FromServer(srv, &thanosstore.Options{Name: "local"})
	for series, err := range store.All(context.Background(), s, &store.SeriesRequest{MaxTime: 2000}, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(series.Labels, len(series.Chunks))
	}
	// Output: {__name__="up", cluster="a", job="node"} 1
}
