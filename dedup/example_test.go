package dedup_test

import (
	"errors"
	"fmt"
	"slices"

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

// Of two servers that scrape a target at different intervals, the one that scrapes
// more often comes first.
func ExampleReplicas_Compare() {
	replicas := &dedup.Replicas{
		Labels: []string{"prometheus", "replica"},
		Prefer: []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "prometheus", ".*-short-interval")},
	}
	series := []labels.Labels{
		labels.FromStrings("job", "api", "prometheus", "main", "replica", "0"),
		labels.FromStrings("job", "api", "prometheus", "main-short-interval", "replica", "1"),
		labels.FromStrings("job", "api", "prometheus", "main-short-interval", "replica", "0"),
	}
	slices.SortStableFunc(series, replicas.Compare)
	for _, lset := range series {
		fmt.Println(lset.Get("prometheus"), lset.Get("replica"))
	}
	// Output:
	// main-short-interval 0
	// main-short-interval 1
	// main 0
}

// Two copies of a series differ in the second chunk; the first and the last one are
// not decoded.
func ExampleChunkMerger_Merge() {
	chunk := func(ref uint64, samples ...deduptest.Sample) dedup.Chunk {
		it := upChunks("api", samples...).Iterator(nil)
		it.Next()
		c := it.At()
		return dedup.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Chunk.Encoding(), Data: c.Chunk.Bytes(), Ref: ref}
	}
	a := []dedup.Chunk{chunk(1, float(0, 1), float(15_000, 2)), chunk(2, float(30_000, 3)), chunk(3, float(90_000, 7))}
	b := []dedup.Chunk{chunk(4, float(0, 1), float(15_000, 2)), chunk(5, float(30_000, 3), float(45_000, 4), float(60_000, 5))}

	m := dedup.ChunkMerger{Algorithm: dedup.Chain{}}
	merged, err := m.Merge(nil, a, b)
	for _, c := range merged {
		fmt.Println(c.MinTime, c.MaxTime, c.Encoding, "ref", c.Ref)
	}
	fmt.Println(err)

	b[1].Data = b[1].Data[:9]
	_, err = m.Merge(nil, a, b)
	var bad *dedup.ChunkError
	fmt.Println(errors.As(err, &bad), err)
	// Output:
	// 0 15000 XOR ref 1
	// 30000 60000 XOR ref 0
	// 90000 90000 XOR ref 3
	// <nil>
	// true merge chunk [30000, 60000] of replica 1: malformed chunk: XOR chunk is truncated
}

// upChunks is a series of chunks, as Prometheus' storage has them.
func upChunks(job string, samples ...deduptest.Sample) storage.ChunkSeries {
	return storage.NewSeriesToChunkEncoder(&storage.SeriesEntry{
		Lset:             labels.FromStrings("__name__", "up", "job", job),
		SampleIteratorFn: deduptest.Replica(samples).Iterator,
	})
}

func printChunks(series storage.ChunkSeries) {
	fmt.Println(series.Labels())
	it := series.Iterator(nil)
	for it.Next() {
		c := it.At()
		fmt.Println(c.MinTime, c.MaxTime, c.Chunk.NumSamples())
	}
	if err := it.Err(); err != nil {
		fmt.Println(err)
	}
}

func ExampleNewChunkSeries() {
	a := upChunks("api", float(0, 1), float(15_000, 1), float(30_000, 1), float(120_000, 0))
	b := upChunks("api", float(2000, 1), float(17_000, 1), float(32_000, 1), float(47_000, 1), float(62_000, 1))
	printChunks(dedup.NewChunkSeries(a.Labels(), dedup.Follow{}, a, b))
	// Output:
	// {__name__="up", job="api"}
	// 0 120000 6
}

func ExampleNewChunkSeriesSet() {
	set := dedup.NewChunkSeriesSet(&chunkSets{at: -1, series: []storage.ChunkSeries{
		upChunks("api", float(0, 1), float(15_000, 1)), // Sorted, the replica label is gone.
		upChunks("api", float(2000, 1), float(17_000, 1)),
		upChunks("db", float(0, 1)),
	}}, dedup.Follow{})
	for set.Next() {
		printChunks(set.At())
	}
	fmt.Println(set.Err())
	// Output:
	// {__name__="up", job="api"}
	// 0 15000 2
	// {__name__="up", job="db"}
	// 0 0 1
	// <nil>
}

// Prometheus' own compactor deduplicates if it is given the function that
// MergeChunkSeries returns.
func ExampleMergeChunkSeries() {
	sets := []storage.ChunkSeriesSet{
		&chunkSets{at: -1, series: []storage.ChunkSeries{upChunks("api", float(0, 1), float(15_000, 1))}},
		&chunkSets{at: -1, series: []storage.ChunkSeries{upChunks("api", float(2000, 1), float(17_000, 1)), upChunks("db", float(0, 1))}},
	}
	set := storage.NewMergeChunkSeriesSet(sets, 0, dedup.MergeChunkSeries(dedup.Follow{}))
	for set.Next() {
		printChunks(set.At())
	}
	// Output:
	// {__name__="up", job="api"}
	// 0 15000 2
	// {__name__="up", job="db"}
	// 0 0 1
}
