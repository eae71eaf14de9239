package compact_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/dedup"
)

// sampleList is a replica in memory.
type sampleList []blocktest.Sample

func (l sampleList) Iterator(chunkenc.Iterator) chunkenc.Iterator { return &sampleIter{l: l, i: -1} }

type sampleIter struct {
	l sampleList
	i int
}

func (it *sampleIter) Next() chunkenc.ValueType {
	if it.i++; it.i >= len(it.l) {
		it.i = len(it.l)
		return chunkenc.ValNone
	}
	return it.l[it.i].Type()
}

func (it *sampleIter) Seek(t int64) chunkenc.ValueType {
	it.i = max(it.i, 0)
	for it.i < len(it.l) && it.l[it.i].T < t {
		it.i++
	}
	if it.i >= len(it.l) {
		return chunkenc.ValNone
	}
	return it.l[it.i].Type()
}
func (it *sampleIter) At() (int64, float64) { return it.l[it.i].T, it.l[it.i].F }
func (it *sampleIter) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	if h == nil {
		h = &histogram.Histogram{}
	}
	it.l[it.i].H.CopyTo(h)
	return it.l[it.i].T, h
}

func (it *sampleIter) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	if h == nil {
		h = &histogram.FloatHistogram{}
	}
	if from := it.l[it.i].H; from != nil {
		return it.l[it.i].T, from.ToFloat(h)
	}
	it.l[it.i].FH.CopyTo(h)
	return it.l[it.i].T, h
}

func (it *sampleIter) AtT() int64  { return it.l[it.i].T }
func (it *sampleIter) AtST() int64 { return 0 }
func (it *sampleIter) Err() error  { return nil }

// merged is what an algorithm makes of the replicas of each series, over all of
// their range.
func merged(alg dedup.Algorithm, replicas ...map[string][]blocktest.Sample) map[string][]blocktest.Sample {
	out := map[string][]blocktest.Sample{}
	for _, r := range replicas {
		for lset := range r {
			if _, ok := out[lset]; ok {
				continue
			}
			var lists []chunkenc.Iterable
			for _, r := range replicas {
				if len(r[lset]) > 0 {
					lists = append(lists, sampleList(r[lset]))
				}
			}
			it := alg.Merge(nil, dedup.Untyped, lists...)
			for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
				s := blocktest.Sample{T: it.AtT()}
				switch vt {
				case chunkenc.ValHistogram:
					_, s.H = it.AtHistogram(nil)
				case chunkenc.ValFloatHistogram:
					_, s.FH = it.AtFloatHistogram(nil)
				default:
					_, s.F = it.At()
				}
				out[lset] = append(out[lset], s)
			}
		}
	}
	return out
}

// noHints forgets what chunks say about resets, which depends on where they begin.
func noHints(series map[string][]blocktest.Sample) map[string][]blocktest.Sample {
	for _, samples := range series {
		for i := range samples {
			if h := samples[i].H; h != nil && h.CounterResetHint != histogram.GaugeType {
				h.CounterResetHint = histogram.UnknownCounterReset
			}
			if h := samples[i].FH; h != nil && h.CounterResetHint != histogram.GaugeType {
				h.CounterResetHint = histogram.UnknownCounterReset
			}
		}
	}
	return series
}

// scrapes returns the series of one replica: what others scraped too, at its own
// times and with its own gaps.
func scrapes(seed uint64, rnd *rand.Rand, series int) []block.Series {
	return blocktest.Random(seed, &blocktest.RandomOptions{
		Series: series, Samples: 700, Start: jobStart + rnd.Int64N(15_000), Jitter: rnd.Int64N(3000), Gaps: rnd.Float64() / 4,
	})
}

// TestVerticalEqualsDedup: blocks of replicas, cut wherever each of them was, come
// out as the algorithm merges the replicas over their full range.
func TestVerticalEqualsDedup(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 3))
			var dirs []string
			var replicas []map[string][]blocktest.Sample
			for i := range 2 + seed%3 {
				series := scrapes(seed*10+i%2, rnd, 13+int(i)) // the last ones are not in all
				mine := cut(t, blocktest.Options{ExternalLabels: replicaLabels(string(rune('a' + i)))}, series,
					randomBounds(rnd, 1+rnd.IntN(4), jobStart, jobStart+4*hourMS)...)
				replicas = append(replicas, samplesOf(t, mine...))
				dirs = append(dirs, mine...)
			}
			rnd.Shuffle(len(dirs), func(i, j int) { dirs[i], dirs[j] = dirs[j], dirs[i] })
			for name, alg := range map[string]dedup.Algorithm{"follow": dedup.Follow{}, "chain": dedup.Chain{}, "penalty": dedup.Penalty{}} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					job := jobOf(t, dirs, block.Raw)
					job.Vertical = true
					ours := runOK(t, job, dirs, &compact.Options{Algorithm: alg, ReplicaLabels: []string{"replica"}})
					equalSamples(t, noHints(merged(alg, replicas...)), noHints(samplesOf(t, ours[0])))
				})
			}
		})
	}
}

