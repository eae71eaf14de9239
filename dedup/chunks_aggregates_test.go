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
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/internal/aggr"
)

const fiveMinutes = int64(300_000)

// raw is what a replica scraped of a counter of floats or of histograms.
type raw []blocktest.Sample

// downsampled makes 5m chunks of raw samples.
func downsampled(tb testing.TB, samples raw) []dedup.Chunk {
	tb.Helper()
	if len(samples) == 0 {
		return nil
	}
	e := block.ChunkEncoder{}
	for _, s := range samples {
		var err error
		switch {
		case s.H != nil:
			err = e.Histogram(s.T, s.H.Copy())
		case s.FH != nil:
			err = e.FloatHistogram(s.T, s.FH.Copy())
		default:
			err = e.Float(s.T, s.F)
		}
		testutil.Ok(tb, err)
	}
	var out []dedup.Chunk
	for _, c := range blocktest.Downsample(block.Resolution(fiveMinutes), block.Series{Chunks: e.Chunks()})[0].Chunks {
		out = append(out, dedup.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Encoding, Data: c.Data})
	}
	return out
}

// windowText is a window of downsampled data; counter excepted, whose values depend
// on where a chunk begins.
type windowText struct {
	t    int64
	text string
}

// windowsOf returns the windows of chunks, and at which the counter of floats is how
// much above its first value, as readers add it up. It checks the format.
func windowsOf(tb testing.TB, chunks []dedup.Chunk) (windows []windowText, rises map[int64]float64, err error) {
	tb.Helper()
	rises = map[int64]float64{}
	var counter aggr.Counter
	first, last := math.NaN(), int64(math.MinInt64)
	for _, c := range chunks {
		if c.Encoding != aggr.Encoding || c.MinTime <= last {
			return nil, nil, fmt.Errorf("chunk [%d, %d] of encoding %d after %d", c.MinTime, c.MaxTime, c.Encoding, last)
		}
		last = c.MaxTime
		parts, err := aggr.Parse(c.Data)
		testutil.Ok(tb, err)
		var text []windowText
		for kind, p := range parts {
			if p.Encoding == chunkenc.EncNone {
				continue
			}
			chunk, err := chunkenc.FromData(p.Encoding, p.Data)
			testutil.Ok(tb, err)
			it := chunk.Iterator(nil)
			var ts []int64
			var vs []float64
			var hs []*histogram.FloatHistogram
			for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
				if vt == chunkenc.ValFloat {
					t, v := it.At()
					ts, vs = append(ts, t), append(vs, v)
					continue
				}
				t, h := it.AtFloatHistogram(nil)
				ts, hs = append(ts, t), append(hs, h)
			}
			testutil.Ok(tb, it.Err())
			switch {
			case aggr.Kind(kind) == aggr.Count:
				for i, t := range ts {
					text = append(text, windowText{t, fmt.Sprint("count ", vs[i])})
				}
				if ts[0] != c.MinTime || ts[len(ts)-1] != c.MaxTime {
					return nil, nil, fmt.Errorf("chunk [%d, %d] holds %v", c.MinTime, c.MaxTime, ts)
				}
			case aggr.Kind(kind) == aggr.CounterKind && hs == nil:
				n := len(ts)
				if n < 2 || ts[n-1] != ts[n-2] || ts[n-1] != c.MaxTime || n < len(text)+1 || ts[0] > c.MinTime {
					return nil, nil, fmt.Errorf("counter of [%d, %d] has %v", c.MinTime, c.MaxTime, ts)
				}
				n = counter.Floats(ts, vs)
				for i := range n {
					if math.IsNaN(first) {
						first = vs[i]
					}
					rises[ts[i]] = vs[i] - first
				}
			default:
				if len(ts) != len(text) {
					return nil, nil, fmt.Errorf("%s of [%d, %d] has %v", aggr.Kind(kind), c.MinTime, c.MaxTime, ts)
				}
				for i := range text {
					if text[i].t != ts[i] {
						return nil, nil, fmt.Errorf("%s of [%d, %d] has %v", aggr.Kind(kind), c.MinTime, c.MaxTime, ts)
					}
					if hs != nil {
						text[i].text += fmt.Sprint(" ", aggr.Kind(kind), " ", hs[i])
					} else {
						text[i].text += fmt.Sprint(" ", aggr.Kind(kind), " ", vs[i])
					}
				}
			}
		}
		windows = append(windows, text...)
	}
	return windows, rises, nil
}

const startOfCounter = -100_000_000

// truth is a counter, one up each second, that is reset now and then.
type truth struct{ resets []int64 }

func (c truth) at(t int64) float64 {
	v := t - startOfCounter
	for _, r := range c.resets {
		if r <= t {
			v = t - r
		}
	}
	return float64(v / 1000)
}

// increase is by how much the counter rose from one time to another.
func (c truth) increase(from, to int64) float64 {
	sum, at := 0.0, from
	for _, r := range append(slices.Clone(c.resets), to) {
		if r > from && r <= to {
			sum += float64(r-at) / 1000
			at = r
		}
	}
	return sum
}

