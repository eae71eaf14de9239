package bucketstore

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/relabel"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/store"
)

// Defaults of Options. Those that Thanos' store gateway has a flag for are its.
const (
	DefaultSyncInterval  = 15 * time.Minute
	DefaultConcurrency   = 20
	DefaultDeletionDelay = 24 * time.Hour
	DefaultHeaderIdle    = 5 * time.Minute
	DefaultBatchSize     = 8192
	DefaultCallBytes     = 64 << 20
)

// Options of Open. The zero value is good.
type Options struct {
	// SyncInterval is the time between two Syncs of Run. 0 is
	// DefaultSyncInterval. After a Sync that did not get to see the whole bucket
	// the next one follows after a tenth of it.
	SyncInterval time.Duration
	// Concurrency is how many blocks are loaded at a time; four that are small count
	// as one. 0 is DefaultConcurrency.
	Concurrency int
	// MaxCalls is how many calls run at a time; others wait. 0 is unlimited, where
	// Thanos' store gateway has 20. Mind that a reader that needs several answers at
	// once, such as a join of two streams, never gets them if it needs more.
	MaxCalls int

	// MinTime and MaxTime bound what the Store answers for: blocks that overlap,
	// and of them what lies between. The zero value is no bound.
	MinTime, MaxTime block.TimeBound
	// Relabel selects blocks by their external labels and __block_id, so that
	// several gateways share the blocks of a bucket; none selects all. See
	// block.LabelShard.
	Relabel []*relabel.Config
	// ConsistencyDelay is how old blocks have to be, for buckets in which an object
	// may not be seen everywhere as soon as it is written. 0 is none.
	ConsistencyDelay time.Duration
	// DeletionDelay is how long blocks are read on that are marked for deletion. It
	// must be less than the compactor's delay, and more than it takes gateways to
	// load what replaces them. 0 is DefaultDeletionDelay; less than 0 is none.
	DeletionDelay time.Duration
	// Filters are further filters, which run last.
	Filters []block.Filter
	// Lister says what is in the bucket; nil lists all objects where the bucket can
	// do that in one go. See block.FetcherOptions.
	Lister block.Lister
	// MetaConcurrency is how many meta.json files are read at a time. 0 is that of
	// block.FetcherOptions.
	MetaConcurrency int
	// HeaderIdle is how long the index header of a block that nobody reads stays
	// open. 0 is DefaultHeaderIdle; less than 0 is forever.
	HeaderIdle time.Duration

	// Limits bound one Series call; 0 is unlimited. Series and Chunks count before
	// blocks are merged, so that a series of two blocks counts twice, as with
	// Thanos; Bytes are those that are read of blocks, from the bucket or a cache.
	// More is a *store.LimitError. Label queries heed Series and Bytes.
	Limits store.Limits
	// Cache keeps postings and series entries of indexes; nil keeps none. See
	// NewMemoryCache.
	Cache Cache
	// ChunkCache keeps ranges of chunks; nil keeps none. It pays where the same
	// queries come again and again, and may be the same as Cache.
	ChunkCache Cache
	// BatchSize is how many series of a block are read at a time, at most. 0 is
	// DefaultBatchSize.
	BatchSize int
	// CallBytes is about how much memory series and chunks that are read ahead may
	// take for one call, whatever number of blocks it reads: these share it, with at
	// least 128 KiB for each batch. 0 is DefaultCallBytes.
	CallBytes int64
	// RequestCost is how many bytes cost as much as one more request beside others
	// that run: ranges of an object that are nearer to each other are read together.
	// 0 is 4 KiB. Where there are more ranges than are read at once, others are read
	// together as well, the nearest first, up to 64 KiB.
	RequestCost int64
	// MaxRequests is how many requests for ranges run at a time, of all calls
	// together. 0 is 256.
	MaxRequests int
	// HedgeDelay is when a second request is sent beside one that is not answered,
	// for at most one request in 20. 0 sends none.
	HedgeDelay time.Duration
	// SeriesHints sends hints with the blocks that were read after the series, as
	// answers to label queries have them always. Thanos' store gateway does not,
	// and what else asks a store for series may not know them.
	SeriesHints bool

	// Logger logs what Open and Run find; nil is silent.
	Logger *slog.Logger
	// Registerer registers the metrics; nil leaves them unregistered. Stores that
	// share one share counters and histograms, which is meaningful, and
	// thanos_blocks_meta_synced of their fetchers, which is not: give each Store of
	// many a prometheus.WrapRegistererWith of its own.
	Registerer prometheus.Registerer
	// TracerProvider makes a span of each call; nil makes none.
	TracerProvider trace.TracerProvider
}

// complete returns a copy with defaults filled in, and all problems joined.
func (o *Options) complete() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	var errs []error
	check := func(name string, negative bool, v any) {
		if negative {
			errs = append(errs, fmt.Errorf("option %s: %v is negative", name, v))
		}
	}
	check("SyncInterval", out.SyncInterval < 0, out.SyncInterval)
	check("Concurrency", out.Concurrency < 0, out.Concurrency)
	check("MaxCalls", out.MaxCalls < 0, out.MaxCalls)
	check("ConsistencyDelay", out.ConsistencyDelay < 0, out.ConsistencyDelay)
	check("MetaConcurrency", out.MetaConcurrency < 0, out.MetaConcurrency)
	check("Limits", out.Limits.Series < 0 || out.Limits.Chunks < 0 || out.Limits.Bytes < 0, out.Limits)
	check("BatchSize", out.BatchSize < 0, out.BatchSize)
	check("CallBytes", out.CallBytes < 0, out.CallBytes)
	check("RequestCost", out.RequestCost < 0, out.RequestCost)
	check("MaxRequests", out.MaxRequests < 0, out.MaxRequests)
	check("HedgeDelay", out.HedgeDelay < 0, out.HedgeDelay)
	orDefault(&out.SyncInterval, DefaultSyncInterval)
	orDefault(&out.Concurrency, DefaultConcurrency)
	orDefault(&out.DeletionDelay, DefaultDeletionDelay)
	orDefault(&out.HeaderIdle, DefaultHeaderIdle)
	orDefault(&out.BatchSize, DefaultBatchSize)
	orDefault(&out.CallBytes, DefaultCallBytes)
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	if out.TracerProvider == nil {
		out.TracerProvider = noop.NewTracerProvider()
	}
	return out, errors.Join(errs...)
}

func orDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// filters returns the filters of blocks, in the order in which they run.
func (o *Options) filters() ([]block.Filter, error) {
	standard, err := block.StandardFilters(&block.FilterOptions{
		MinTime: o.MinTime, MaxTime: o.MaxTime, Relabel: o.Relabel,
		ConsistencyDelay: o.ConsistencyDelay, DeletionDelay: max(o.DeletionDelay, 0),
	})
	if err != nil {
		return nil, fmt.Errorf("option Relabel: %w", err)
	}
	return append(standard, o.Filters...), nil
}

// clamp bounds a range of time, ms, both ends inclusive, by MinTime and MaxTime.
func (o *Options) clamp(mint, maxt int64, now time.Time) (int64, int64) {
	if t, ok := o.MinTime.UnixMilli(now); ok {
		mint = max(mint, t)
	}
	if t, ok := o.MaxTime.UnixMilli(now); ok {
		maxt = min(maxt, t)
	}
	return mint, maxt
}