// TestVerticalOrder: which replica an algorithm prefers is said by the external
// labels of blocks, not by the order in which they come, and by PreferReplicas.
func TestVerticalOrder(t *testing.T) {
	t.Parallel()
	series := func(v float64) block.Series {
		vs := make([]float64, 200)
		for i := range vs {
			vs[i] = v
		}
		return blocktest.Floats(labels.FromStrings("__name__", "up"), jobStart, 15_000, vs...)
	}
	var dirs []string
	for i, replica := range []string{"b", "a", "c"} {
		o := blocktest.Options{ExternalLabels: replicaLabels(replica)}
		dirs = append(dirs, cut(t, o, []block.Series{series(float64(i))}, jobStart, jobStart+hourMS)...)
	}
	for prefer, want := range map[string]float64{"": 1, "c": 2} {
		o := &compact.Options{Algorithm: dedup.Follow{}, ReplicaLabels: []string{"replica"}}
		if prefer != "" {
			o.PreferReplicas = []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "replica", prefer)}
		}
		for range 2 {
			slices.Reverse(dirs)
			for _, samples := range samplesOf(t, runOK(t, jobOf(t, dirs, block.Raw), dirs, o)...) {
				testutil.Equals(t, 200, len(samples))
				for _, s := range samples {
					testutil.Equals(t, want, s.F)
				}
			}
		}
	}
}

// TestOverlapOfOneReplica: blocks of the same replica that overlap, as those of
// samples that came late do, lose nothing, whatever the algorithm.
func TestOverlapOfOneReplica(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		whole := scrapes(seed, rnd, 12)
		inTime, late := make([]block.Series, len(whole)), make([]block.Series, len(whole))
		for i, s := range whole {
			samples, err := blocktest.Samples(s.Chunks...)
			testutil.Ok(t, err)
			parts := [2][]blocktest.Sample{samples[:1:1], samples[1:2:2]}
			for _, s := range samples[2:] {
				n := 0
				if rnd.IntN(4) == 0 {
					n = 1
				}
				parts[n] = append(parts[n], s)
			}
			inTime[i], late[i] = blocktest.Series(s.Labels, parts[0]...), blocktest.Series(s.Labels, parts[1]...)
		}
		opts := blocktest.Options{ExternalLabels: replicaLabels("a")}
		dirs := cut(t, opts, inTime, randomBounds(rnd, 3, jobStart, jobStart+4*hourMS)...)
		dirs = append(dirs, cut(t, opts, late, jobStart, jobStart+4*hourMS)...)
		want := noHints(samplesOf(t, blocktest.Build(t, t.TempDir(), nil, whole...)))
		for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}, dedup.Penalty{}} {
			ours := runOK(t, jobOf(t, dirs, block.Raw), dirs, &compact.Options{Algorithm: alg, ReplicaLabels: []string{"replica"}})
			equalSamples(t, want, noHints(samplesOf(t, ours[0])))
		}
	}
}

// TestIdenticalReplicas: replicas that are the same come out as one of them does,
// chunks and all.
func TestIdenticalReplicas(t *testing.T) {
	t.Parallel()
	series := blocktest.Random(8, &blocktest.RandomOptions{Start: jobStart})
	one := cut(t, blocktest.Options{ExternalLabels: replicaLabels("a")}, series, jobStart, jobStart+hourMS, jobStart+2*hourMS)
	two := cut(t, blocktest.Options{ExternalLabels: replicaLabels("b")}, series, jobStart, jobStart+hourMS, jobStart+2*hourMS)
	for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}} {
		o := &compact.Options{Algorithm: alg, ReplicaLabels: []string{"replica"}}
		want := runOK(t, jobOf(t, one, block.Raw), one, o)
		both := slices.Concat(one, two)
		sameFiles(t, want[0], runOK(t, jobOf(t, both, block.Raw), both, o)[0])
	}
}
