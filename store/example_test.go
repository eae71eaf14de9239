package store_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
)

// thermometers is a source of outside data: a room and its temperature.
type thermometers []struct {
	room string
	at   int64 // ms
	temp float64
}

// Series is all that a gateway has to write.
func (t thermometers) Series(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	for _, row := range t { // ordered by room
		lset := labels.FromStrings("__name__", "temperature_celsius", "room", row.room)
		if !req.Matches(lset) || row.at < req.MinTime || row.at > req.MaxTime {
			continue
		}
		chunks, err := store.FloatChunks([]int64{row.at}, []float64{row.temp})
		if err != nil {
			return err
		}
		if err := w.Send(&store.Series{Labels: lset, Chunks: chunks}); err != nil {
			return err
		}
	}
	return nil
}

var rooms = thermometers{{"attic", 1000, 31}, {"cellar", 1000, 12}, {"kitchen", 2000, 21}}

func Example() {
	s := store.Wrap(rooms, store.WithExternalLabels(labels.FromStrings("building", "north")), store.WithLimits(store.Limits{Series: 10}), store.WithRecovery())
	req := &store.SeriesRequest{MaxTime: 1500, Matchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "building", "north")}}
	for series, err := range store.All(context.Background(), s, req, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		c, _ := series.Chunks[0].Raw.Chunk()
		it := c.Iterator(nil)
		it.Next()
		_, v := it.At()
		fmt.Println(series.Labels, v)
	}
	// Output:
	// {__name__="temperature_celsius", building="north", room="attic"} 31
	// {__name__="temperature_celsius", building="north", room="cellar"} 12
}

func ExampleLabelNames() {
	names, _ := store.LabelNames(context.Background(), rooms, &store.LabelNamesRequest{MaxTime: 5000})
	fmt.Println(names)
	// Output: [__name__ room]
}

func ExampleLabelValues() {
	values, _ := store.LabelValues(context.Background(), rooms, &store.LabelValuesRequest{Label: "room", MaxTime: 1500})
	fmt.Println(values)
	// Output: [attic cellar]
}

func ExampleWithLimits() {
	s := store.Wrap(rooms, store.WithLimits(store.Limits{Series: 2}))
	for series, err := range store.All(context.Background(), s, &store.SeriesRequest{MaxTime: 5000}, nil) {
		if errors.Is(err, store.ErrLimit) {
			fmt.Println(err)
			return
		}
		fmt.Println(series.Labels.Get("room"))
	}
	// Output:
	// attic
	// cellar
	// series limit of 2 exceeded
}

func ExampleWithSorting() {
	unsorted := thermometers{rooms[2], rooms[0]}
	s := store.Wrap(unsorted, store.WithSorting())
	for series := range store.All(context.Background(), s, &store.SeriesRequest{MaxTime: 5000}, nil) {
		fmt.Println(series.Labels.Get("room"))
	}
	// Output:
	// attic
	// kitchen
}

func ExampleWithRecovery() {
	broken := store.Func(func(context.Context, *store.SeriesRequest, store.SeriesWriter) error { panic("no sensor") })
	for _, err := range store.All(context.Background(), store.Wrap(broken, store.WithRecovery()), &store.SeriesRequest{}, nil) {
		fmt.Println(err)
	}
	// Output: panic: no sensor
}

func ExampleDescribe() {
	s := store.Wrap(rooms, store.WithExternalLabels(labels.FromStrings("building", "north")))
	info, _ := store.Describe(context.Background(), s)
	fmt.Println(info.LabelSets, info.SupportsSharding, info.SupportsWithoutReplicaLabels)
	// Output: [{building="north"}] true true
}

func ExampleInfo_MayHold() {
	info := store.Info{LabelSets: []labels.Labels{labels.FromStrings("building", "north")}}
	fmt.Println(info.MayHold(0, 1000, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "building", "south")}))
	// Output: false external labels do not match
}

func ExampleShard_Matches() {
	for _, room := range []string{"attic", "cellar", "kitchen"} {
		for i := range int64(2) {
			shard := &store.Shard{Index: i, Total: 2, By: true, Labels: []string{"room"}}
			if shard.Matches(labels.FromStrings("__name__", "temperature_celsius", "room", room)) {
				fmt.Println(room, i)
			}
		}
	}
	// Output:
	// attic 0
	// cellar 1
	// kitchen 1
}

// A caller sees the cluster that its identity stands for, whatever it asks for. A
// server over gRPC takes the identity from grpcstore.PeerIdentity.
func ExampleWithAllowed() {
	type tenant struct{} // a key of contexts
	both := store.Func(func(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		for _, cluster := range []string{"eu", "us"} {
			if lset := labels.FromStrings("cluster", cluster); req.Matches(lset) {
				if err := w.Send(&store.Series{Labels: lset}); err != nil {
					return err
				}
			}
		}
		return nil
	})
	s := store.Wrap(both, store.WithAllowed(func(ctx context.Context) ([]*labels.Matcher, error) {
		who, ok := ctx.Value(tenant{}).(string)
		if !ok {
			return nil, store.ErrDenied
		}
		return []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "cluster", who)}, nil
	}))

	ctx := context.WithValue(context.Background(), tenant{}, "eu")
	for series, err := range store.All(ctx, s, &store.SeriesRequest{}, nil) {
		fmt.Println(series.Labels, err)
	}
	_, err := store.LabelNames(context.Background(), s, &store.LabelNamesRequest{})
	fmt.Println(err)
	// Output:
	// {cluster="eu"} <nil>
	// denied
}

// A peer that is known to be cluster eu sends series of another one as well: they
// are left out, and that is said.
func ExampleWithServed() {
	peer := store.Func(func(_ context.Context, _ *store.SeriesRequest, w store.SeriesWriter) error {
		for _, cluster := range []string{"eu", "us"} {
			if err := w.Send(&store.Series{Labels: labels.FromStrings("cluster", cluster)}); err != nil {
				return err
			}
		}
		return nil
	})
	s := store.Wrap(peer, store.WithServed(labels.MustNewMatcher(labels.MatchEqual, "cluster", "eu")))
	out := &store.Outcome{}
	for series, err := range store.All(context.Background(), s, &store.SeriesRequest{}, out) {
		fmt.Println(series.Labels, err)
	}
	fmt.Println(out.Warnings()[0])
	// Output:
	// {cluster="eu"} <nil>
	// store serves what it may not: 1 series outside of {cluster="eu"} left out, the first is "{cluster=\"us\"}"
}
