package block

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/thanos-io/objstore"
)

// FetcherOptions are options of a Fetcher. The zero value is good.
type FetcherOptions struct {
	// Lister says what is in the bucket. Nil means RecursiveLister where the
	// bucket can do that, else BlockLister.
	Lister Lister
	// Filters run in order; see Filter.
	Filters []Filter
	// Concurrency is how many requests run at a time, 32 if it is 0.
	Concurrency int
	// Logger is told of meta.json files that cannot be cached; nil means nobody.
	Logger *slog.Logger
	// Registerer gets the metrics; nil means that they are not registered.
	Registerer prometheus.Registerer
}

// Fetcher keeps up with which blocks there are in a bucket.
type Fetcher struct{}

// NewFetcher returns a Fetcher that keeps meta.json files in cacheDir, below
// meta-syncer as Thanos does; empty means in memory alone.
func NewFetcher(bkt objstore.BucketReader, cacheDir string, opts *FetcherOptions) (*Fetcher, error) {
	return nil, errors.ErrUnsupported
}

// Fetch returns the blocks that there are now.
func (f *Fetcher) Fetch(ctx context.Context) (*View, error) { return nil, errors.ErrUnsupported }

// defaultFetchConcurrency is that of requests for small objects.
const defaultFetchConcurrency = 32
