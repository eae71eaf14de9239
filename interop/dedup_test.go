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

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
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
// and with random steps in between, and prints what was in them.
func TestDedupRandom(t *testing.T) {
	seen := dedupCoverage{}
	for seed := range uint64(4000) {
		checkDedup(t, seed, seen)
		if t.Failed() {
			return
		}
	}
	t.Logf("%v", seen)
	for _, what := range dedupFeatures {
		if seen[what] < 50 {
			t.Errorf("%s: only %d", what, seen[what])
		}
	}
}

// FuzzDedup goes on where TestDedupRandom ends.
func FuzzDedup(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkDedup(t, seed, dedupCoverage{}) })
}

// dedupCoverage counts what there was in random cases.
type dedupCoverage map[string]int

// dedupFeatures are what random cases must have had for a comparison to mean
// something.
var dedupFeatures = []string{
	"2 replicas", "3 replicas", "4 replicas", "5 replicas", "a replica without samples",
	"floats", "histograms", "float histograms", "custom buckets", "gauge histograms", "reset hints", "floats and histograms in one replica",
	"stale markers", "counters that fall", "times at most 5 ms apart", "equal times of different samples", "gaps",
	"seeks ahead", "seeks back", "seeks to a sample", "seeks past the end", "results of more than one replica", "counters that were raised",
}

// see counts what is in replicas and steps.
func (c dedupCoverage) see(replicas []deduptest.Replica, steps []deduptest.Step) {
	at := map[int64]deduptest.Sample{}
	var all []int64
	has := map[string]bool{fmt.Sprintf("%d replicas", len(replicas)): true}
	for _, r := range replicas {
		has["a replica without samples"] = has["a replica without samples"] || len(r) == 0
		kinds := map[bool]bool{}
		for i, s := range r {
			kinds[s.Type == chunkenc.ValFloat] = true
			c.sample(has, s)
			if i > 0 {
				before := r[i-1]
				has["counters that fall"] = has["counters that fall"] || s.Type == chunkenc.ValFloat && before.Type == s.Type && s.V < before.V
				has["gaps"] = has["gaps"] || i > 1 && s.T-before.T > 4*(before.T-r[i-2].T)
			}
			if o, ok := at[s.T]; ok && !o.Equal(s) {
				has["equal times of different samples"] = true
			}
			at[s.T], all = s, append(all, s.T)
		}
		has["floats and histograms in one replica"] = has["floats and histograms in one replica"] || len(kinds) == 2
	}
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		d := all[i] - all[i-1]
		has["times at most 5 ms apart"] = has["times at most 5 ms apart"] || d > 0 && d <= 5
	}
	to := int64(math.MinInt64)
	for _, s := range steps {
		if !s.Seek || len(all) == 0 {
			continue
		}
		_, exact := at[s.To]
		has["seeks to a sample"] = has["seeks to a sample"] || exact
		has["seeks past the end"] = has["seeks past the end"] || s.To > all[len(all)-1]
		has["seeks ahead"] = has["seeks ahead"] || s.To > to
		has["seeks back"] = has["seeks back"] || s.To < to
		to = s.To
	}
	for what, is := range has {
		if is {
			c[what]++
		}
	}
}

// sample notes what kind of sample there is.
func (dedupCoverage) sample(has map[string]bool, s deduptest.Sample) {
	switch s.Type {
	case chunkenc.ValFloat:
		has["floats"] = true
		has["stale markers"] = has["stale markers"] || value.IsStaleNaN(s.V)
		return
	case chunkenc.ValHistogram:
		has["histograms"] = true
	default:
		has["float histograms"] = true
	}
	has["custom buckets"] = has["custom buckets"] || s.Custom
	has["gauge histograms"] = has["gauge histograms"] || s.Hint == histogram.GaugeType
	has["reset hints"] = has["reset hints"] || s.Hint == histogram.CounterReset
}

// checkDedup compares on the replicas of one seed.
func checkDedup(t *testing.T, seed uint64, seen dedupCoverage) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	replicas := deduptest.Random(rng)
	steps := deduptest.RandomSteps(rng, replicas)
	seen.see(replicas, steps)
	var untyped []deduptest.Sample
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
				switch {
				case name != "penalty" || steps != nil:
				case values == dedup.Untyped:
					untyped = want.Samples
					if !slices.ContainsFunc(replicas, func(r deduptest.Replica) bool { return deduptest.Differ(r, untyped) < 0 }) {
						seen["results of more than one replica"]++
					}
				case deduptest.Differ(untyped, want.Samples) >= 0:
					seen["counters that were raised"]++
				}
			}
		}
	}
}

// TestDedupChainedSeriesMerge compares Chain with Prometheus' own merge of series,
// which is what Thanos chains by, on the same replicas: with the iterators of a
// query before, and histograms read into memory that was used before.
func TestDedupChainedSeriesMerge(t *testing.T) {
	var reuse, ours chunkenc.Iterator
	var h, ourH *histogram.Histogram
	var fh, ourFH *histogram.FloatHistogram
	seen := dedupCoverage{}
	for seed := range uint64(4000) {
		rng := rand.New(rand.NewPCG(seed, 7))
		replicas := deduptest.Random(rng)
		seen.see(replicas, nil)
		series := make([]storage.Series, len(replicas))
		for i, r := range replicas {
			series[i] = &storage.SeriesEntry{Lset: labels.FromStrings("a", "1"), SampleIteratorFn: r.Iterator}
		}
		reuse = storage.ChainedSeriesMerge(series...).Iterator(reuse)
		ours = dedup.Chain{}.Merge(ours, dedup.Untyped, deduptest.Iterables(replicas)...)
		for n := 0; ; n++ {
			want, got := reuse.Next(), ours.Next()
			if want != got {
				t.Fatalf("seed %d: sample %d is a %s, want %s", seed, n, got, want)
			}
			if want == chunkenc.ValNone {
				break
			}
			same := reuse.AtT() == ours.AtT()
			switch want {
			case chunkenc.ValFloat:
				_, v := reuse.At()
				_, ourV := ours.At()
				same = same && math.Float64bits(v) == math.Float64bits(ourV)
			case chunkenc.ValHistogram:
				_, h = reuse.AtHistogram(h)
				_, ourH = ours.AtHistogram(ourH)
				same = same && h.Equals(ourH) && h.CounterResetHint == ourH.CounterResetHint
			default:
				_, fh = reuse.AtFloatHistogram(fh)
				_, ourFH = ours.AtFloatHistogram(ourFH)
				same = same && fh.Equals(ourFH) && fh.CounterResetHint == ourFH.CounterResetHint
			}
			if !same {
				t.Fatalf("seed %d: sample %d at %d differs", seed, n, ours.AtT())
			}
		}
	}
	t.Logf("%v", seen)
	for _, what := range []string{"histograms", "float histograms", "custom buckets", "gauge histograms", "reset hints", "equal times of different samples"} {
		if seen[what] < 50 {
			t.Errorf("%s: only %d", what, seen[what])
		}
	}
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
