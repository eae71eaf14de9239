package downsample

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
)

// How much a batch holds at least, but for the last: of what is read from the
// index, so that handing batches on costs little beside the work in them.
const (
	batchChunks = 512
	batchSeries = 256
)

// pipeline downsamples the series of a block: one goroutine goes through the index
// and writes, in the order of the index, what others have made.
type pipeline struct {
	r        *block.Reader
	w        *block.Writer
	from, to block.Resolution
}

// batch is consecutive series on their way through a pipeline.
type batch struct {
	series []batchSpan
	labels []block.LabelRef
	metas  []block.ChunkMeta

	d    Downsampler
	in   []block.Chunk
	out  []block.Chunk
	err  error
	done chan struct{} // has one element when the batch has been worked on
}

// batchSpan says where in a batch what belongs to a series ends.
type batchSpan struct{ labels, metas, out int }

func newBatch() *batch { return &batch{d: Downsampler{once: true}, done: make(chan struct{}, 1)} }

// fill takes series from the index, and reports whether there were any.
func (b *batch) fill(it *block.SeriesIter) bool {
	b.series, b.labels, b.metas, b.out, b.err = b.series[:0], b.labels[:0], b.metas[:0], b.out[:0], nil
	for len(b.series) < batchSeries && len(b.metas) < batchChunks && it.Next() {
		b.labels = append(b.labels, it.LabelRefs()...)
		b.metas = append(b.metas, it.Chunks()...)
		b.series = append(b.series, batchSpan{labels: len(b.labels), metas: len(b.metas)})
	}
	return len(b.series) > 0
}

// work downsamples the series of a batch. What comes after a series that cannot
// be is left.
func (b *batch) work(ctx context.Context, p *pipeline) {
	b.d.Reset()
	from := batchSpan{}
	for i := range b.series {
		s := &b.series[i]
		if b.err = ctx.Err(); b.err == nil {
			b.err = b.one(p, b.labels[from.labels:s.labels], b.metas[from.metas:s.metas])
		}
		if b.err != nil {
			b.series = b.series[:i]
			return
		}
		s.out = len(b.out)
		from = *s
	}
}

// one downsamples one series.
func (b *batch) one(p *pipeline, lset []block.LabelRef, metas []block.ChunkMeta) (err error) {
	if b.in, err = p.r.AppendChunks(b.in[:0], metas); err == nil {
		b.out, err = b.d.Append(b.out, p.from, p.to, b.in)
	}
	if err != nil {
		return inSeries(p.r, lset, err)
	}
	return nil
}

// write adds what was made to the block, and then returns what it failed with.
func (b *batch) write(w *block.Writer) error {
	from := batchSpan{}
	for _, s := range b.series {
		if s.out > from.out {
			if err := w.AddRefs(b.labels[from.labels:s.labels], b.out[from.out:s.out]); err != nil {
				return err
			}
		}
		from = s
	}
	return b.err
}

// run goes through all series.
func (p *pipeline) run(ctx context.Context, workers int) error {
	it := p.r.Series()
	if workers == 1 {
		return p.alone(ctx, it)
	}
	return p.parallel(ctx, it, workers)
}

// alone goes through all series in the caller's goroutine.
func (p *pipeline) alone(ctx context.Context, it *block.SeriesIter) error {
	b := newBatch()
	for b.fill(it) {
		b.work(ctx, p)
		if err := b.write(p.w); err != nil {
			return err
		}
	}
	return it.Err()
}

// parallel goes through all series while others work on them.
func (p *pipeline) parallel(parent context.Context, it *block.SeriesIter, workers int) error {
	ctx, cancel := context.WithCancel(parent)
	var wg sync.WaitGroup
	// All batches fit in, so that nobody waits to send.
	todo := make(chan *batch, 2*workers)
	for range workers {
		wg.Go(func() {
			for b := range todo {
				b.work(ctx, p)
				b.done <- struct{}{}
			}
		})
	}
	defer wg.Wait()
	defer close(todo)
	defer cancel()

	var queue []*batch // in the order of the index
	var free *batch
	for more := true; more || len(queue) > 0; {
		for more && len(queue) < cap(todo) {
			b := free
			if free = nil; b == nil {
				b = newBatch()
			}
			if more = b.fill(it); more {
				queue = append(queue, b)
				todo <- b
			}
		}
		if len(queue) == 0 {
			break
		}
		if err := parent.Err(); err != nil {
			return err
		}
		b := queue[0]
		queue = append(queue[:0], queue[1:]...)
		<-b.done
		if err := b.write(p.w); err != nil {
			return err
		}
		free = b
	}
	return it.Err()
}

// inSeries says in which series something went wrong.
func inSeries(r *block.Reader, refs []block.LabelRef, err error) error {
	b := labels.NewScratchBuilder(0)
	for _, l := range refs {
		b.Add(string(r.Symbols().Bytes(l.Name)), string(r.Symbols().Bytes(l.Value)))
	}
	b.Sort()
	lset := b.Labels()
	if s, ok := errors.AsType[*block.SeriesError](err); ok {
		return &block.SeriesError{Labels: lset, Kind: s.Kind, Detail: s.Detail}
	}
	c, ok := errors.AsType[*ChunkError](err)
	if !ok {
		return fmt.Errorf("series %s: %w", lset, err)
	}
	err = fmt.Errorf("series %s: %w", lset, err)
	if errors.Is(c, block.ErrUnsupported) {
		return err
	}
	return &block.CorruptError{Block: r.Meta().ULID, File: block.ChunksDir, Err: err}
}
