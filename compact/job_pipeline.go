package compact

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/compact/internal/step"
)

// write merges all series and writes them: one goroutine goes through the indexes
// and fills batches, as many as there are processors read, merge and downsample
// chunks, and one writes what has come of it, in order. Batches go round, so that
// nobody is more than a few of them ahead.
func (r *jobRun) write(sources []*source) (err error) {
	m, err := newMerge(r.ctx, r.dir, sources, r.addSymbol)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()

	workers := runtime.GOMAXPROCS(0)
	n := workers + 2
	free, todo, order := make(chan *batch, n), make(chan *batch, n), make(chan *batch, n)
	for range n {
		free <- newBatch(r.opts, r.resolution)
	}
	g, ctx := errgroup.WithContext(r.ctx)
	g.Go(func() error {
		defer close(todo)
		defer close(order)
		return r.fill(ctx, m, free, todo, order)
	})
	for range workers {
		g.Go(func() error {
			for b := range todo {
				b.done <- r.work(ctx, b)
			}
			return nil
		})
	}
	g.Go(func() error { return r.drain(order, free) })
	if err := g.Wait(); err != nil {
		return err
	}
	return r.ctx.Err()
}

// fill fills batches until all series are in one.
func (r *jobRun) fill(ctx context.Context, m *merge, free <-chan *batch, todo, order chan<- *batch) error {
	for more := true; more; {
		var b *batch
		select {
		case b = <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
		b.reset()
		for more && !b.full() {
			var err error
			if more, err = m.next(b); err != nil {
				return err
			}
		}
		// Nobody waits: there is room for all batches.
		order <- b
		todo <- b
	}
	return nil
}

// work does what there is to do with the chunks of a batch.
func (r *jobRun) work(ctx context.Context, b *batch) error {
	for i := range b.items {
		if err := ctx.Err(); err != nil {
			return err
		}
		it := &b.items[i]
		if err := b.read(it); err != nil {
			return err
		}
		err := safely(func() error {
			if err := b.merge(it); err != nil {
				return err
			}
			return b.downsample(it, r.resolution, r.last)
		})
		if err != nil {
			return b.blame(it, err)
		}
	}
	return nil
}

// drain writes batches in their order. It ends at the first error, and the others
// end because the context does.
func (r *jobRun) drain(order <-chan *batch, free chan<- *batch) error {
	for b := range order {
		if err := <-b.done; err != nil {
			return err
		}
		for _, o := range r.outputs {
			if err := step.Do(r.ctx, "write "+r.path(o.begun)); err != nil {
				return err
			}
			if err := o.add(b); err != nil {
				return fmt.Errorf("write %s block: %w", o.resolution, err)
			}
		}
		free <- b
	}
	return nil
}
