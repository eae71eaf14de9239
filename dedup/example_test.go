package dedup_test

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// Two servers scrape the same target; the second one has what the first one
// missed.
func ExampleFollow() {
	a := deduptest.Replica{float(0, 1), float(15_000, 2), float(30_000, 3), float(135_000, 10)}
	b := deduptest.Replica{float(2_000, 1), float(17_000, 2), float(32_000, 3), float(47_000, 4), float(62_000, 5), float(77_000, 6)}

	it := dedup.Follow{}.Merge(nil, dedup.Untyped, a, b)
	for it.Next() != chunkenc.ValNone {
		t, v := it.At()
		fmt.Printf("%d s: %g\n", t/1000, v)
	}
	fmt.Println(it.Err())
	// Output:
	// 0 s: 1
	// 15 s: 2
	// 30 s: 3
	// 47 s: 4
	// 62 s: 5
	// 77 s: 6
	// 135 s: 10
	// <nil>
}

// Two servers scrape the same target; the second one fills the first one's gap.
func ExamplePenalty() {
	a := deduptest.Replica{float(0, 1), float(15_000, 2), float(30_000, 3), float(135_000, 10)}
	b := deduptest.Replica{float(2_000, 1), float(17_000, 2), float(32_000, 3), float(47_000, 4), float(62_000, 5), float(77_000, 6)}

	it := dedup.Penalty{}.Merge(nil, dedup.Counters, a, b)
	for it.Next() != chunkenc.ValNone {
		t, v := it.At()
		fmt.Printf("%d s: %g\n", t/1000, v)
	}
	fmt.Println(it.Err())
	// Output:
	// 0 s: 1
	// 15 s: 2
	// 30 s: 3
	// 62 s: 5
	// 77 s: 6
	// 135 s: 10
	// <nil>
}

// Receivers hold copies of the same samples, and one of them was restarted.
func ExampleChain() {
	a := deduptest.Replica{float(0, 1), float(15_000, 2), float(60_000, 5)}
	b := deduptest.Replica{float(0, 1), float(15_000, 2), float(30_000, 3), float(45_000, 4)}

	it := dedup.Chain{}.Merge(nil, dedup.Untyped, a, b)
	for it.Next() != chunkenc.ValNone {
		t, v := it.At()
		fmt.Printf("%d s: %g\n", t/1000, v)
	}
	// Output:
	// 0 s: 1
	// 15 s: 2
	// 30 s: 3
	// 45 s: 4
	// 60 s: 5
}

func ExampleNewSeriesSet() {
	up := func(job string, samples ...deduptest.Sample) storage.Series {
		return &storage.SeriesEntry{
			Lset:             labels.FromStrings("__name__", "up", "job", job),
			SampleIteratorFn: deduptest.Replica(samples).Iterator,
		}
	}
	replicas := &listSet{series: []storage.Series{ // Sorted, the replica label is gone.
		up("api", float(0, 1), float(15_000, 1)),
		up("api", float(100, 1), float(15_100, 1), float(60_100, 0)),
		up("db", float(0, 1)),
	}}

	set := dedup.NewSeriesSet(replicas, dedup.Penalty{}, dedup.Untyped)
	var it chunkenc.Iterator // One iterator serves all series.
	for set.Next() {
		series := set.At()
		fmt.Println(series.Labels())
		for it = series.Iterator(it); it.Next() != chunkenc.ValNone; {
			fmt.Println(it.At())
		}
	}
	fmt.Println(set.Err())
	// Output:
	// {__name__="up", job="api"}
	// 0 1
	// 15000 1
	// 60100 0
	// {__name__="up", job="db"}
	// 0 1
	// <nil>
}

func ExampleNewSeries() {
	a, b := deduptest.Replica{float(0, 1)}, deduptest.Replica{float(60_000, 2)}
	series := dedup.NewSeries(labels.FromStrings("job", "api"), dedup.Penalty{}, dedup.Untyped, a, b)

	fmt.Println(series.Labels())
	for it := series.Iterator(nil); it.Next() != chunkenc.ValNone; {
		fmt.Println(it.At())
	}
	// Output:
	// {job="api"}
	// 0 1
	// 60000 2
}

func ExampleTracks() {
	type chunk struct {
		from             string
		minTime, maxTime int64
	}
	chunks := []chunk{
		{"a", 0, 100},
		{"b", 40, 140},
		{"a", 110, 200},
		{"b", 150, 240},
	}
	for _, track := range dedup.Tracks(chunks, func(c *chunk) (int64, int64) { return c.minTime, c.maxTime }) {
		fmt.Println(track)
	}
	// Output:
	// [{a 0 100} {a 110 200}]
	// [{b 40 140} {b 150 240}]
}

func ExampleParse() {
	alg, err := dedup.Parse("penalty")
	fmt.Println(alg, err)

	_, err = dedup.Parse("newest")
	var unknown *dedup.UnknownAlgorithmError
	fmt.Println(errors.As(err, &unknown), err)
	// Output:
	// penalty <nil>
	// true parse deduplication algorithm "newest": unknown name, want "follow", "penalty" or "chain"
}
