package bucketstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"go.opentelemetry.io/otel/trace"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// Store is the blocks in a bucket as a Store. It is safe for concurrent use.
type Store struct {
	bkt     objstore.BucketReader
	opts    Options
	fetcher *block.Fetcher
	headers *indexheader.Pool
	index   *indexSource
	chunks  *sealedCache // nil if chunks are not cached
	metrics *metrics
	tracer  trace.Tracer
	gate    chan struct{} // a place for each call that may run; nil if unlimited

	pages   pagePool
	frames  framePool
	entries entriesPool
	slots   slotsPool

	syncing chan struct{} // held by the Sync that runs

	mu     sync.RWMutex
	blocks map[ulid.ULID]*loadedBlock
	sets   map[string]*blockSet // by external labels in wire form
	view   error                // why the last view was not complete
	closed bool
	calls  sync.WaitGroup
}

// Open returns the blocks in a bucket as a Store, after a first Sync.
//
// Local files are kept in dir, one directory for each block: an index header, and
// below meta-syncer its meta.json. Without them, all is read from the bucket
// again. No other Store may use dir at the same time. The bucket is not closed by
// the Store. opts may be nil.
//
// Errors: those of the options; those of the file system; that of the bucket if
// not even a list of blocks is to be had. A block that cannot be loaded is no
// error: it is logged, tried again by each Sync, and answers that lack it say so.
func Open(ctx context.Context, bkt objstore.BucketReader, dir string, opts *Options) (*Store, error) {
	o, err := opts.complete()
	if err != nil {
		return nil, err
	}
	s, err := newStore(bkt, dir, o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create directory: %w", err)
	}
	log := newSyncLog(o.Logger)
	if err := s.Sync(ctx); log.report(err) {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.clean(dir); err != nil {
		o.Logger.Warn("local files of blocks that are gone not removed", "err", err)
	}
	return s, nil
}

func newStore(bkt objstore.BucketReader, dir string, o Options) (*Store, error) {
	filters, err := o.filters()
	if err != nil {
		return nil, err
	}
	f, err := block.NewFetcher(bkt, dir, &block.FetcherOptions{
		Lister: o.Lister, Filters: filters, Concurrency: o.MetaConcurrency, Logger: o.Logger, Registerer: o.Registerer,
	})
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	indexCache, err := newSealedCache(o.Cache, o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	chunkCache, err := newSealedCache(o.ChunkCache, o.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s := &Store{
		bkt: bkt, opts: o, fetcher: f, metrics: m, chunks: chunkCache,
		headers: indexheader.NewPool(bkt, dir, nil),
		tracer:  o.TracerProvider.Tracer("github.com/thanoskit/thanoskit/store/bucketstore"),
		syncing: make(chan struct{}, 1),
		blocks:  map[ulid.ULID]*loadedBlock{}, sets: map[string]*blockSet{},
	}
	s.index = &indexSource{
		ranger: newRanger(bkt, rangeOptions{
			requestCost: o.RequestCost, concurrency: o.MaxRequests, hedge: hedgeOptions{delay: o.HedgeDelay},
		}),
		cache: indexCache, matches: newMatchCache(matchCacheBytes),
	}
	if o.MaxCalls > 0 {
		s.gate = make(chan struct{}, o.MaxCalls)
	}
	return s, nil
}

// matchCacheBytes is how much memory of a Store remembers which label values
// matchers match.
const matchCacheBytes = 16 << 20

// Run keeps up with the bucket until the context ends: it calls Sync each
// Options.SyncInterval, and closes index headers that are idle. It returns nil.
//
// What a Sync does not achieve is logged, once for each block and cause, and tried
// again by the next.
func (s *Store) Run(ctx context.Context) error {
	log := newSyncLog(s.opts.Logger)
	log.known(s.broken())
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.closeIdle(ctx) })
	timer := time.NewTimer(s.opts.SyncInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := s.Sync(ctx)
		if errors.Is(err, ErrClosed) {
			<-ctx.Done()
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		wait := s.opts.SyncInterval
		if log.report(err) || errors.Is(err, block.ErrIncomplete) {
			wait /= 10
		}
		timer.Reset(wait)
	}
}

// closeIdle closes index headers that nobody has used for Options.HeaderIdle.
func (s *Store) closeIdle(ctx context.Context) {
	if s.opts.HeaderIdle < 0 {
		return
	}
	tick := time.NewTicker(max(s.opts.HeaderIdle/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if _, err := s.headers.CloseIdle(now.Add(-s.opts.HeaderIdle)); err != nil {
				s.opts.Logger.Warn("index headers not closed", "err", err)
			}
		}
	}
}

// enter begins a call, which leave ends. It waits for Options.MaxCalls.
//
// Errors: ErrClosed; the context's.
func (s *Store) enter(ctx context.Context) (leave func(), err error) {
	if s.gate != nil {
		select {
		case s.gate <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	leave = func() {
		s.calls.Done()
		if s.gate != nil {
			<-s.gate
		}
	}
	if s.closed {
		if s.gate != nil {
			<-s.gate
		}
		return nil, ErrClosed
	}
	s.calls.Add(1)
	return leave, nil
}

// Close waits for calls and for a Sync that run, and closes all local files, which
// stay for the next Open. It is idempotent. Calls after it are answered with
// ErrClosed.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	s.mu.Lock()
	blocks := s.blocks
	s.blocks, s.sets = map[ulid.ULID]*loadedBlock{}, map[string]*blockSet{}
	s.mu.Unlock()
	var errs []error
	for _, b := range blocks {
		if b.broken == nil {
			s.metrics.loaded.Dec()
		}
		errs = append(errs, b.header.Close())
	}
	return errors.Join(errs...)
}

// clean removes what is in dir of blocks that are not loaded, unless it is not
// certain that they are gone.
func (s *Store) clean(dir string) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view != nil {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		id, ok := block.ParseID(filepath.Base(e.Name()))
		if !ok || s.blocks[id] != nil {
			continue
		}
		errs = append(errs, s.headers.Block(&block.Meta{ULID: id}).Remove())
	}
	return errors.Join(errs...)
}

// setKey is what the blocks of a set have in common.
func setKey(b *loadedBlock) string { return string(encoded.AppendLabels(nil, b.labels)) }
