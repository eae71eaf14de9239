package dedup_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

// windowSet is what a reader has of chunks of aggregates, by aligned window.
type windowSet struct {
	units []int64 // ascending, the start of each
	// text is all there is of one but counters of floats, whose values depend on where
	// a chunk begins. rise is by how much a counter has risen up to its end.
	text  map[int64]string
	total map[int64]float64
	// counts and observes are whether there is a counter of floats, of histograms.
	counts, observes bool
	odd              int // counters that have not as many samples as windows
}

// read reads chunks and checks the format.
func read(tb testing.TB, resolution int64, chunks []dedup.Chunk) *windowSet {
	tb.Helper()
	out := &windowSet{text: map[int64]string{}, total: map[int64]float64{}}
	unit := func(t int64) int64 { return t - (t%resolution+resolution)%resolution }
	say := func(t int64, format string, args ...any) {
		u := unit(t)
		if _, ok := out.text[u]; !ok {
			out.units = append(out.units, u)
		}
		out.text[u] += fmt.Sprintf(format, args...) + "\n"
	}
	var counter aggr.Counter
	var prev *histogram.FloatHistogram
	rise := 0.0
	for i, c := range chunks {
		testutil.Assert(tb, c.Encoding == aggr.Encoding && (i == 0 || chunks[i-1].MaxTime < c.MinTime), "%v", c)
		parts, err := aggr.Parse(c.Data)
		testutil.Ok(tb, err)
		count := samplesOf(tb, parts[aggr.Count])
		testutil.Assert(tb, count[0].T == c.MinTime && count[len(count)-1].T == c.MaxTime)
		for kind := range aggr.CounterKind {
			p := parts[kind]
			if p.Encoding == chunkenc.EncNone {
				continue
			}
			samples := samplesOf(tb, p)
			testutil.Equals(tb, len(count), len(samples))
			for i, s := range samples {
				testutil.Equals(tb, count[i].T, s.T)
				say(s.T, "%s %d %v %v", kind, s.T, math.Float64bits(s.F), s.FH)
			}
		}
		p := parts[aggr.CounterKind]
		if p.Encoding == chunkenc.EncNone {
			continue
		}
		samples := samplesOf(tb, p)
		if p.Encoding != chunkenc.EncXOR {
			out.observes = true
			if len(samples) != len(count) {
				out.odd++
			}
			for _, s := range samples {
				say(s.T, "counter %d %v", s.T, s.FH)
				if prev != nil && s.FH.CounterResetHint != histogram.GaugeType {
					if s.FH.DetectReset(prev) {
						rise += s.FH.Count
					} else {
						rise += s.FH.Count - prev.Count
					}
				}
				prev = s.FH
				out.total[unit(s.T)] = rise
			}
			continue
		}
		out.counts = true
		n := len(samples)
		if n != len(count)+2 {
			out.odd++
		}
		testutil.Assert(tb, n > 2 && samples[n-1].T == samples[n-2].T && samples[n-1].T <= c.MaxTime, "counter %v", samples)
		ts, vs := make([]int64, n), make([]float64, n)
		for i, s := range samples {
			ts[i], vs[i] = s.T, s.F
			testutil.Assert(tb, i == 0 || samples[i-1].T <= s.T, "counter %v", samples)
		}
		n = counter.Floats(ts, vs)
		for i := range n {
			out.total[unit(ts[i])] = vs[i]
		}
	}
	testutil.Assert(tb, slices.IsSorted(out.units), "windows %d", out.units)
	return out
}

// samplesOf returns the samples of an aggregate.
func samplesOf(tb testing.TB, p aggr.Sub) (out []blocktest.Sample) {
	tb.Helper()
	chunk, err := chunkenc.FromData(p.Encoding, p.Data)
	testutil.Ok(tb, err)
	it := chunk.Iterator(nil)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		s := blocktest.Sample{}
		if vt == chunkenc.ValFloat {
			s.T, s.F = it.At()
		} else {
			s.T, s.FH = it.AtFloatHistogram(nil)
		}
		out = append(out, s)
	}
	testutil.Ok(tb, it.Err())
	return out
}

// scraped makes replicas of one series: what each scraped of it at its own times,
// cut into blocks each at its own, downsampled block by block. truth is all that there
// was to scrape.
func scraped(tb testing.TB, rng *rand.Rand, kind blocktest.Kind, to block.Resolution) (truth []blocktest.Sample, out [][]dedup.Chunk) {
	tb.Helper()
	series := blocktest.Random(rng.Uint64(), &blocktest.RandomOptions{
		Series: 1, Samples: 1000 + rng.IntN(4000), Kinds: []blocktest.Kind{kind}, Step: 15_000,
		Start: []int64{1_700_000_400_000, -7_200_000}[rng.IntN(2)],
	})
	truth, err := blocktest.Samples(series[0].Chunks...)
	testutil.Ok(tb, err)
	out = make([][]dedup.Chunk, 2+rng.IntN(3))
	var d downsample.Downsampler
	for r := range out {
		every, phase := 1+rng.IntN(4), rng.IntN(4)
		var samples []blocktest.Sample
		up := true
		for i, s := range truth {
			if rng.IntN(150) == 0 {
				up = !up
			}
			if up && i%every == phase%every {
				samples = append(samples, s)
			}
		}
		if r > 0 && rng.IntN(3) == 0 { // a copy, at least for a while
			out[r] = slices.Clone(out[r-1][rng.IntN(len(out[r-1])+1):])
			continue
		}
		for len(samples) > 0 {
			n := min(len(samples), 1+rng.IntN(2000))
			for n < len(samples) && samples[n-1].T/7_200_000 == samples[n].T/7_200_000 {
				n++
			}
			chunks := blocktest.Series(labels.EmptyLabels(), samples[:n]...).Chunks
			samples = samples[n:]
			chunks, err := d.Append(nil, block.Raw, block.FiveMinutes, chunks)
			testutil.Ok(tb, err)
			if to == block.OneHour {
				chunks, err = d.Append(nil, block.FiveMinutes, block.OneHour, chunks)
				testutil.Ok(tb, err)
			}
			for _, c := range chunks {
				out[r] = append(out[r], dedup.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Encoding, Data: c.Data, Ref: uint64(1000*r + len(out[r]) + 1)})
			}
		}
	}
	return truth, out
}

