package dedup_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

// TestChunkMergerRandom: chunks merge to what the algorithm makes of their samples,
// passed on or not.
func TestChunkMergerRandom(t *testing.T) {
	t.Parallel()
	for _, alg := range []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}, dedup.Penalty{}} {
		t.Run(fmt.Sprint(alg), func(t *testing.T) {
			t.Parallel()
			m := dedup.ChunkMerger{Algorithm: alg}
			var passed, decoded, both int
			for seed := range uint64(300 / raceDivisor) {
				rng := rand.New(rand.NewPCG(seed, 1))
				replicas := randomChunks(t, rng)
				var of []chunkenc.Iterable
				chunks := 0
				for _, r := range replicas {
					if len(r) > 0 {
						of = append(of, union(t, r))
						chunks += len(r)
					}
				}
				want, err := deduptest.Walk(alg.Merge(nil, dedup.Untyped, of...))
				testutil.Ok(t, err)
				got, err := m.Merge(nil, replicas...)
				testutil.Ok(t, err)
				if err := checkChunks(t, want, got); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				p := 0
				for _, c := range got {
					if c.Ref != 0 {
						p++
					}
				}
				d := m.Decoded()
				passed, decoded = passed+p, decoded+d
				if p > 0 && d > 0 {
					both++
				}
			}
			t.Logf("%d chunks passed on, %d decoded, both in %d series", passed, decoded, both)
			testutil.Assert(t, passed > 2000/raceDivisor && decoded > 2000/raceDivisor)
		})
	}
}

// at makes floats each 15 s from a time, n of them.
func at(from int64, n int) (out []deduptest.Sample) {
	for i := range n {
		out = append(out, deduptest.Sample{T: from + int64(i)*15_000, Type: chunkenc.ValFloat, V: float64(i)})
	}
	return out
}

// TestChunkMergerPassesOn: what comes out as it is is not decoded, and keeps its
// reference.
func TestChunkMergerPassesOn(t *testing.T) {
	t.Parallel()
	numbered := func(chunks []dedup.Chunk, from uint64) []dedup.Chunk {
		chunks = slices.Clone(chunks)
		for i := range chunks {
			chunks[i].Ref = from + uint64(i)
		}
		return chunks
	}
	day := encodeChunks(t, at(0, 5760), 120)
	later := encodeChunks(t, at(7_200_000+5760*15_000, 240), 120)
	other := encodeChunks(t, at(2000, 5760), 120)
	for name, tc := range map[string]struct {
		replicas [][]dedup.Chunk
		refs     []uint64 // of the first chunks
		follow   int      // chunks decoded
		chain    int
		penalty  int
	}{
		"nothing":             {},
		"one replica":         {replicas: [][]dedup.Chunk{numbered(day, 1)}, refs: []uint64{1, 2, 3}},
		"one of several":      {replicas: [][]dedup.Chunk{nil, numbered(day, 1), nil}, refs: []uint64{1, 2, 3}},
		"identical":           {replicas: [][]dedup.Chunk{numbered(day, 1), numbered(day, 101), numbered(day, 201)}, refs: []uint64{1, 2, 3}},
		"the same twice":      {replicas: [][]dedup.Chunk{append(numbered(day, 1), numbered(day, 1)...)}, refs: []uint64{1, 2, 3}},
		"one after the other": {replicas: [][]dedup.Chunk{numbered(later, 101), numbered(day, 1)}, refs: []uint64{1, 2, 3}, penalty: 50},
		"three in turns":      {replicas: [][]dedup.Chunk{numbered(day[:9], 1), numbered(later, 201), numbered(day[:9], 101)}, refs: []uint64{1, 2, 3}, penalty: 20},
		"one lacks the middle": {
			replicas: [][]dedup.Chunk{numbered(day, 1), numbered(append(slices.Clone(day[:10]), day[40:]...), 101)}, refs: []uint64{1, 2, 3},
			// After each change, what was before has to be forgotten.
			follow: 6, penalty: 66,
		},
		"two offset": {replicas: [][]dedup.Chunk{numbered(day, 1), numbered(other, 101)}, refs: []uint64{0}, follow: 96, chain: 96, penalty: 96},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for alg, decoded := range map[dedup.Algorithm]int{dedup.Follow{}: tc.follow, dedup.Chain{}: tc.chain, dedup.Penalty{}: tc.penalty} {
				m := dedup.ChunkMerger{Algorithm: alg}
				got, err := m.Merge(nil, tc.replicas...)
				testutil.Ok(t, err)
				testutil.Equals(t, decoded, m.Decoded(), "%s", alg)
				if decoded > 0 {
					continue
				}
				for i, ref := range tc.refs {
					testutil.Equals(t, ref, got[i].Ref, "%s", alg)
				}
			}
		})
	}
}

