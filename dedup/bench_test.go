package dedup_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/internal/promcompat"
)

// benchSamples is six hours of a 15 s scrape.
const benchSamples = 1440

// BenchmarkMerge merges replicas of one XOR chunk each. Next to the algorithms
// stand what no merge can go below, decoding the replicas, and Prometheus' own
// chaining iterator.
func BenchmarkMerge(b *testing.B) {
	for _, bc := range []struct {
		name    string
		offsets []int64
	}{
		{"identical", []int64{0, 0}},
		{"offset", []int64{0, 7000}},
		{"three", []int64{0, 5000, 10_000}},
	} {
		var replicas []chunkenc.Iterable
		for _, offset := range bc.offsets {
			replicas = append(replicas, xorReplica(b, offset))
		}
		for _, alg := range []dedup.Algorithm{decodeOnly{}, dedup.Penalty{}, dedup.Chain{}, prometheusChain{}} {
			for _, values := range []dedup.Values{dedup.Untyped, dedup.Counters} {
				if _, ok := alg.(dedup.Penalty); !ok && values == dedup.Counters {
					continue
				}
				b.Run(fmt.Sprintf("%s/%s/%s", bc.name, alg, values), func(b *testing.B) {
					b.ReportAllocs()
					var it chunkenc.Iterator
					for b.Loop() {
						it = alg.Merge(it, values, replicas...)
						for it.Next() != chunkenc.ValNone {
							it.At()
						}
					}
					reportSamples(b, benchSamples*len(replicas))
				})
			}
		}
	}
}

func BenchmarkSeriesSet(b *testing.B) {
	const count = 100
	one, two := xorReplica(b, 0), xorReplica(b, 7000)
	var in []storage.Series
	for i := range count {
		lset := labels.FromStrings("__name__", "up", "instance", fmt.Sprint(1000+i), "job", "api")
		in = append(in,
			&storage.SeriesEntry{Lset: lset, SampleIteratorFn: one.Iterator},
			&storage.SeriesEntry{Lset: lset, SampleIteratorFn: two.Iterator})
	}
	list := &listSet{series: in}
	b.ReportAllocs()
	var it chunkenc.Iterator
	for b.Loop() {
		list.calls = 0
		for set := dedup.NewSeriesSet(list, dedup.Penalty{}, dedup.Untyped); set.Next(); {
			it = set.At().Iterator(it)
			for it.Next() != chunkenc.ValNone {
				it.At()
			}
		}
	}
	reportSamples(b, 2*count*benchSamples)
}

func BenchmarkTracks(b *testing.B) {
	for _, bc := range []struct {
		name string
		step int64
	}{{"overlap", 50}, {"no overlap", 100}} {
		chunks := make([]span, 48)
		for i := range chunks {
			chunks[i] = span{int64(i) * bc.step, int64(i)*bc.step + 90}
		}
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dedup.Tracks(chunks, spanOf)
			}
			b.ReportMetric(float64(len(chunks))*float64(b.N)/b.Elapsed().Seconds(), "chunks/s")
		})
	}
}

// reportSamples adds the rate at which replicas' samples were taken in.
func reportSamples(b *testing.B, perOp int) {
	n := float64(perOp) * float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "samples/s")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/sample")
}

// xorReplica is a chunk of a counter scraped every 15 s with a few ms of jitter.
func xorReplica(tb testing.TB, offset int64) chunkenc.Chunk {
	tb.Helper()
	c := chunkenc.NewXORChunk()
	app, err := promcompat.NewAppender(c)
	if err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, uint64(offset)))
	v := 0.0
	for i := range int64(benchSamples) {
		v += float64(rng.IntN(200))
		app.Append(i*15_000+offset+rng.Int64N(5), v)
	}
	return c
}

// decodeOnly iterates all replicas one after the other.
type decodeOnly struct{}

func (decodeOnly) String() string { return "decode" }

func (decodeOnly) Merge(reuse chunkenc.Iterator, _ dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	for _, r := range replicas[1:] {
		reuse = r.Iterator(reuse)
		for reuse.Next() != chunkenc.ValNone {
			reuse.At()
		}
	}
	return replicas[0].Iterator(reuse)
}

type prometheusChain struct{}

func (prometheusChain) String() string { return "prometheus-chain" }

func (prometheusChain) Merge(reuse chunkenc.Iterator, _ dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	return storage.ChainSampleIteratorFromIterables(reuse, replicas)
}
