package compact

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/downsample"
)

// A batch has at most so many series, and so many chunks of sources unless a single
// series has more. What is made of a batch is in memory until it is written.
const (
	batchSeries = 256
	batchChunks = 2 << 10
)

// levels are how many resolutions there are: that of the sources, and those that
// are made of it.
const levels = 3

// span is a part of a slice that series share.
type span struct{ from, to int }

// part is what one source has of a series.
type part struct {
	source *source
	metas  span // of batch.metas
	chunks span // of batch.raw
}

// item is a series in a batch.
type item struct {
	refs  span         // of batch.refs: labels by the output's symbols
	parts span         // of batch.parts
	made  [levels]span // of batch.made
}

// batch is a number of series on their way from the sources to the outputs. Its
// memory is used again for others.
//
// Concurrency: one goroutine after another has it.
type batch struct {
	items []item
	refs  []block.LabelRef
	parts []part
	metas []block.ChunkMeta

	raw  []block.Chunk         // of sources, for as long as these are open
	made [levels][]block.Chunk // what is to be written, by level

	merger      dedup.ChunkMerger
	replicas    [][]dedup.Chunk
	merged      []dedup.Chunk
	downsampler downsample.Downsampler

	done chan error // takes what became of it
}

func newBatch(o *Options, resolution block.Resolution) *batch {
	return &batch{
		merger: dedup.ChunkMerger{Algorithm: o.Algorithm, Resolution: time.Duration(resolution) * time.Millisecond},
		done:   make(chan error, 1),
	}
}

// reset empties the batch.
func (b *batch) reset() {
	b.items, b.refs, b.parts, b.metas = b.items[:0], b.refs[:0], b.parts[:0], b.metas[:0]
	clear(b.raw) // they point into files that will be closed
	b.raw = b.raw[:0]
	for level := range b.made {
		clear(b.made[level])
		b.made[level] = b.made[level][:0]
	}
	b.merger.Reset()
	b.downsampler.Reset()
}

func (b *batch) full() bool { return len(b.items) >= batchSeries || len(b.metas) >= batchChunks }

// begin begins a series.
func (b *batch) begin(lset []block.LabelRef) {
	from := len(b.refs)
	b.refs = append(b.refs, lset...)
	b.items = append(b.items, item{refs: span{from, len(b.refs)}, parts: span{from: len(b.parts)}})
}

// addPart adds the chunks of the series that a source stands on, if it has any.
func (b *batch) addPart(s *source) {
	if len(s.it.Chunks()) == 0 {
		return
	}
	from := len(b.metas)
	b.metas = append(b.metas, s.it.Chunks()...)
	b.parts = append(b.parts, part{source: s, metas: span{from, len(b.metas)}})
}

// end ends a series, which is dropped if it has no chunks. Its parts are in the
// order of replicas.
func (b *batch) end() {
	it := &b.items[len(b.items)-1]
	it.parts.to = len(b.parts)
	if it.parts.from == it.parts.to {
		b.refs = b.refs[:it.refs.from]
		b.items = b.items[:len(b.items)-1]
		return
	}
	slices.SortStableFunc(b.parts[it.parts.from:it.parts.to], func(x, y part) int { return cmp.Compare(x.source.replica, y.source.replica) })
}

// read reads the chunks of a series.
func (b *batch) read(it *item) (err error) {
	for i := it.parts.from; i < it.parts.to; i++ {
		p := &b.parts[i]
		p.chunks.from = len(b.raw)
		b.raw, err = p.source.r.AppendChunks(b.raw, b.metas[p.metas.from:p.metas.to])
		p.chunks.to = len(b.raw)
		if err != nil {
			return sourceError(p.source.meta.ULID, err)
		}
	}
	return nil
}

// merge makes the chunks of a series into those of one block: as they are where
// they do not overlap, merged where they do.
func (b *batch) merge(it *item) error {
	out := &b.made[0]
	it.made[0] = span{len(*out), len(*out)}
	parts := b.parts[it.parts.from:it.parts.to]
	from, to := parts[0].chunks.from, parts[len(parts)-1].chunks.to
	one := parts[0].source.replica == parts[len(parts)-1].source.replica
	*out = append(*out, b.raw[from:to]...)
	if one && len(parts) > 1 {
		slices.SortStableFunc((*out)[it.made[0].from:], byMinTime)
	}
	if !one || overlap((*out)[it.made[0].from:]) {
		*out = (*out)[:it.made[0].from]
		if err := b.mergeReplicas(parts); err != nil {
			return err
		}
	}
	it.made[0].to = len(*out)
	return nil
}

func byMinTime(x, y block.Chunk) int { return cmp.Compare(x.MinTime, y.MinTime) }

func overlap(chunks []block.Chunk) bool {
	for i := 1; i < len(chunks); i++ {
		if chunks[i].MinTime <= chunks[i-1].MaxTime {
			return true
		}
	}
	return false
}

// mergeReplicas deduplicates.
func (b *batch) mergeReplicas(parts []part) (err error) {
	n := 0
	for i, p := range parts {
		if i == 0 || p.source.replica != parts[i-1].source.replica {
			if n == len(b.replicas) {
				b.replicas = append(b.replicas, nil)
			}
			b.replicas[n] = b.replicas[n][:0]
			n++
		}
		r := &b.replicas[n-1]
		for j := p.chunks.from; j < p.chunks.to; j++ {
			c := &b.raw[j]
			*r = append(*r, dedup.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Encoding, Data: c.Data, Ref: uint64(j) + 1})
		}
	}
	// Those of one replica that overlap stay in the order of sources.
	byMinTime := func(x, y dedup.Chunk) int { return cmp.Compare(x.MinTime, y.MinTime) }
	for _, r := range b.replicas[:n] {
		if !slices.IsSortedFunc(r, byMinTime) {
			slices.SortStableFunc(r, byMinTime)
		}
	}
	if b.merged, err = b.merger.Merge(b.merged[:0], b.replicas[:n]...); err != nil {
		return fmt.Errorf("merge replicas: %w", err)
	}
	for _, c := range b.merged {
		if c.Ref != 0 {
			b.made[0] = append(b.made[0], b.raw[c.Ref-1])
			continue
		}
		b.made[0] = append(b.made[0], block.Chunk{MinTime: c.MinTime, MaxTime: c.MaxTime, Encoding: c.Encoding, Data: c.Data})
	}
	return nil
}

// downsample makes the chunks of the coarser resolutions up to a level.
func (b *batch) downsample(it *item, resolution block.Resolution, last int) (err error) {
	for level := 1; level <= last; level++ {
		next, ok := downsample.Next(resolution)
		if !ok {
			return fmt.Errorf("%s: %w", resolution, downsample.ErrResolution)
		}
		of := it.made[level-1]
		from := len(b.made[level])
		b.made[level], err = b.downsampler.Append(b.made[level], resolution, next, b.made[level-1][of.from:of.to])
		it.made[level] = span{from, len(b.made[level])}
		if err != nil {
			return fmt.Errorf("downsample: %w", err)
		}
		resolution = next
	}
	return nil
}
