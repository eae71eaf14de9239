package dedup_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
	"github.com/thanoskit/thanoskit/internal/recode"
)

// encodeChunks encodes samples as Prometheus does, so many to a chunk.
func encodeChunks(tb testing.TB, samples []deduptest.Sample, perChunk int) []dedup.Chunk {
	tb.Helper()
	e := recode.Encoder{PerChunk: perChunk}
	it := deduptest.Replica(samples).Iterator(nil)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if err := e.Sample(vt, it); err != nil {
			tb.Fatal(err)
		}
	}
	var out []dedup.Chunk
	for _, c := range e.Chunks() {
		out = append(out, dedup.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Encoding, Data: c.Data})
	}
	return out
}

// decodeChunk returns the samples of a chunk, by Prometheus' decoder.
func decodeChunk(tb testing.TB, c dedup.Chunk) []deduptest.Sample {
	tb.Helper()
	chunk, err := chunkenc.FromData(c.Encoding, c.Data)
	if err != nil {
		tb.Fatal(err)
	}
	samples, err := deduptest.Walk(chunk.Iterator(nil))
	if err != nil {
		tb.Fatal(err)
	}
	return samples
}

// union is what a replica's chunks say: all samples, of several at one time that of
// the first chunk. A hint counts if the sample before is the one it is about.
func union(tb testing.TB, chunks []dedup.Chunk) deduptest.Replica {
	tb.Helper()
	type placed struct {
		deduptest.Sample
		chunk, index int
		last         bool
	}
	var all []placed
	for i, c := range chunks {
		samples := decodeChunk(tb, c)
		for k, s := range samples {
			all = append(all, placed{s, i, k, k == len(samples)-1})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return int(max(-1, min(1, a.T-b.T))) })
	all = slices.CompactFunc(all, func(a, b placed) bool { return a.T == b.T })
	var out deduptest.Replica
	for i, p := range all {
		if i > 0 && p.Hint != histogram.GaugeType {
			q := all[i-1]
			if !(p.chunk == q.chunk && p.index == q.index+1) && !(p.chunk == q.chunk+1 && p.index == 0 && q.last) {
				p.Hint = histogram.UnknownCounterReset
			}
		}
		out = append(out, p.Sample)
	}
	return out
}