// TestChunkMergerErrors: an error says which chunk it is about, and dst is as it
// was.
func TestChunkMergerErrors(t *testing.T) {
	t.Parallel()
	floats := encodeChunks(t, at(0, 100), 120)[0]
	histograms := encodeChunks(t, []deduptest.Sample{{T: 0, Type: chunkenc.ValHistogram, V: 3}, {T: 1_485_000, Type: chunkenc.ValHistogram, V: 4}}, 120)[0]
	with := func(c dedup.Chunk, change func(*dedup.Chunk)) dedup.Chunk {
		c.Data = slices.Clone(c.Data)
		change(&c)
		return c
	}
	good := with(floats, func(c *dedup.Chunk) { c.Data[len(c.Data)-1] ^= 1; c.MaxTime++ })
	for name, tc := range map[string]struct {
		bad  dedup.Chunk
		want error
	}{
		"floats cut off":         {with(floats, func(c *dedup.Chunk) { c.Data = c.Data[:len(c.Data)/2] }), dedup.ErrMalformedChunk},
		"no floats at all":       {with(floats, func(c *dedup.Chunk) { c.Data = nil }), dedup.ErrMalformedChunk},
		"floats before range":    {with(floats, func(c *dedup.Chunk) { c.MinTime++ }), dedup.ErrMalformedChunk},
		"floats after range":     {with(floats, func(c *dedup.Chunk) { c.MaxTime-- }), dedup.ErrMalformedChunk},
		"range backwards":        {with(floats, func(c *dedup.Chunk) { c.MaxTime = -1 }), dedup.ErrMalformedChunk},
		"histograms cut off":     {with(histograms, func(c *dedup.Chunk) { c.Data = c.Data[:len(c.Data)-9] }), dedup.ErrMalformedChunk},
		"histograms in no range": {with(histograms, func(c *dedup.Chunk) { c.MaxTime = 5 }), dedup.ErrMalformedChunk},
		"no histograms at all":   {with(histograms, func(c *dedup.Chunk) { c.Data = c.Data[:1] }), dedup.ErrMalformedChunk},
		"aggregates in between":  {with(floats, func(c *dedup.Chunk) { c.Encoding = 0xff }), dedup.ErrMalformedChunk},
		"unknown encoding":       {with(floats, func(c *dedup.Chunk) { c.Encoding = 77 }), dedup.ErrUnknownEncoding},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, alg := range []dedup.Algorithm{nil, dedup.Chain{}, dedup.Penalty{}} {
				m := dedup.ChunkMerger{Algorithm: alg}
				dst := []dedup.Chunk{{Ref: 7}}
				got, err := m.Merge(dst, []dedup.Chunk{good}, nil, []dedup.Chunk{tc.bad})
				var chunkErr *dedup.ChunkError
				testutil.Assert(t, errors.As(err, &chunkErr) && errors.Is(err, tc.want), "%v", err)
				testutil.Equals(t, 2, chunkErr.Replica)
				testutil.Equals(t, tc.bad.MinTime, chunkErr.MinTime)
				testutil.Equals(t, tc.bad.MaxTime, chunkErr.MaxTime)
				testutil.Equals(t, dst, got)

				got, err = m.Merge(nil, []dedup.Chunk{floats}) // and goes on
				testutil.Ok(t, err)
				testutil.Equals(t, []dedup.Chunk{floats}, got)
			}
		})
	}
}

// liar is an algorithm that returns what no replica has.
type liar struct{}

func (liar) Merge(chunkenc.Iterator, dedup.Values, ...chunkenc.Iterable) chunkenc.Iterator {
	return deduptest.Replica(at(0, 3)).Iterator(nil)
}

// TestChunkMergerOwnAlgorithm: of an algorithm that is not known nothing is taken
// for granted, and one that invents windows is found out.
func TestChunkMergerOwnAlgorithm(t *testing.T) {
	t.Parallel()
	x := encodeChunks(t, at(0, 100), 120)
	m := dedup.ChunkMerger{Algorithm: liar{}}
	got, err := m.Merge(nil, x, x)
	testutil.Ok(t, err)
	testutil.Ok(t, checkChunks(t, at(0, 3), got))

	var samples raw
	for i := range int64(100) {
		samples = append(samples, blocktest.Sample{T: i * 60_000, F: float64(i)})
	}
	windows := downsampled(t, samples)
	_, err = m.Merge(nil, windows, windows)
	testutil.NotOk(t, err)
}

// FuzzChunkMerger: whatever the bytes, merging ends, and what it makes of them is in
// order.
func FuzzChunkMerger(f *testing.F) {
	floats := encodeChunks(f, at(0, 20), 120)[0]
	histograms := encodeChunks(f, []deduptest.Sample{{T: 0, Type: chunkenc.ValHistogram, V: 3}, {T: 9000, Type: chunkenc.ValHistogram, V: 4}}, 120)[0]
	var samples raw
	for i := range int64(100) {
		samples = append(samples, blocktest.Sample{T: i * 60_000, F: float64(i % 30)})
	}
	windows := downsampled(f, samples)[0]
	for _, c := range []dedup.Chunk{floats, histograms, windows} {
		f.Add(uint8(c.Encoding), c.Data, c.MinTime, c.MaxTime, uint8(0))
		f.Add(uint8(c.Encoding), c.Data[:len(c.Data)/2], c.MinTime, c.MaxTime, uint8(1))
		f.Add(uint8(c.Encoding), c.Data, c.MinTime+1, c.MaxTime, uint8(2))
	}
	f.Fuzz(func(t *testing.T, e uint8, data []byte, minTime, maxTime int64, alg uint8) {
		c := dedup.Chunk{MinTime: minTime, MaxTime: maxTime, Encoding: chunkenc.Encoding(e), Data: data}
		like := floats
		if e == uint8(windows.Encoding) {
			like = windows
		}
		m := dedup.ChunkMerger{Algorithm: []dedup.Algorithm{dedup.Follow{}, dedup.Chain{}, dedup.Penalty{}}[alg%3]}
		got, err := m.Merge(nil, []dedup.Chunk{like}, []dedup.Chunk{c})
		if err != nil {
			var chunkErr *dedup.ChunkError
			testutil.Assert(t, errors.As(err, &chunkErr), "%v", err)
		}
		for i := range got {
			testutil.Assert(t, got[i].MinTime <= got[i].MaxTime && (i == 0 || got[i-1].MaxTime < got[i].MinTime), "%v", got)
		}
	})
}
