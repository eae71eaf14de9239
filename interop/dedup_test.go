package interop

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	thanosdedup "github.com/thanos-io/thanos/pkg/dedup"
	"github.com/thanos-io/thanos/pkg/store/storepb"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
	"github.com/thanoskit/thanoskit/internal/xor"
)

var recordDedup = flag.Bool("dedup.record", false, "write what Thanos makes of random replicas to "+dedupRecord)

const (
	dedupTestdata = "../dedup/testdata"
	dedupRecord   = dedupTestdata + "/thanos-v0.42.4.timeline"
)

// TestDedupTimelines shows that every result which the timelines of package
// dedup want is what Thanos gives.
func TestDedupTimelines(t *testing.T) {
	if *recordDedup {
		recordDedupTimelines(t)
	}
	files, err := filepath.Glob(dedupTestdata + "/*.timeline")
	if err != nil || !slices.Contains(files, dedupRecord) {
		t.Fatalf("list timelines: %v, %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		timelines, err := deduptest.Parse(strings.NewReader(string(text)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, tl := range timelines {
			for _, want := range tl.Wants {
				if want.Algorithm == "follow" {
					continue // Ours alone.
				}
				if err := want.Check(thanosAlgorithm(want.Algorithm), tl.Replicas); err != nil {
					t.Errorf("%s: %s: %s of %s values, steps %v: %v", name, tl.Name, want.Algorithm, want.Values, want.Steps, err)
				}
			}
		}
	}
}

// recordDedupTimelines writes small random timelines with what Thanos makes of
// them, for tests that cannot link Thanos.
func recordDedupTimelines(t *testing.T) {
	var out strings.Builder
	out.WriteString("# What Thanos v0.42.4, pkg/dedup, makes of random replicas. Written by\n" +
		"# go test -tags slicelabels -run DedupTimelines . -dedup.record\n# in the interop module.\n")
	rng := rand.New(rand.NewPCG(42, 4))
	for n := 0; n < 80; {
		tl := deduptest.Timeline{Name: fmt.Sprint("random ", n), Replicas: deduptest.Random(rng)}
		size := 0
		for _, r := range tl.Replicas {
			size += len(r)
		}
		if size > 24 {
			continue
		}
		n++
		steps := deduptest.RandomSteps(rng, tl.Replicas)
		for _, w := range []deduptest.Want{
			{Algorithm: "penalty"},
			{Algorithm: "penalty", Values: dedup.Counters},
			{Algorithm: "penalty", Values: dedup.Counters, Steps: steps},
			{Algorithm: "chain"},
		} {
			var err error
			it := thanosAlgorithm(w.Algorithm).Merge(nil, w.Values, deduptest.Iterables(tl.Replicas)...)
			if w.Samples, err = deduptest.Walk(it, w.Steps...); err != nil {
				t.Fatal(err)
			}
			tl.Wants = append(tl.Wants, w)
		}
		out.WriteString("\n" + tl.String())
	}
	if err := os.WriteFile(dedupRecord, []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDedupRandom compares with Thanos on many random replicas, walked to the end
// and with random steps in between.
func TestDedupRandom(t *testing.T) {
	switches := 0
	for seed := range uint64(4000) {
		switches += checkDedup(t, seed)
		if t.Failed() {
			return
		}
	}
	if switches == 0 {
		t.Error("no result used more than one replica")
	}
}

// FuzzDedup goes on where TestDedupRandom ends.
func FuzzDedup(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkDedup(t, seed) })
}

// checkDedup compares on the replicas of one seed. It returns 1 if the result is
// not simply one of them.
func checkDedup(t *testing.T, seed uint64) (mixed int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	replicas := deduptest.Random(rng)
	steps := deduptest.RandomSteps(rng, replicas)
	for _, name := range []string{"penalty", "chain"} {
		alg, err := dedup.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, values := range []dedup.Values{dedup.Untyped, dedup.Counters} {
			for _, steps := range [][]deduptest.Step{nil, steps} {
				want := deduptest.Want{Algorithm: name, Values: values, Steps: steps}
				want.Samples, err = deduptest.Walk(thanosAlgorithm(name).Merge(nil, values, deduptest.Iterables(replicas)...), steps...)
				if err != nil {
					t.Fatal(err)
				}
				if err := want.Check(alg, replicas); err != nil {
					t.Errorf("seed %d: %v\n%s", seed, err, deduptest.Timeline{Replicas: replicas, Wants: []deduptest.Want{want}})
				}
				if steps == nil && !slices.ContainsFunc(replicas, func(r deduptest.Replica) bool { return deduptest.Differ(r, want.Samples) < 0 }) {
					mixed = 1
				}
			}
		}
	}
	return mixed
}

