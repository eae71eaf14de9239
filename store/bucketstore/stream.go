package bucketstore

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/store"
)

// Bounds of what one block has in memory for a call: these, and less if many
// blocks answer it. See Options.CallBytes.
const (
	firstBatchBytes = 1 << 20
	maxBatchBytes   = 4 << 20
	minBatchBytes   = 128 << 10
	minBatchCount   = 256
	// entryBytes is about what the labels of a series take while they wait for their
	// chunks.
	entryBytes = 512
)

// stream is the series of one block for one call. Its goroutine reads ahead by
// one batch while another one is being loaded and a third one is being merged.
type stream struct {
	call     *call
	block    *loadedBlock
	matchers []*labels.Matcher

	batches chan *batch // closed at the end
	err     error       // why it ended, valid then; nil if it is all there is
	// damage is the first reason for which a chunk or a series was left out.
	damage  atomic.Pointer[error]
	cancel  context.CancelFunc
	told    bool // of damage
	stopped bool // nobody wants more of it
	algebra algebra
	entries *entries // of the Store's pool, while the block is walked
	loader  chunkLoader
}

// leaveOut notes why a chunk or a series is left out.
func (s *stream) leaveOut(err error) { s.damage.CompareAndSwap(nil, &err) }

// stop ends a stream of which nobody wants more, and lets go of what it has read
// ahead.
func (s *stream) stop() {
	s.stopped = true
	s.cancel()
	for b := range s.batches {
		<-b.loaded
		b.release()
	}
}

// run reads the block until its end, an error, or the end of the context.
func (s *stream) run(ctx context.Context) {
	defer close(s.batches)
	s.err = s.read(ctx)
}

func (s *stream) read(ctx context.Context) error {
	bytes, taken := min(firstBatchBytes, s.call.batchBytes), 0
	return s.walk(ctx, func() error {
		for s.entries.ready() > 0 {
			n, err := s.send(ctx, bytes)
			if err != nil {
				return err
			}
			if taken += n; s.enough(taken) {
				return errEnough
			}
			bytes = min(2*bytes, s.call.batchBytes)
		}
		return nil
	})
}

// labels calls use with the labels of the series, in the order of the block, until
// it returns an error, which is none if it is errEnough.
func (s *stream) labels(ctx context.Context, use func(lset []byte) error) error {
	return s.walk(ctx, func() error {
		s.entries.complete()
		n := len(s.entries.all)
		if err := s.call.limits.add(n, 0); err != nil {
			return err
		}
		for _, x := range s.entries.all {
			if err := use(s.entries.labels[x.labels.from:x.labels.to]); err != nil {
				return err
			}
		}
		s.entries.drop(n)
		return nil
	})
}

// walk reads the entries of the series that match, some at a time, and calls use
// after each time and, when all are complete, at the end. It returns nil if that
// returns errEnough.
func (s *stream) walk(ctx context.Context, use func() error) error {
	c := s.call
	x, err := newIndexReader(ctx, c.store.index, s.block.index, &c.stats)
	if err != nil {
		return s.fail("select series", err)
	}
	defer x.close()
	refs, rest, err := x.postings(ctx, s.matchers)
	if err != nil {
		return s.fail("select series", err)
	}
	s.prepare(x, rest)
	defer func() {
		if s.entries.unlabelled {
			s.leaveOut(s.fail("select series", errNoLabels))
		}
		c.store.entries.put(s.entries)
	}()
	for atATime := s.atATime(); len(refs) > 0; {
		n := min(atATime, len(refs))
		if err := x.series(ctx, refs[:n], s.add); err != nil {
			return s.fail("read series", err)
		}
		if refs = refs[n:]; len(refs) == 0 {
			s.entries.complete()
		}
		switch err := use(); {
		case errors.Is(err, errEnough):
			return nil
		case err != nil:
			return err
		}
		if err := c.limits.foresee(s.entries.waiting()); err != nil {
			return err
		}
	}
	return nil
}