// randomChunks makes the chunks of one to four replicas, stretch after stretch: in
// part the same, in part of other times, now of one replica and now of several.
func randomChunks(tb testing.TB, rng *rand.Rand) [][]dedup.Chunk {
	tb.Helper()
	n := 1 + rng.IntN(4)
	out := make([][]dedup.Chunk, n)
	interval := []int64{5000, 15_000, 30_000, 60_000, 300_000}[rng.IntN(5)]
	kind := rng.IntN(4)
	v := float64(rng.IntN(100))
	t := []int64{0, 1_700_000_000_000, -3_600_000}[rng.IntN(3)]
	shift := 0.0 // of what a replica has
	scrape := func(t, length int64, jitter int64) (samples []deduptest.Sample) {
		for at := t; at < t+length; at += interval {
			s := deduptest.Sample{T: at + rng.Int64N(jitter), Type: chunkenc.ValFloat, V: v + shift + float64((at-t)/1000)}
			if n := len(samples); n > 0 && s.T <= samples[n-1].T {
				continue
			}
			switch {
			case kind == 0 || kind == 3 && rng.IntN(30) == 0:
				if rng.IntN(60) == 0 {
					s.V = math.Float64frombits(value.StaleNaN)
				}
			case kind == 1:
				s.Type = chunkenc.ValHistogram
			default:
				s.Type = []chunkenc.ValueType{chunkenc.ValHistogram, chunkenc.ValFloatHistogram}[(at/interval/40)&1]
			}
			if s.Type != chunkenc.ValFloat {
				s.Hint = []histogram.CounterResetHint{histogram.UnknownCounterReset, histogram.UnknownCounterReset, histogram.UnknownCounterReset, histogram.CounterReset}[rng.IntN(40)/10*rng.IntN(2)]
			}
			samples = append(samples, s)
		}
		return samples
	}
	for range 1 + rng.IntN(8) {
		length := interval * int64(1+rng.IntN(200))
		perChunk := 20 + rng.IntN(101)
		switch mode := rng.IntN(10); {
		case mode > 7: // the same, but some lack some
			for _, c := range encodeChunks(tb, scrape(t, length, 1), perChunk) {
				some := 1 + rng.IntN(1<<n-1)
				for r := range out {
					if some>>r&1 == 1 {
						out[r] = append(out[r], c)
					}
				}
			}
		case mode < 3: // the same in some, or all
			chunks := encodeChunks(tb, scrape(t, length, 1+rng.Int64N(100)), perChunk)
			some := 1 + rng.IntN(1<<n-1)
			if rng.IntN(2) == 0 {
				some = 1<<n - 1
			}
			for r := range out {
				if some>>r&1 == 1 {
					out[r] = append(out[r], chunks...)
				}
			}
		case mode < 4: // one alone
			r := rng.IntN(n)
			out[r] = append(out[r], encodeChunks(tb, scrape(t, length, 1), perChunk)...)
		case mode < 7: // each for itself
			for r := range out {
				if rng.IntN(5) == 0 {
					continue
				}
				if rng.IntN(4) == 0 { // at the same times something else
					shift = float64(10 * r)
					out[r] = append(out[r], encodeChunks(tb, scrape(t, length, 1), 20+rng.IntN(101))...)
					shift = 0
					continue
				}
				off := rng.Int64N(interval)
				out[r] = append(out[r], encodeChunks(tb, scrape(t+off, length-off, 1+rng.Int64N(interval/2)), 20+rng.IntN(101))...)
			}
		default: // one has some out of order
			r := rng.IntN(n)
			out[r] = append(out[r], encodeChunks(tb, scrape(t, length, 1), perChunk)...)
			for range 2 {
				late := rng.Int64N(length)
				out[r] = append(out[r], encodeChunks(tb, scrape(t+late, min(length-late, interval*10), 1+rng.Int64N(interval)), perChunk)...)
			}
		}
		t += length + interval
		if rng.IntN(3) == 0 {
			t += rng.Int64N(3_600_000)
		}
		if v += float64(length / 1000); rng.IntN(4) == 0 {
			v = 0 // a reset
		}
	}
	for r := range out {
		slices.SortStableFunc(out[r], func(a, b dedup.Chunk) int { return int(max(-1, min(1, a.MinTime-b.MinTime))) })
		for i := range out[r] {
			out[r][i].Ref = uint64(r*1000 + i + 1)
		}
	}
	return out
}

// checkChunks checks that chunks hold the samples wanted, in order and without
// overlap, and that what they say about counter resets is true.
func checkChunks(tb testing.TB, want []deduptest.Sample, chunks []dedup.Chunk) error {
	tb.Helper()
	var got []deduptest.Sample
	firsts := map[int]bool{}
	for i, c := range chunks {
		samples := decodeChunk(tb, c)
		if len(samples) == 0 || samples[0].T != c.MinTime || samples[len(samples)-1].T != c.MaxTime {
			return fmt.Errorf("chunk [%d, %d] does not hold its range", c.MinTime, c.MaxTime)
		}
		if i > 0 && c.MinTime <= chunks[i-1].MaxTime {
			return fmt.Errorf("chunk [%d, %d] overlaps", c.MinTime, c.MaxTime)
		}
		firsts[len(got)] = true
		got = append(got, samples...)
	}
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		hint := g.Hint
		if g.Hint = w.Hint; !g.Equal(w) {
			return fmt.Errorf("sample %d is %v, want %v", i, g, w)
		}
		if w.Type == chunkenc.ValFloat {
			continue
		}
		drops := i > 0 && want[i-1].Type == w.Type && w.V < want[i-1].V
		var ok bool
		switch hint {
		case histogram.GaugeType:
			ok = w.Hint == histogram.GaugeType
		case histogram.CounterReset:
			ok = w.Hint == histogram.CounterReset || drops
		case histogram.NotCounterReset:
			ok = w.Hint == histogram.NotCounterReset || w.Hint == histogram.UnknownCounterReset && !drops
		default:
			ok = firsts[i] && w.Hint != histogram.CounterReset && w.Hint != histogram.GaugeType
		}
		if !ok {
			return fmt.Errorf("sample %d is %v after %v with hint %d", i, w, want[max(0, i-1)], hint)
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d samples, want %d", len(got), len(want))
	}
	return nil
}