// randomAggregates makes the downsampled chunks of replicas, of which one at least
// is there at any time.
func randomAggregates(tb testing.TB, rng *rand.Rand) (truth, [][]dedup.Chunk) {
	tb.Helper()
	var c truth
	out := make([][]dedup.Chunk, 1+rng.IntN(4))
	interval := []int64{30_000, 60_000}[rng.IntN(2)]
	kind := rng.IntN(3)
	scrape := func(from, to, offset int64) (samples raw) {
		for t := from + offset; t < to; t += interval {
			s := blocktest.Sample{T: t, F: c.at(t)}
			if kind > 0 {
				h := deduptestHistogram(int64(c.at(t)))
				if s.H = h; kind == 2 {
					s.H, s.FH = nil, h.ToFloat(nil)
				}
			}
			samples = append(samples, s)
		}
		return samples
	}
	t := []int64{0, -36_000_000, 1_700_000_100_000}[rng.IntN(3)]
	for range 1 + rng.IntN(6) {
		length := fiveMinutes * int64(1+rng.IntN(200))
		if rng.IntN(3) == 0 {
			c.resets = append(c.resets, t+rng.Int64N(length))
		}
		some := 1 + rng.IntN(1<<len(out)-1)
		same := downsampled(tb, scrape(t, t+length, rng.Int64N(interval)))
		alike := rng.IntN(3) == 0
		for r := range out {
			switch {
			case some>>r&1 == 0:
			case alike:
				out[r] = append(out[r], same...)
			default:
				from, to := t, t+length
				if some&(some-1) != 0 && bitsLow(some) != r { // another is whole
					from += rng.Int64N(length)
					to -= rng.Int64N(to - from)
				}
				out[r] = append(out[r], downsampled(tb, scrape(from, to, rng.Int64N(interval)))...)
			}
		}
		t += length
	}
	for r := range out {
		for i := range out[r] {
			out[r][i].Ref = uint64(r*1000 + i + 1)
		}
	}
	return c, out
}

func bitsLow(n int) int {
	i := 0
	for n>>i&1 == 0 {
		i++
	}
	return i
}

func deduptestHistogram(n int64) *histogram.Histogram {
	return &histogram.Histogram{
		Count: uint64(2*n + 1), Sum: float64(n), ZeroThreshold: 1e-9,
		PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{n, 1},
	}
}

// TestMergeAggregatesRandom: every window of the result is one of a replica's, all
// of its aggregates; there is one each aligned window, whatever is decoded; and the
// counter rises as the true one does.
func TestMergeAggregatesRandom(t *testing.T) {
	t.Parallel()
	type counted struct {
		truth    truth
		replicas [][]dedup.Chunk
	}
	cases := make([]counted, 40) // by seed
	for seed := range cases {
		cases[seed].truth, cases[seed].replicas = randomAggregates(t, rand.New(rand.NewPCG(uint64(seed), 2)))
	}
	for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}, dedup.Penalty{}} {
		t.Run(fmt.Sprint(alg), func(t *testing.T) {
			t.Parallel()
			var passed, encoded int
			for i, in := range cases {
				seed, truth, replicas := uint64(i), in.truth, in.replicas
				m := dedup.ChunkMerger{Algorithm: alg}
				got, err := m.Merge(nil, replicas...)
				testutil.Ok(t, err)
				m.DecodeAll()
				all, err := m.Merge(nil, replicas...)
				testutil.Ok(t, err)
				windows, rises, err := windowsOf(t, got)
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				wantWindows, wantRises, err := windowsOf(t, all)
				testutil.Ok(t, err)
				testutil.Equals(t, wantWindows, windows, "seed %d", seed)
				checkWindows(t, seed, windows, replicas)
				checkRises(t, seed, truth, windows, rises)
				checkRises(t, seed, truth, windows, wantRises)
				for _, c := range got {
					if c.Ref != 0 {
						passed++
					} else {
						encoded++
					}
				}
			}
			t.Logf("%d chunks as they were, %d anew", passed, encoded)
			testutil.Assert(t, passed > 30 && encoded > 0)
		})
	}
}

func checkWindows(t *testing.T, seed uint64, windows []windowText, replicas [][]dedup.Chunk) {
	t.Helper()
	known := map[windowText]bool{}
	for _, r := range replicas {
		of, _, err := windowsOf(t, r)
		testutil.Ok(t, err)
		for _, w := range of {
			known[w] = true
		}
	}
	for i, w := range windows {
		if !known[w] {
			t.Fatalf("seed %d: no replica has %v", seed, w)
		}
		if i > 0 && windows[i-1].t-windows[i-1].t%fiveMinutes == w.t-w.t%fiveMinutes && w.t >= 0 && windows[i-1].t >= 0 {
			t.Fatalf("seed %d: two windows at %d and %d", seed, windows[i-1].t, w.t)
		}
	}
}

// checkRises allows for what scrapes miss at both sides of each reset and change.
func checkRises(t *testing.T, seed uint64, c truth, windows []windowText, rises map[int64]float64) {
	t.Helper()
	if len(rises) == 0 {
		return
	}
	first := int64(math.MaxInt64)
	for at := range rises {
		first = min(first, at)
	}
	slack := float64(60 * (4 + 2*len(c.resets) + len(windows)/100))
	for at, rise := range rises {
		if want := c.increase(first, at); math.Abs(rise-want) > slack {
			t.Fatalf("seed %d: the counter rises by %v from %d to %d, truly by %v", seed, rise, first, at, want)
		}
	}
}

// TestMergeAggregatesIdentical: nothing is decoded where there is nothing to choose.
func TestMergeAggregatesIdentical(t *testing.T) {
	t.Parallel()
	var samples raw
	for at := int64(0); at < 3*int64(time.Hour/time.Millisecond)*24; at += 60_000 {
		samples = append(samples, blocktest.Sample{T: at, F: float64(at)})
	}
	chunks := downsampled(t, samples)
	var m dedup.ChunkMerger
	got, err := m.Merge(nil, chunks, chunks)
	testutil.Ok(t, err)
	testutil.Equals(t, chunks, got)
	testutil.Equals(t, 0, m.Decoded())
}
