package memstore

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/thanoskit/thanoskit/store"
)

const allAggregates = store.AggregateCount | store.AggregateSum | store.AggregateMin | store.AggregateMax | store.AggregateCounter

// interval is a range of time, both ends inclusive.
type interval struct{ mint, maxt int64 }

// pick appends to dst the chunks that answer req. The pointers are valid until
// the series changes.
func (s *series) pick(dst []*store.Chunk, req *store.SeriesRequest) []*store.Chunk {
	coarsest := req.MaxResolution
	if req.Aggregates == 0 && !req.SkipChunks {
		coarsest = 0
	}
	n := len(s.levels)
	for n > 0 && s.levels[n-1].resolution > coarsest {
		n--
	}
	from, used := len(dst), 0
	gaps := []interval{{req.MinTime, req.MaxTime}}
	for ; n > 0 && len(gaps) > 0; n-- {
		l := &s.levels[n-1]
		before := len(dst)
		dst = l.overlapping(dst, gaps)
		if len(dst) == before {
			continue
		}
		used++
		if n > 1 {
			gaps = subtract(gaps, dst[before:], l.resolution)
		}
	}
	if used > 1 {
		slices.SortStableFunc(dst[from:], func(a, b *store.Chunk) int { return compareChunks(*a, *b) })
	}
	return dst
}

// overlapping appends the chunks that overlap any of the gaps, which ascend.
func (l *level) overlapping(dst []*store.Chunk, gaps []interval) []*store.Chunk {
	last := gaps[len(gaps)-1].maxt
	for i := range l.chunks {
		c := &l.chunks[i]
		if c.MinTime > last {
			break
		}
		if slices.ContainsFunc(gaps, func(g interval) bool { return c.MinTime <= g.maxt && c.MaxTime >= g.mint }) {
			dst = append(dst, c)
		}
	}
	return dst
}

// subtract returns what is left of gaps beside what chunks, which ascend, cover.
// A sample of downsampled data stands for the time of one resolution that ends
// with it.
func subtract(gaps []interval, chunks []*store.Chunk, resolution time.Duration) []interval {
	var out []interval
	for _, g := range gaps {
		covered := false // whether g is covered to its end
		for _, c := range chunks {
			if end := sub(c.MinTime, resolution.Milliseconds()); end >= g.mint {
				out = append(out, interval{g.mint, min(end, g.maxt)})
			}
			if c.MaxTime >= g.maxt {
				covered = true
				break
			}
			g.mint = max(g.mint, c.MaxTime+1)
		}
		if !covered {
			out = append(out, g)
		}
	}
	return out
}

// sub subtracts without overflow.
func sub(t, d int64) int64 {
	if t < math.MinInt64+d {
		return math.MinInt64
	}
	return t - d
}

// copyChunks copies chunks, of aggregates those that are wanted. All bytes are
// in one allocation.
func copyChunks(chunks []*store.Chunk, want store.Aggregates) []store.Chunk {
	size, aggregated := 0, 0
	for _, c := range chunks {
		size += len(c.Raw.Bytes)
		if c.Aggregated != nil {
			aggregated++
			for _, d := range wanted(c.Aggregated, want) {
				size += len(d.Bytes)
			}
		}
	}
	slab := make([]byte, 0, size)
	data := func(d store.ChunkData) store.ChunkData {
		n := len(slab)
		slab = append(slab, d.Bytes...)
		return store.ChunkData{Encoding: d.Encoding, Bytes: slab[n:len(slab):len(slab)]}
	}
	out := make([]store.Chunk, len(chunks))
	agg := make([]store.AggregatedChunk, 0, aggregated)
	for i, c := range chunks {
		out[i] = store.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime}
		if c.Aggregated == nil {
			out[i].Raw = data(c.Raw)
			continue
		}
		ds := wanted(c.Aggregated, want)
		agg = append(agg, store.AggregatedChunk{
			Count: data(ds[0]), Sum: data(ds[1]), Min: data(ds[2]), Max: data(ds[3]), Counter: data(ds[4]),
		})
		out[i].Aggregated = &agg[len(agg)-1]
	}
	return out
}

// wanted returns the aggregates in the order of store.Aggregates, those that
// are not wanted zero.
func wanted(a *store.AggregatedChunk, want store.Aggregates) [5]store.ChunkData {
	ds := [...]store.ChunkData{a.Count, a.Sum, a.Min, a.Max, a.Counter}
	for i := range ds {
		if !want.Has(1 << i) {
			ds[i] = store.ChunkData{}
		}
	}
	return ds
}

// checkChunk reports whether a chunk can be kept as raw or aggregated data.
func checkChunk(c store.Chunk, aggregated bool) error {
	ds := []store.ChunkData{c.Raw}
	switch {
	case c.MinTime > c.MaxTime:
		return fmt.Errorf("%w: chunk from %d to %d", store.ErrMalformed, c.MinTime, c.MaxTime)
	case aggregated != (c.Aggregated != nil) || aggregated && !c.Raw.IsZero():
		return fmt.Errorf("%w: raw chunks and aggregates mixed up", store.ErrMalformed)
	case aggregated:
		all := wanted(c.Aggregated, allAggregates)
		ds = all[:]
	}
	empty := true
	for _, d := range ds {
		if d.IsZero() {
			continue
		}
		empty = false
		if _, err := d.Chunk(); err != nil {
			return err
		}
	}
	if empty {
		return fmt.Errorf("%w: chunk without data", store.ErrMalformed)
	}
	return nil
}