// thanosAlgorithm is an algorithm of Thanos in the shape of ours.
type thanosAlgorithm string

func (a thanosAlgorithm) Merge(reuse chunkenc.Iterator, values dedup.Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	set := thanosdedup.NewSeriesSet(newReplicaSet(replicas), thanosFunction(values), string(a))
	if !set.Next() {
		return chunkenc.NewNopIterator()
	}
	return set.At().Iterator(reuse)
}

// thanosFunction is the name by which Thanos knows, or not, that it has counters.
func thanosFunction(values dedup.Values) string {
	if values == dedup.Counters {
		return "rate"
	}
	return ""
}

// replicaSet is a series set of replicas with equal labels.
type replicaSet struct {
	replicas []chunkenc.Iterable
	i        int
}

func newReplicaSet(replicas []chunkenc.Iterable) storage.SeriesSet {
	return &replicaSet{replicas: replicas, i: -1}
}

func (s *replicaSet) Next() bool { s.i++; return s.i < len(s.replicas) }
func (s *replicaSet) At() storage.Series {
	return &storage.SeriesEntry{Lset: labels.FromStrings("a", "1"), SampleIteratorFn: s.replicas[s.i].Iterator}
}
func (s *replicaSet) Err() error                        { return nil }
func (s *replicaSet) Warnings() annotations.Annotations { return nil }

// TestDedupTracks compares with Thanos' split of overlapping chunks.
func TestDedupTracks(t *testing.T) {
	span := func(c *storepb.AggrChunk) (int64, int64) { return c.MinTime, c.MaxTime }
	for seed := range uint64(5000) {
		rng := rand.New(rand.NewPCG(seed, 0))
		chunks := make([]storepb.AggrChunk, 1+rng.IntN(30))
		var at int64
		for i := range chunks {
			at += rng.Int64N(4)
			chunks[i] = storepb.AggrChunk{MinTime: at, MaxTime: at + rng.Int64N(8), Raw: &storepb.Chunk{}}
		}
		split := thanosdedup.NewOverlapSplit(&chunkSet{chunks: chunks})
		var want [][]storepb.AggrChunk
		for split.Next() {
			_, track := split.At()
			want = append(want, slices.Clone(track))
		}
		got := dedup.Tracks(chunks, span)
		if !slices.EqualFunc(want, got, func(a, b []storepb.AggrChunk) bool {
			return slices.EqualFunc(a, b, func(a, b storepb.AggrChunk) bool { return a.Raw == b.Raw })
		}) {
			t.Fatalf("seed %d: want %v, got %v", seed, want, got)
		}
	}
}

// chunkSet is a storepb.SeriesSet of one series.
type chunkSet struct {
	chunks []storepb.AggrChunk
	done   bool
}

func (s *chunkSet) Next() bool { next := !s.done; s.done = true; return next }
func (s *chunkSet) At() (labels.Labels, []storepb.AggrChunk) {
	return labels.FromStrings("a", "1"), s.chunks
}
func (s *chunkSet) Err() error { return nil }

// BenchmarkDedup measures Thanos and ours in turn, each from the bytes of one XOR
// chunk for each replica, and reports Thanos' time divided by ours. Ours reads
// them sample by sample as Thanos does (chunk), or decodes a chunk at once as
// package query does (run).
func BenchmarkDedup(b *testing.B) {
	const samples = 1440
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
			c := xorReplica(b, samples, offset)
			chunks, runs = append(chunks, c), append(runs, decodedReplica(c.Bytes()))
		}
		for _, name := range []string{"penalty", "chain"} {
			alg, err := dedup.Parse(name)
			if err != nil {
				b.Fatal(err)
			}
			for _, values := range []dedup.Values{dedup.Untyped, dedup.Counters} {
				if name == "chain" && values == dedup.Counters {
					continue
				}
				theirs := dedupSide{thanosAlgorithm(name), values, chunks}
				name := fmt.Sprintf("%s/%s/%s", bc.name, name, values)
				b.Run(name+"/chunk", func(b *testing.B) { benchmarkDedup(b, theirs, dedupSide{alg, values, chunks}, samples) })
				b.Run(name+"/run", func(b *testing.B) { benchmarkDedup(b, theirs, dedupSide{alg, values, runs}, samples) })
			}
		}
	}
}

