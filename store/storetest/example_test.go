package storetest_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// room is a row of the table behind the example's gateway.
type room struct {
	name    string
	times   []int64
	degrees []float64
}

// rooms is a gateway: a table as a Store.
type rooms []room

// Series sends one series for each row, ascending by name.
func (g rooms) Series(_ context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
	for _, r := range g {
		s := &store.Series{Labels: labels.FromStrings("__name__", "temperature_celsius", "room", r.name)}
		chunks, err := store.FloatChunks(r.times, r.degrees)
		if err != nil {
			return err
		}
		chunks = slices.DeleteFunc(chunks, func(c store.Chunk) bool { return c.MinTime > req.MaxTime || c.MaxTime < req.MinTime })
		if len(chunks) == 0 || !req.Matches(s.Labels) {
			continue
		}
		if !req.SkipChunks {
			s.Chunks = chunks
		}
		if err := w.Send(s); err != nil {
			return err
		}
	}
	return nil
}

// A gateway, wrapped in the middleware that does the rest, passes every check
// that its data allows.
func Example() {
	gateway := rooms{
		{"attic", []int64{1000, 2000, 3000}, []float64{18, 19, 21}},
		{"cellar", []int64{1500, 2500}, []float64{12, 12}},
		{"kitchen", []int64{1000, 2000, 3000}, []float64{21, 22, math.NaN()}},
	}
	s := store.Wrap(gateway, store.WithExternalLabels(labels.FromStrings("site", "home")))
	results, err := storetest.Check(context.Background(), s, &storetest.Options{MinTime: 0, MaxTime: 5000})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		if r.Status != storetest.OK {
			fmt.Println(r)
		}
	}
	// Output:
	// skip large-messages: no series is larger than 4 MiB
	// skip aggregates: the store has no downsampled data in the range
	// skip aggregates-others: the store has no downsampled data in the range
	// skip batches: there is no connection to look at
	// skip batch-sizes: there is no connection to look at
}

// A Store that does not sort, and what is said of it.
func ExampleCheck() {
	backend := rooms{
		{"attic", []int64{1000}, []float64{18}},
		{"cellar", []int64{1000}, []float64{12}},
	}
	unsorted := store.Func(func(ctx context.Context, req *store.SeriesRequest, w store.SeriesWriter) error {
		slices.Reverse(backend)
		defer slices.Reverse(backend)
		return backend.Series(ctx, req, w)
	})
	results, err := storetest.Check(context.Background(), unsorted, &storetest.Options{MaxTime: 5000, Checks: []string{"chunk-times", "order"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range results {
		fmt.Println(r)
	}
	// Output:
	// ok chunk-times
	// FAIL order: series {__name__="temperature_celsius", room="attic"} came after {__name__="temperature_celsius", room="cellar"}: not sorted
}

// The test of a gateway that can be loaded with the fixture.
func ExampleRun() {
	// In a file of tests, this is func TestGateway.
	testGateway := func(t *testing.T) {
		storetest.Run(t, storetest.Harness{
			New: func(_ testing.TB, f *storetest.Fixture) store.Store {
				return store.Wrap(shuffled(f.Series()), store.WithExternalLabels(f.ExternalLabels()), store.WithSorting())
			},
			Lacks: map[storetest.Feature]string{storetest.DownsampledData: "the gateway has raw data only"},
		})
	}
	_ = testGateway
	// Output:
}

// What a Store has to send of the series that it is loaded with.
func ExampleNewFixture() {
	f, err := storetest.NewFixture(&storetest.FixtureOptions{
		ExternalLabels: labels.FromStrings("cluster", "eu"),
		Lacks:          []storetest.Feature{storetest.DownsampledData, storetest.NativeHistograms},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	loaded, sent := f.Series(), f.Sent()
	fmt.Println(len(loaded) == len(sent))
	fmt.Println(loaded[0].Labels)
	fmt.Println(sent[0].Labels)
	// Output:
	// true
	// {A="z", __name__="storetest_override", job="b", x="4"}
	// {A="z", __name__="storetest_override", cluster="eu", job="b", x="4"}
}

func ExampleChecks() {
	for _, c := range storetest.Checks()[:3] {
		fmt.Printf("%s: %s\n", c.Name, c.Doc)
	}
	// Output:
	// info: Info is answered.
	// series: All series are sent: the call ends without an error.
	// warnings: A store that has all of its data does not warn.
}
