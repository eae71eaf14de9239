package bucketstore

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/thanoskit/thanoskit/block"
)

// Sync brings the Store up to date with the bucket: it loads blocks that are new,
// Options.Concurrency at a time, tries again those that it could not load, and
// then drops those that are gone. Calls that run keep the blocks that they read.
//
// Nothing is dropped when not all blocks could be judged: the error is then a
// *ViewError, and calls warn of it until it is over.
//
// Errors: joined, a *BlockError for each block that cannot be loaded and a
// *ViewError; what else there is to do is done all the same. Any other error says
// that nothing was: the bucket's, the context's, ErrClosed.
//
// Cost: a listing, and for each new block its meta.json and one to three requests
// for its index header; nothing for a block of which dir has both.
func (s *Store) Sync(ctx context.Context) error {
	select {
	case s.syncing <- struct{}{}:
		defer func() { <-s.syncing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.mu.RLock()
	closed := s.closed
	if !closed {
		s.calls.Add(1) // Close waits
	}
	s.mu.RUnlock()
	if closed {
		return ErrClosed
	}
	defer s.calls.Done()

	view, err := s.fetcher.Fetch(ctx)
	if err != nil {
		return err
	}
	failures, err := s.load(ctx, view)
	if err != nil {
		return err
	}
	var incomplete error
	if view.Incomplete != nil {
		incomplete = &ViewError{view.Incomplete}
		failures = append(failures, incomplete)
	} else {
		s.dropMissing(view)
	}
	s.mu.Lock()
	s.view = incomplete
	s.mu.Unlock()
	return errors.Join(failures...)
}

// Of blocks whose indexes have at most smallIndex bytes, smallAtATime are loaded
// in place of one: each waits for one request, and takes next to no memory.
const (
	smallIndex   = 256 << 10
	smallAtATime = 4
)

// load loads the blocks of a view that are not loaded. It returns what is wrong
// with those that cannot be, in order of their ULIDs; the error is the
// context's.
func (s *Store) load(ctx context.Context, view *block.View) ([]error, error) {
	ids := slices.SortedFunc(maps.Keys(view.Metas), ulid.ULID.Compare)
	failures := make([]error, len(ids))
	g, gctx := errgroup.WithContext(ctx)
	room := semaphore.NewWeighted(int64(s.opts.Concurrency) * smallAtATime)
	for i, id := range ids {
		b := s.candidate(view.Metas[id])
		if b == nil {
			continue
		}
		weight := int64(smallAtATime)
		if size := b.meta.IndexSize(); size > 0 && size <= smallIndex {
			weight = 1
		}
		if room.Acquire(gctx, weight) != nil {
			break // what Wait returns
		}
		g.Go(func() error {
			defer room.Release(weight)
			failures[i] = s.loadBlock(gctx, b)
			return gctx.Err()
		})
	}
	if err := errors.Join(g.Wait(), ctx.Err()); err != nil {
		return nil, context.Cause(ctx)
	}
	return slices.DeleteFunc(failures, func(err error) bool { return err == nil }), nil
}

// candidate returns a block that is to be loaded, or nil if it is.
func (s *Store) candidate(m *block.Meta) *loadedBlock {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch b := s.blocks[m.ULID]; {
	case b == nil:
		return newLoadedBlock(m, s.headers.Block(m))
	case changed(b.meta, m):
		return newLoadedBlock(m, b.header)
	case b.broken != nil:
		return b
	}
	return nil
}

// changed reports whether a block has to be looked at with other eyes. Its index
// and chunks never change, but tools may write another meta.json.
func changed(a, b *block.Meta) bool {
	return a != b && (a.MinTime != b.MinTime || a.MaxTime != b.MaxTime || a.Resolution() != b.Resolution() ||
		!maps.Equal(a.Thanos.Labels, b.Thanos.Labels))
}

// loadBlock makes a block ready for calls, or known as broken.
func (s *Store) loadBlock(ctx context.Context, b *loadedBlock) error {
	s.metrics.loads.Inc()
	start := time.Now()
	err := b.header.Prepare(ctx)
	if ctx.Err() != nil { // nothing is known of the block
		return ctx.Err()
	}
	s.metrics.loadDuration.Observe(time.Since(start).Seconds())
	if err != nil {
		err = &BlockError{Block: b.meta.ULID, Op: "load block", Err: typed(s.bkt, err)}
	}
	if err = s.add(b, err); err != nil {
		s.metrics.loadFailures.Inc()
		return err
	}
	s.metrics.lastLoaded.SetToCurrentTime()
	return nil
}

// add makes a block known, in place of what was known of it, with what is wrong
// with it.
func (s *Store) add(b *loadedBlock, broken error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.blocks[b.meta.ULID]; old != nil {
		s.remove(old)
		if old != b {
			old.release()
		}
	}
	key := setKey(b)
	set := s.sets[key]
	if set == nil {
		set = &blockSet{labels: b.labels}
	}
	if err := set.add(b); err != nil {
		return &BlockError{Block: b.meta.ULID, Op: "load block", Err: err}
	}
	b.broken = broken
	s.sets[key], s.blocks[b.meta.ULID] = set, b
	if broken == nil {
		s.metrics.loaded.Inc()
	}
	return broken
}

// remove makes a block unknown. The lock is held.
func (s *Store) remove(b *loadedBlock) {
	delete(s.blocks, b.meta.ULID)
	if key := setKey(b); s.sets[key].remove(b) {
		delete(s.sets, key)
	}
	if b.broken == nil {
		s.metrics.loaded.Dec()
	}
}

// dropMissing drops the blocks that a view does not have.
func (s *Store) dropMissing(view *block.View) {
	var gone []*loadedBlock
	s.mu.Lock()
	for id, b := range s.blocks {
		if view.Metas[id] != nil {
			continue
		}
		gone = append(gone, b)
		s.remove(b)
	}
	s.mu.Unlock()
	for _, b := range gone {
		s.metrics.drops.Inc()
		b.dropped = func() {
			if err := errors.Join(b.header.Close(), b.header.Remove()); err != nil {
				s.metrics.dropFailures.Inc()
				s.opts.Logger.Warn("local files of dropped block not removed", "block", b.meta.ULID, "err", err)
			}
		}
		b.release()
	}
}

// broken returns what is wrong with blocks that could not be loaded.
func (s *Store) broken() (errs []error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, b := range s.blocks {
		if b.broken != nil {
			errs = append(errs, b.broken)
		}
	}
	return errs
}

// syncLog logs what is wrong with blocks, once as long as it stays the same.
type syncLog struct {
	logger *slog.Logger
	told   map[ulid.ULID]string
}

func newSyncLog(l *slog.Logger) *syncLog { return &syncLog{l, map[ulid.ULID]string{}} }

// known notes what was logged by somebody else.
func (l *syncLog) known(errs []error) {
	for _, err := range errs {
		if b, ok := errors.AsType[*BlockError](err); ok {
			l.told[b.Block] = b.Error()
		}
	}
}

// report logs the error of a Sync, and reports whether nothing was achieved.
func (l *syncLog) report(err error) (failed bool) {
	told := map[ulid.ULID]string{}
	for _, err := range unjoin(err) {
		switch e := err.(type) { //nolint:errorlint // As Sync joined them.
		case *BlockError:
			if told[e.Block] = e.Error(); l.told[e.Block] != e.Error() {
				l.logger.Error("block not loaded", "block", e.Block, "err", e.Err)
			}
		case *ViewError:
			l.logger.Warn("blocks not synced whole", "err", e.Err)
		default:
			failed = true
			l.logger.Error("blocks not synced", "err", err)
		}
	}
	if !failed {
		l.told = told
	}
	return failed
}

// unjoin returns the errors that were joined, or the one that was not.
func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok { // of the outermost only
		return j.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
