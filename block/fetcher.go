package block

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"
)

// FetcherOptions are options of a Fetcher. The zero value, and nil, are good.
type FetcherOptions struct {
	// Lister says what is in the bucket. Nil means RecursiveLister where the
	// bucket can do that, else BlockLister.
	Lister Lister
	// Filters run in this order; see StandardFilters.
	Filters []Filter
	// Concurrency is how many requests run at a time, 32 if it is 0.
	Concurrency int
	// Logger is told of files that cannot be cached, and of a bucket in which there
	// is no block, once until there is one: it may be the wrong one, or a directory
	// in which nothing is mounted. Nil means nobody.
	Logger *slog.Logger
	// Registerer gets the metrics; nil means that they are not registered. Fetchers
	// that share one overwrite each other's gauges: tell them apart by a label.
	Registerer prometheus.Registerer
}

// defaultFetchConcurrency is that of requests for small objects.
const defaultFetchConcurrency = 32

// Fetcher keeps up with which blocks there are in a bucket. It reads each
// meta.json and each mark once, and again when the bucket says that it was
// written since.
//
// With a cache directory that holds over restarts: a block that is known costs no
// request but its share of the listing. Where listings do not say when objects
// were written, marks are read each time, and changes of a meta.json go unseen,
// as with Thanos.
//
// Concurrency: safe; one Fetch runs at a time, others wait for it.
// Source: Thanos pkg/block BaseFetcher and MetaFetcher.
type Fetcher struct {
	bkt     objstore.BucketReader
	opts    FetcherOptions
	cache   *diskCache
	metrics *fetcherMetrics

	// busy holds a value while a Fetch runs.
	busy chan struct{}
	// known is what is known of each block that is there.
	known map[ulid.ULID]*entry
	// empty says that there was no block, and that it was said.
	empty bool
}

// NewFetcher returns a Fetcher that keeps meta.json files and marks in cacheDir,
// below meta-syncer/<ULID> as Thanos does; empty means in memory alone. The
// directory is made by Fetch.
//
// Errors: the registerer's.
func NewFetcher(bkt objstore.BucketReader, cacheDir string, opts *FetcherOptions) (*Fetcher, error) {
	f := &Fetcher{bkt: bkt, busy: make(chan struct{}, 1), known: map[ulid.ULID]*entry{}}
	if opts != nil {
		f.opts = *opts
	}
	if f.opts.Concurrency <= 0 {
		f.opts.Concurrency = defaultFetchConcurrency
	}
	if f.opts.Lister == nil {
		f.opts.Lister = defaultLister(bkt, f.opts.Concurrency)
	}
	if f.opts.Logger == nil {
		f.opts.Logger = slog.New(slog.DiscardHandler)
	}
	f.opts.Filters = slices.Clone(f.opts.Filters)
	f.cache = newDiskCache(cacheDir, f.opts.Logger)
	m, err := newFetcherMetrics(f.opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	f.metrics = m
	return f, nil
}

// Fetch returns the blocks that there are now.
//
// Output: a View of its own for the caller; see its fields for what is in none
// of the others.
// Errors: those of the listing and of filters, the context's: nothing is known
// then. What is not known of single blocks makes the View incomplete.
// Cost: a listing, one request for each meta.json and mark that is new.
func (f *Fetcher) Fetch(ctx context.Context) (*View, error) {
	select {
	case f.busy <- struct{}{}:
		defer func() { <-f.busy }()
	case <-ctx.Done():
		return nil, fmt.Errorf("fetch blocks: %w", context.Cause(ctx))
	}
	start := time.Now()
	f.metrics.syncs.Inc()
	v, err := f.fetch(ctx)
	f.metrics.duration.Observe(time.Since(start).Seconds())
	if err != nil {
		f.metrics.failures.Inc()
		return nil, fmt.Errorf("fetch blocks: %w", err)
	}
	if v.Incomplete != nil {
		f.metrics.failures.Inc()
	}
	f.metrics.synced(v)
	return v, nil
}

func (f *Fetcher) fetch(ctx context.Context) (*View, error) {
	listing, err := f.opts.Lister.List(ctx, f.bkt)
	if err != nil {
		return nil, err
	}
	f.sayEmpty(len(listing.Blocks)+len(listing.Failed) == 0)
	load := &load{f: f, known: make(map[ulid.ULID]*entry, len(listing.Blocks))}
	if err := load.all(ctx, listing); err != nil {
		return nil, err
	}
	f.known = load.known
	f.cache.retain(f.known)
	v := newView(f.known)
	for _, filter := range f.opts.Filters {
		if err := filter.Filter(ctx, v); err != nil {
			return nil, fmt.Errorf("filter blocks: %w", err)
		}
	}
	return v, nil
}

// sayEmpty logs when there is no block in the bucket any more, or none yet.
func (f *Fetcher) sayEmpty(empty bool) {
	if empty && !f.empty {
		var name string
		if b, ok := f.bkt.(interface{ Name() string }); ok {
			name = b.Name()
		}
		f.opts.Logger.Warn("no block in the bucket; is it the right one?", "bucket", name, "before", len(f.known))
	}
	f.empty = empty
}

// entry is what is known of a block. It is not changed once others can see it.
type entry struct {
	listed Listed
	meta   *Meta
	marks  [markKinds]markState
	// partial is why this is no block that can be read.
	partial error
	// failed is why it is not known what this is, or not all of it. What was known
	// of it before is kept.
	failed error
}

// markState is a mark of a block as far as it is known.
type markState struct {
	mark *Mark
	err  error // *MetaError or *UnsupportedError.
}

// IncompleteError is an ErrIncomplete with the blocks that could not be judged.
type IncompleteError struct {
	// Failed says why. What was known of such a block before still is in the view.
	Failed map[ulid.ULID]error
}

// shownErrors bounds how many errors IncompleteError shows and unwraps.
const shownErrors = 5

// Error returns the number of blocks and the first errors by ULID.
func (e *IncompleteError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "incomplete view: %d blocks could not be judged", len(e.Failed))
	for i, err := range e.Unwrap() {
		fmt.Fprintf(&b, "%s%v", [...]string{": ", "; "}[min(i, 1)], err)
	}
	if more := len(e.Failed) - shownErrors; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	return b.String()
}

// Unwrap returns the first errors by ULID.
func (e *IncompleteError) Unwrap() []error {
	ids := sortedIDs(e.Failed)
	ids = ids[:min(len(ids), shownErrors)]
	errs := make([]error, len(ids))
	for i, id := range ids {
		errs[i] = fmt.Errorf("block %s: %w", id, e.Failed[id])
	}
	return errs
}

// Is reports that an IncompleteError is an ErrIncomplete.
func (e *IncompleteError) Is(target error) bool { return target == ErrIncomplete }

// sortedIDs returns the keys of a map, ascending.
func sortedIDs[V any](m map[ulid.ULID]V) []ulid.ULID {
	ids := make([]ulid.ULID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, ulid.ULID.Compare)
	return ids
}