// atATime returns how many series are read at a time: as many as have room for
// their labels and what is known of their chunks, and not more than are wanted.
func (s *stream) atATime() int {
	c, m := s.call, s.block.meta
	// As if chunks were spread evenly over series and time.
	wanted := float64(min(c.maxt, m.MaxTime)-max(c.mint, m.MinTime)) / float64(max(m.MaxTime-m.MinTime, 1))
	chunks := float64(m.Stats.NumChunks) / float64(max(m.Stats.NumSeries, 1)) * min(max(wanted, 0), 1)
	n := min(int(float64(c.blockBytes)/(entryBytes+chunkMetaSize*min(chunks, 1<<20))), c.store.opts.BatchSize)
	if limit := c.req.Limit; limit > 0 {
		n = min(n, limit)
	}
	return max(n, min(minBatchCount, c.store.opts.BatchSize))
}

// add takes the entry of a series, and the first chunk of the one that follows it
// in the index, 0 if not known.
func (s *stream) add(_ int, entry []byte, next uint64) error {
	if err := s.entries.add(entry); err != nil {
		return &block.CorruptError{Block: s.block.meta.ULID, File: block.IndexFile, Err: err}
	}
	if next > 0 {
		s.entries.bound(s.entries.last, next)
	}
	return nil
}

// enough reports whether so many series are all that the call may want.
func (s *stream) enough(taken int) bool {
	limit := s.call.req.Limit
	if limit <= 0 || taken < limit || s.algebra.order.merges() {
		return false
	}
	// Series that lack the aggregates that are wanted are left out later.
	return s.call.req.SkipChunks || !isDownsampled(s.block.meta)
}

// prepare makes everything ready for the first entry.
func (s *stream) prepare(x *indexReader, rest []*labels.Matcher) {
	c := s.call
	has := func(name string) bool { _, ok := x.header.Values(name); return ok }
	s.algebra = newAlgebra(s.block.labels, has, c.req.WithoutReplicaLabels, c.req.Shard)
	s.entries = c.store.entries.get()
	s.entries.mint, s.entries.maxt, s.entries.skipChunks = c.mint, c.maxt, c.req.SkipChunks
	s.entries.begin(&s.algebra, &s.block.sizes, x.symbol, rest)
	s.loader = chunkLoader{
		block: s.block, ranges: chunkRanges{c.store.index.ranger, c.store.chunks, s.block.meta}, want: c.req.Aggregates,
		stats: &c.stats, refetches: &c.refetches, damaged: s.leaveOut,
	}
}

// send hands on a batch of entries that are complete, and has it loaded
// meanwhile. It returns how many series it has.
func (s *stream) send(ctx context.Context, bytes int) (int, error) {
	st := s.call.store
	slots := st.slots.get()
	b, n := s.entries.cut(&st.pages, slots, bytes, isDownsampled(s.block.meta))
	s.entries.drop(n)
	if err := s.call.limits.add(n, len(*slots)); err != nil {
		st.slots.put(slots)
		b.release()
		return 0, err
	}
	s.call.loads.Go(func() {
		defer close(b.loaded)
		err := s.loader.load(ctx, *slots)
		st.slots.put(slots)
		if err != nil {
			b.err = s.fail("read chunks", err)
			return
		}
		b.err = s.call.limits.check()
		for _, pg := range b.pages {
			pg.finish(s.call.req.SkipChunks)
		}
	})
	select {
	case s.batches <- b:
		return n, nil
	case <-ctx.Done():
		<-b.loaded
		b.release()
		return 0, context.Cause(ctx)
	}
}

// fail says of which block an error is.
func (s *stream) fail(op string, err error) error { return s.call.blockError(s.block, op, err) }

// blockError says of which block an error is. That of the context and those of
// limits are the call's.
func (c *call) blockError(b *loadedBlock, op string, err error) error {
	if cause := context.Cause(c.ctx); cause != nil {
		return cause
	}
	if errors.Is(err, store.ErrLimit) {
		return err
	}
	return &BlockError{Block: b.meta.ULID, Op: op, Err: typed(c.store.bkt, err)}
}
