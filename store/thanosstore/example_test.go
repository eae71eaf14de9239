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

// A Store becomes a member of Thanos' proxy: of what NewProxyStore is given.
func ExampleNewClient() {
	m := memstore.New(nil)
	if err := m.Append(labels.FromStrings("__name__", "up", "job", "node"), 1000, 1); err != nil {
		fmt.Println(err)
		return
	}
	s := store.Wrap(m, store.WithExternalLabels(labels.FromStrings("cluster", "a")))
	c := thanosstore.NewClient("local", s, nil)
	if err := c.Sync(context.Background()); err != nil { // and again from time to time
		fmt.Println(err)
		return
	}
	mint, maxt := c.TimeRange()
	fmt.Println(c, c.LabelSets(), mint, maxt, c.SupportsSharding())
	// Output: local [{cluster="a"}] 1000 1000 true
}

// A member of Thanos' proxy becomes a Store.
func ExampleFromClient() {
	m := memstore.New(nil)
	if err := m.Append(labels.FromStrings("__name__", "up", "job", "node"), 1000, 1); err != nil {
		fmt.Println(err)
		return
	}
	var c storepb.StoreClient = thanosstore.NewClient("local", m, nil)

	s := thanosstore.FromClient(c, nil)
	names, err := store.LabelNames(context.Background(), s, &store.LabelNamesRequest{MaxTime: 2000})
	fmt.Println(names, err)
	// Output: [__name__ job] <nil>
}