// dedupSide is one side of a comparison.
type dedupSide struct {
	alg      dedup.Algorithm
	values   dedup.Values
	replicas []chunkenc.Iterable
}

// merge reads all samples, in the memory of reuse.
func (s dedupSide) merge(reuse chunkenc.Iterator) chunkenc.Iterator {
	it := s.alg.Merge(reuse, s.values, s.replicas...)
	for it.Next() != chunkenc.ValNone {
		it.At()
	}
	return it
}

func benchmarkDedup(b *testing.B, theirs, ours dedupSide, samples int) {
	sides := [2]dedupSide{theirs, ours}
	var results [2][]deduptest.Sample
	var its [2]chunkenc.Iterator
	var allocs [2]float64
	for i, s := range sides {
		var err error
		if results[i], err = deduptest.Walk(s.alg.Merge(nil, s.values, s.replicas...)); err != nil {
			b.Fatal(err)
		}
		allocs[i] = testing.AllocsPerRun(5, func() { its[i] = s.merge(its[i]) })
	}
	if i := deduptest.Differ(results[0], results[1]); i >= 0 {
		b.Fatalf("results differ from sample %d on", i)
	}

	var ratios []float64
	best := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		var took [2]time.Duration
		for i, s := range sides {
			start := time.Now()
			its[i] = s.merge(its[i])
			took[i] = time.Since(start)
			best[i] = min(best[i], took[i])
		}
		ratios = append(ratios, float64(took[0])/float64(took[1]))
	}
	slices.Sort(ratios)
	perSample := 1 / float64(samples*len(ours.replicas))
	b.ReportMetric(ratios[len(ratios)/2], "ratio-median")
	b.ReportMetric(ratios[len(ratios)/4], "ratio-q1")
	b.ReportMetric(float64(best[0])*perSample, "thanos-ns/sample")
	b.ReportMetric(float64(best[1])*perSample, "ours-ns/sample")
	b.ReportMetric(allocs[0], "thanos-allocs")
	b.ReportMetric(allocs[1], "ours-allocs")
	b.ReportMetric(0, "ns/op") // Of both sides together, which says nothing.
}

// decodedReplica is an XOR chunk that is decoded all at once.
type decodedReplica []byte

func (d decodedReplica) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	it, ok := reuse.(*decodedReplicaIterator)
	if !ok {
		it = &decodedReplicaIterator{Iterator: chunkenc.NewNopIterator()}
	}
	it.i = -1
	it.ts, it.vs, it.err = xor.Decode(d, math.MaxInt64, it.ts[:0], it.vs[:0])
	return it
}

type decodedReplicaIterator struct {
	chunkenc.Iterator
	ts  []int64
	vs  []float64
	i   int
	err error
}

func (it *decodedReplicaIterator) Next() chunkenc.ValueType {
	if it.i+1 >= len(it.ts) {
		return chunkenc.ValNone
	}
	it.i++
	return chunkenc.ValFloat
}

func (it *decodedReplicaIterator) Seek(t int64) chunkenc.ValueType {
	for it.i < 0 || it.ts[it.i] < t {
		if it.Next() == chunkenc.ValNone {
			return chunkenc.ValNone
		}
	}
	return chunkenc.ValFloat
}

func (it *decodedReplicaIterator) At() (int64, float64) { return it.ts[it.i], it.vs[it.i] }
func (it *decodedReplicaIterator) AtT() int64           { return it.ts[it.i] }
func (it *decodedReplicaIterator) Err() error           { return it.err }

func (it *decodedReplicaIterator) FloatRun() ([]int64, []float64) {
	from := it.i
	it.i = len(it.ts) - 1
	return it.ts[from:], it.vs[from:]
}

// xorReplica is a chunk of a counter scraped every 15 s with a few ms of jitter.
func xorReplica(tb testing.TB, samples int, offset int64) chunkenc.Chunk {
	tb.Helper()
	c := chunkenc.NewXORChunk()
	app, err := c.Appender()
	if err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, uint64(offset)))
	v := 0.0
	for i := range int64(samples) {
		v += float64(rng.IntN(200))
		app.Append(i*15_000+offset+rng.Int64N(5), v)
	}
	return c
}