// grown is by how much a counter rose from one time to another.
func grown(truth []blocktest.Sample, from, to int64) (sum float64) {
	for i, s := range truth {
		if i == 0 || s.T < from || s.T >= to {
			continue
		}
		if was := truth[i-1].F; s.F >= was {
			sum += s.F - was
		} else {
			sum += s.F
		}
	}
	return sum
}

// choices returns of which replica an algorithm takes each window.
func choices(tb testing.TB, alg dedup.Algorithm, resolution int64, replicas []*windowSet) (units []int64, of map[int64]int) {
	tb.Helper()
	of = map[int64]int{}
	if _, chain := alg.(dedup.Chain); chain {
		for r, replica := range replicas {
			for _, u := range replica.units {
				if _, ok := of[u]; !ok {
					of[u] = r
					units = append(units, u)
				}
			}
		}
		slices.Sort(units)
		return units, of
	}
	const quiet = 0x7ff8 << 48
	var lists []chunkenc.Iterable
	for r, replica := range replicas {
		var list deduptest.Replica
		for _, u := range replica.units {
			list = append(list, deduptest.Sample{T: u / resolution * 60_000, Type: chunkenc.ValFloat, V: math.Float64frombits(quiet | uint64(r))})
		}
		if len(list) > 0 {
			lists = append(lists, list)
		}
	}
	it := alg.Merge(nil, dedup.Untyped, lists...)
	for it.Next() != chunkenc.ValNone {
		t, v := it.At()
		u := t / 60_000 * resolution
		units = append(units, u)
		of[u] = int(math.Float64bits(v) &^ quiet)
	}
	testutil.Ok(tb, it.Err())
	return units, of
}

// TestMergeDownsampled: of what package downsample makes of replicas of any kind, all
// aggregates of a window are those of the replica that the algorithm chooses, and a
// counter rises by as much as that replica's does.
func TestMergeDownsampled(t *testing.T) {
	t.Parallel()
	for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}, dedup.Penalty{}} {
		t.Run(fmt.Sprint(alg), func(t *testing.T) {
			t.Parallel()
			var odd, rises, changes, encoded, passed int
			for seed := range uint64(60 / raceDivisor) {
				rng := rand.New(rand.NewPCG(seed, 5))
				kind := blocktest.Kinds()[seed%uint64(len(blocktest.Kinds()))]
				to := []block.Resolution{block.FiveMinutes, block.OneHour}[rng.IntN(2)]
				truth, chunks := scraped(t, rng, kind, to)
				chunks = slices.DeleteFunc(chunks, func(c []dedup.Chunk) bool { return len(c) == 0 })
				var replicas []*windowSet
				for _, c := range chunks {
					replicas = append(replicas, read(t, int64(to), c))
					odd += replicas[len(replicas)-1].odd
				}
				m := dedup.ChunkMerger{Algorithm: alg, Resolution: time.Duration(to) * time.Millisecond}
				merged, err := m.Merge(nil, chunks...)
				if err != nil {
					t.Fatalf("seed %d, %s of %s: %v", seed, to, kind, err)
				}
				for _, c := range merged {
					if c.Ref == 0 {
						encoded++
					} else {
						passed++
					}
				}
				got := read(t, int64(to), merged)
				units, of := choices(t, alg, int64(to), replicas)
				testutil.Equals(t, units, got.units, "seed %d, %s of %s", seed, to, kind)
				for i, u := range units {
					chosen := replicas[of[u]]
					testutil.Equals(t, chosen.text[u], got.text[u], "seed %d, %s of %s at %d", seed, to, kind, u)
					if i == 0 || kind == blocktest.Gauge || kind == blocktest.Stale {
						continue
					}
					before := units[i-1]
					want, was := chosen.total[u], chosen.total[before]
					if _, ok := chosen.total[before]; !ok || got.counts && got.observes {
						continue
					}
					rise := got.total[u] - got.total[before]
					if of[u] == of[before] {
						rises++
						testutil.Assert(t, math.Abs(rise-(want-was)) < 1e-6, "seed %d, %s of %s at %d: rises by %v, in the replica by %v", seed, to, kind, u, rise, want-was)
						continue
					}
					changes++
					if got.counts { // the replica may have missed a reset
						most := grown(truth, before, u+int64(to))
						testutil.Assert(t, rise >= want-was-1e-6 && rise <= most+1e-6, "seed %d, %s of %s at %d: rises by %v, in the replica by %v", seed, to, kind, u, rise, want-was)
					}
				}
			}
			t.Logf("%d odd counters, %d rises, %d changes of replica, %d chunks as they were, %d anew", odd, rises, changes, passed, encoded)
			testutil.Assert(t, odd > 100/raceDivisor && rises > 1000/raceDivisor && changes > 50/raceDivisor && passed > 100/raceDivisor && encoded > 100/raceDivisor)
		})
	}
}
