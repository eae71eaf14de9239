package dedupratio_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/internal/xor"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
)

const (
	short, long = 2 * time.Hour, 48 * time.Hour
	// longer is how much more time a sample of the long ones may take.
	longer = 1.5
)

// misaligned are replicas whose chunks begin and end between those of the others.
func misaligned(t *testing.T, series, replicas int, length time.Duration) *data {
	t.Helper()
	var offsets []int64
	for i := range replicas {
		offsets = append(offsets, int64(i)*interval*7/10/int64(replicas-1))
	}
	return scrapeAll(t, series, length, offsets, chunkSamples/replicas)
}

// TestRatioLength compares what a sample takes in replicas of two hours and of 48,
// whose chunks overlap all the way.
func TestRatioLength(t *testing.T) {
	for _, replicas := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("%d replicas", replicas), func(t *testing.T) {
			few, many := misaligned(t, 1, replicas, long), misaligned(t, int(long/short), replicas, short)
			t.Run("follow", func(t *testing.T) {
				oneIsNotLonger(t, few, many, func() func(*testing.T, []*replica) int {
					var reuse chunkenc.Iterator
					return func(t *testing.T, rs []*replica) int {
						its := make([]chunkenc.Iterable, len(rs))
						for i, r := range rs {
							its[i] = r
						}
						reuse = dedup.Follow{}.Merge(reuse, dedup.Untyped, its...)
						n := drain(reuse)
						testutil.Ok(t, reuse.Err())
						return n
					}
				})
			})
			t.Run("chunks", func(t *testing.T) {
				oneIsNotLonger(t, few, many, func() func(*testing.T, []*replica) int {
					m := &merger{}
					return m.merge
				})
			})
		})
	}
}

// oneIsNotLonger holds what a sample takes in one long series beside many short
// ones. merges makes what merges a series and returns how many samples come out.
func oneIsNotLonger(t *testing.T, one, many *data, merges func() func(*testing.T, []*replica) int) {
	all := func(d *data) (out int) {
		for _, rs := range d.series {
			out += len(rs[0].samples)
		}
		return out
	}
	pass := func(d *data) func() {
		merge := merges()
		return func() {
			got := 0
			for _, rs := range d.series {
				got += merge(t, rs)
			}
			// Before the first window has passed a replica may come in between.
			testutil.Assert(t, got >= all(d) && got <= all(d)+2*len(d.series), "%d samples come out, of %d", got, all(d))
		}
	}
	ofOne, ofMany := pass(one), pass(many)
	ofOne()
	ofMany()
	if *ratioPairs == 0 {
		return
	}
	took := func(f func(), samples int) float64 {
		begun := time.Now()
		f()
		return float64(time.Since(begun).Nanoseconds()) / float64(samples)
	}
	var ratios []float64
	for range max(*ratioPairs, 15) {
		a := took(ofOne, one.samples)
		ratios = append(ratios, a/took(ofMany, many.samples))
	}
	slices.Sort(ratios)
	median := ratios[len(ratios)/2]
	t.Logf("a sample of %s takes %.2f times as long as one of %s, quartiles %.2f and %.2f", long, median, short, ratios[len(ratios)/4], ratios[len(ratios)*3/4])
	testutil.Assert(t, median <= longer, "median %.2f", median)
}

// merger merges replicas as chunks.
type merger struct {
	dedup.ChunkMerger
	in  [][]dedup.Chunk
	out []dedup.Chunk
}

func (m *merger) merge(t *testing.T, rs []*replica) (samples int) {
	if len(m.in) != len(rs) {
		m.in = make([][]dedup.Chunk, len(rs))
	}
	for i, r := range rs {
		m.in[i] = m.in[i][:0]
		for _, c := range r.chunks {
			m.in[i] = append(m.in[i], dedup.Chunk{MinTime: c.minTime, MaxTime: c.maxTime, Encoding: chunkenc.EncXOR, Data: c.data})
		}
	}
	var err error
	m.out, err = m.Merge(m.out[:0], m.in...)
	testutil.Ok(t, err)
	for _, c := range m.out {
		samples += int(c.Data[0])<<8 | int(c.Data[1])
	}
	return samples
}

// TestChunksAreFollowed: what a ChunkMerger writes is what Follow gives, over all
// chunk boundaries.
func TestChunksAreFollowed(t *testing.T) {
	for _, replicas := range []int{2, 3, 4} {
		for _, rs := range misaligned(t, 3, replicas, 8*time.Hour).series {
			var its []chunkenc.Iterable
			for _, r := range rs {
				its = append(its, r)
			}
			want := walk(t, dedup.Follow{}.Merge(nil, dedup.Untyped, its...))
			m := &merger{}
			m.merge(t, rs)
			var got []sample
			for _, c := range m.out {
				ts, vs, err := xor.Decode(c.Data, math.MaxInt64, nil, nil)
				testutil.Ok(t, err)
				for i := range ts {
					got = append(got, sample{ts[i], vs[i]})
				}
			}
			requireSame(t, want, got)
		}
	}
}

// TestFollowReadsOnce: each sample is decoded once, however many chunks overlap.
func TestFollowReadsOnce(t *testing.T) {
	d := misaligned(t, 1, 4, long)
	var its []chunkenc.Iterable
	var decoders []*decoder
	for _, r := range d.series[0] {
		it := r.Iterator(nil).(*decoder)
		decoders = append(decoders, it)
		its = append(its, opened{it})
	}
	drain(dedup.Follow{}.Merge(nil, dedup.Untyped, its...))
	decoded := 0
	for _, it := range decoders {
		decoded += it.decoded
	}
	testutil.Equals(t, d.samples, decoded)
}

// opened is a replica that is open already.
type opened struct{ it chunkenc.Iterator }

func (o opened) Iterator(chunkenc.Iterator) chunkenc.Iterator { return o.it }

// TestRatioCompaction stands beside Thanos' compaction merge, which takes more
// time for each sample the longer the replicas are: 48 hours of one series take it
// most of a minute.
func TestRatioCompaction(t *testing.T) {
	for _, tc := range []struct {
		length time.Duration
		series int
		ratio  float64
	}{
		{2 * time.Hour, 16, 5},
		{8 * time.Hour, 1, 50},
	} {
		t.Run(tc.length.String(), func(t *testing.T) {
			d := misaligned(t, tc.series, 2, tc.length)
			m := &merger{}
			_, _, r := pair.Work{
				Items: d.samples,
				Thanos: func() {
					for _, rs := range d.series {
						n, err := thanosCompaction(rs)
						testutil.Ok(t, err)
						testutil.Assert(t, n > 0 && n <= len(rs[0].samples)+2, "%d of %d samples", n, len(rs[0].samples))
					}
				},
				Ours: func() {
					for _, rs := range d.series {
						n := m.merge(t, rs)
						testutil.Assert(t, n >= len(rs[0].samples), "%d of %d samples", n, len(rs[0].samples))
					}
				},
			}.Compare(t, *ratioPairs)
			if r.N > 0 {
				testutil.Assert(t, max(r.Median, r.CPU) >= tc.ratio, "median %.2f, of processor time %.2f", r.Median, r.CPU)
			}
		})
	}
}
