package dedup_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// benchSamples is six hours of a 15 s scrape.
const benchSamples = 1440

// BenchmarkMerge merges replicas of one XOR chunk each, that chunkenc decodes
// sample by sample (chunk), or internal/xor all at once (run). Next to the
// algorithms stand what no merge can go below, decoding the replicas, and
// Prometheus' own chaining iterator.
func BenchmarkMerge(b *testing.B) {
	for _, bc := range []struct {
		name    string
		offsets []int64
	}{
		{"identical", []int64{0, 0}},
		{"offset", []int64{0, 7000}},
		{"three", []int64{0, 5000, 10_000}},
	} {
		var chunks, runs []chunkenc.Iterable
		for _, offset := range bc.offsets {
			c := xorReplica(b, offset)
			chunks, runs = append(chunks, c), append(runs, decoded(c.Bytes()))
		}
		for _, alg := range []dedup.Algorithm{decodeOnly{}, dedup.Follow{}, dedup.Penalty{}, dedup.Chain{}, prometheusChain{}} {
			for _, values := range []dedup.Values{dedup.Untyped, dedup.Counters} {
				if _, ok := alg.(dedup.Penalty); !ok && values == dedup.Counters {
					continue
				}
				name := fmt.Sprintf("%s/%s/%s", bc.name, alg, values)
				b.Run(name+"/chunk", func(b *testing.B) { benchmarkMerge(b, alg, values, chunks) })
				b.Run(name+"/run", func(b *testing.B) { benchmarkMerge(b, alg, values, runs) })
			}
		}
	}
}

func benchmarkMerge(b *testing.B, alg dedup.Algorithm, values dedup.Values, replicas []chunkenc.Iterable) {
	b.ReportAllocs()
	var it chunkenc.Iterator
	for b.Loop() {
		it = alg.Merge(it, values, replicas...)
		for it.Next() != chunkenc.ValNone {
			it.At()
		}
	}
	reportSamples(b, benchSamples*len(replicas))
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

// decoded is an XOR chunk that is decoded all at once.
type decoded []byte

func (d decoded) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	it, ok := reuse.(*decodedIterator)
	if !ok {
		it = &decodedIterator{Iterator: chunkenc.NewNopIterator()}
	}
	it.i = -1
	it.ts, it.vs, it.err = xor.Decode(d, math.MaxInt64, it.ts[:0], it.vs[:0])
	return it
}

type decodedIterator struct {
	chunkenc.Iterator
	ts  []int64
	vs  []float64
	i   int
	err error
}

func (it *decodedIterator) Next() chunkenc.ValueType {
	if it.i+1 >= len(it.ts) {
		return chunkenc.ValNone
	}
	it.i++
	return chunkenc.ValFloat
}

func (it *decodedIterator) Seek(t int64) chunkenc.ValueType {
	for it.i < 0 || it.ts[it.i] < t {
		if it.Next() == chunkenc.ValNone {
			return chunkenc.ValNone
		}
	}
	return chunkenc.ValFloat
}

func (it *decodedIterator) At() (int64, float64) { return it.ts[it.i], it.vs[it.i] }
func (it *decodedIterator) AtT() int64           { return it.ts[it.i] }
func (it *decodedIterator) Err() error           { return it.err }

func (it *decodedIterator) FloatRun() ([]int64, []float64) {
	from := it.i
	it.i = len(it.ts) - 1
	return it.ts[from:], it.vs[from:]
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
