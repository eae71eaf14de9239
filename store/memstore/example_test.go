package memstore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

func Example() {
	var s memstore.Store
	for t := range int64(3) {
		for _, job := range []string{"node", "api"} {
			if err := s.Append(labels.FromStrings("__name__", "up", "job", job), 15_000*t, 1); err != nil {
				fmt.Println(err)
			}
		}
	}
	req := &store.SeriesRequest{MinTime: 0, MaxTime: 60_000, Matchers: []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "__name__", "up"),
	}}
	for series, err := range store.All(context.Background(), &s, req, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, c := range series.Chunks {
			fmt.Println(series.Labels, c.MinTime, c.MaxTime, c.Raw.Encoding)
		}
	}
	// Output:
	// {__name__="up", job="api"} 0 30000 XOR
	// {__name__="up", job="node"} 0 30000 XOR
}

func ExampleStore_AddDownsampled() {
	// Chunks to add come from a downsampler; here another Store makes them.
	aggregate := func(v float64) store.ChunkData {
		var s memstore.Store
		if err := s.Append(labels.EmptyLabels(), 299_999, v); err != nil {
			panic(err)
		}
		for series, err := range store.All(context.Background(), &s, &store.SeriesRequest{MaxTime: 299_999}, nil) {
			if err != nil {
				panic(err)
			}
			return series.Chunks[0].Raw
		}
		panic("no series")
	}

	var s memstore.Store
	err := s.AddDownsampled(5*time.Minute, &store.Series{
		Labels: labels.FromStrings("__name__", "queue_length"),
		Chunks: []store.Chunk{{MinTime: 299_999, MaxTime: 299_999, Aggregated: &store.AggregatedChunk{
			Count: aggregate(20), Sum: aggregate(50),
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	req := &store.SeriesRequest{MaxTime: 600_000, MaxResolution: time.Hour, Aggregates: store.AggregateSum}
	for series, err := range store.All(context.Background(), &s, req, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		a := series.Chunks[0].Aggregated
		fmt.Println(series.Labels, "count:", !a.Count.IsZero(), "sum:", !a.Sum.IsZero())
	}
	// Output:
	// {__name__="queue_length"} count: false sum: true
}
