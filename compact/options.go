package compact

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/dedup"
)

// Defaults of Options. They are those of Thanos' flags.
const (
	DefaultConsistencyDelay = 30 * time.Minute
	DefaultDeleteDelay      = 48 * time.Hour
	DefaultPartialAge       = 48 * time.Hour
	DefaultMaxIndexBytes    = 64 << 30
	DefaultWaitInterval     = 5 * time.Minute
	DefaultCleanupInterval  = 5 * time.Minute
)

// DefaultRanges returns Thanos' levels of compaction: 1h, 2h, 8h, 2d, 14d.
func DefaultRanges() []time.Duration {
	const h, d = time.Hour, 24 * time.Hour
	return []time.Duration{1 * h, 2 * h, 8 * h, 2 * d, 14 * d}
}

// Overlap says what becomes of blocks of one group that overlap in time.
type Overlap int

const (
	// OverlapMerge merges them. Thanos does so with --compact.enable-vertical-compaction
	// or with replica labels, and else halts.
	OverlapMerge Overlap = iota
	// OverlapLeave leaves them alone, and goes on with the others.
	OverlapLeave
)

// Downsampling says which resolutions are made.
type Downsampling int

const (
	// DownsampleAll makes 5m and 1h.
	DownsampleAll Downsampling = iota
	// DownsampleFiveMinutes makes 5m alone.
	DownsampleFiveMinutes
	// DownsampleNone makes none, as Thanos' --downsampling.disable does. Blocks that
	// there are of them are compacted and deleted all the same.
	DownsampleNone
)

// Interlock says what happens when a block has had its time by Retention and the
// next resolution that is kept does not have what is in it.
type Interlock int

const (
	// InterlockOn downsamples the block first, whatever its range, then marks it.
	InterlockOn Interlock = iota
	// InterlockOff marks it, as Thanos does. What was not downsampled is lost.
	InterlockOff
)

// Options of New and MakePlan. The zero value, and nil, are good and do what Thanos does
// by default, where not said otherwise.
type Options struct {
	// Ranges are the levels of compaction, ascending, each a multiple of the one
	// before: blocks are merged into ones of the second, then of the third... Nil is
	// DefaultRanges; Thanos' --debug.max-compaction-level cuts it short.
	Ranges []time.Duration
	// ConsistencyDelay is how long ago a block must have been uploaded, those of
	// compactors and of repairs excepted. 0 is DefaultConsistencyDelay, less than 0
	// none.
	ConsistencyDelay time.Duration
	// DeleteDelay is how long blocks that are marked for deletion stay. Readers
	// that ignore marks for a time must do so for less. 0 is DefaultDeleteDelay, less
	// than 0 none.
	DeleteDelay time.Duration
	// PartialAge is how long ago the newest object of an upload that has not ended
	// must have been written for it to be deleted. 0 is DefaultPartialAge.
	PartialAge time.Duration
	// MaxIndexBytes is how large the index of a block may be that several are merged
	// into, with 15% left free for what is not foreseen. 0 is DefaultMaxIndexBytes.
	MaxIndexBytes int64
	// Overlap says what becomes of blocks that overlap.
	Overlap Overlap
	// ReplicaLabels are external labels by which replicas are told apart. Blocks
	// that differ in them alone are one group, and the blocks that are made of them
	// do not have them any more. That cannot be undone.
	ReplicaLabels []string
	// PreferReplicas are the replicas that come first where replicas are merged; see
	// dedup.Replicas. None means no preference.
	PreferReplicas []*labels.Matcher
	// Algorithm merges the samples of replicas, which ReplicaLabels tell apart. Of
	// blocks that overlap and are of the same replica all samples count, whatever it
	// is. Nil is dedup.Follow. Thanos' default is dedup.Chain, all samples of all,
	// which is right for copies only: of two Prometheus servers that scrape on their
	// own it writes, for good, twice the samples, and counters that fall whenever the
	// later scrape saw less (kube-thanos#290).
	Algorithm dedup.Algorithm

	// Downsampling says which resolutions are made.
	Downsampling Downsampling
	// Retention is how long blocks are kept, by resolution.
	Retention Retention
	// RetentionRules come before Retention: the first that matches a block's
	// external labels, without replica labels, says how long it is kept.
	RetentionRules []RetentionRule
	// Interlock says whether retention waits for downsampling.
	Interlock Interlock
	// MaxHold bounds how long after its time a block is kept because it cannot be
	// downsampled. 0 is no bound. Blocks that can be are downsampled however late.
	MaxHold time.Duration

	// Shards is among how many compactors groups are divided, and Shard which one
	// this is, from 0. Shards of 0 or 1 is all of them. See ShardOf.
	Shards, Shard int

	// MinTime and MaxTime bound the blocks that there are for the compactor; see
	// block.TimePartition. The zero value is no bound.
	MinTime, MaxTime block.TimeBound
	// Relabel selects the blocks that there are for the compactor; see
	// block.LabelShard.
	Relabel []*relabel.Config

	// Lister says what is in the bucket; nil lists all objects where the bucket can
	// do that in one go. See block.FetcherOptions.
	Lister block.Lister
	// MetaConcurrency is how many meta.json files are read at a time. 0 is that of
	// block.FetcherOptions.
	MetaConcurrency int

	// Concurrency is how many jobs run at a time, of groups that differ. 0 is 1.
	Concurrency int
	// DownsampleConcurrency is how many blocks are downsampled at a time. 0 is 1.
	DownsampleConcurrency int
	// FetchConcurrency is how many blocks of a job are downloaded at a time, while
	// those that are there are looked at. 0 is 1.
	FetchConcurrency int
	// FilesConcurrency is how many files of a block are transferred at a time. 0 is
	// 1.
	FilesConcurrency int
	// Hash is the hash that meta.json of new blocks has of their files; none if empty.
	Hash block.HashFunc
	// WaitInterval is the time between two cycles of Run. 0 is DefaultWaitInterval.
	WaitInterval time.Duration
	// CleanupInterval is the time between two cleanups during a cycle. 0 is
	// DefaultCleanupInterval; less than 0 leaves them to the cycle.
	CleanupInterval time.Duration

	// Logger logs what is done; nil is silent.
	Logger *slog.Logger
	// Registerer registers the metrics; nil leaves them unregistered. Compactors that
	// share one share counters, which is meaningful, and gauges, which is not: give
	// each of many a prometheus.WrapRegistererWith of its own.
	Registerer prometheus.Registerer
}

// complete returns a copy with defaults filled in, and all problems joined. To
// complete it again changes nothing.
func (o *Options) complete() (*Options, error) {
	out := &Options{}
	if o != nil {
		*out = *o
	}
	if out.Ranges == nil {
		out.Ranges = DefaultRanges()
	}
	out.Ranges = slices.Clone(out.Ranges)
	out.ReplicaLabels = slices.Clone(out.ReplicaLabels)
	err := out.validate()
	orDefault(&out.ConsistencyDelay, DefaultConsistencyDelay)
	orDefault(&out.DeleteDelay, DefaultDeleteDelay)
	orDefault(&out.PartialAge, DefaultPartialAge)
	orDefault(&out.MaxIndexBytes, DefaultMaxIndexBytes)
	orDefault(&out.WaitInterval, DefaultWaitInterval)
	orDefault(&out.CleanupInterval, DefaultCleanupInterval)
	orDefault(&out.Shards, 1)
	for _, n := range []*int{&out.Concurrency, &out.DownsampleConcurrency, &out.FetchConcurrency, &out.FilesConcurrency} {
		orDefault(n, 1)
	}
	if out.Algorithm == nil {
		out.Algorithm = dedup.Follow{}
	}
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, err
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (o *Options) validate() error {
	var errs []error
	bad := func(wrong bool, option string, v any, why string) {
		if wrong {
			errs = append(errs, fmt.Errorf("option %s: %v %s", option, v, why))
		}
	}
	negative := func(n int, option string) { bad(n < 0, option, n, "is negative") }
	for i, r := range o.Ranges {
		bad(r <= 0 || r%time.Millisecond != 0, "Ranges", r, "is no range")
		bad(i > 0 && (r <= o.Ranges[i-1] || r%max(o.Ranges[i-1], 1) != 0), "Ranges", r, "is no multiple of the range before")
	}
	bad(o.PartialAge < 0, "PartialAge", o.PartialAge, "is negative")
	bad(o.MaxIndexBytes < 0, "MaxIndexBytes", o.MaxIndexBytes, "is negative")
	bad(o.Overlap < OverlapMerge || o.Overlap > OverlapLeave, "Overlap", int(o.Overlap), "is not known")
	bad(o.Downsampling < DownsampleAll || o.Downsampling > DownsampleNone, "Downsampling", int(o.Downsampling), "is not known")
	bad(o.Interlock < InterlockOn || o.Interlock > InterlockOff, "Interlock", int(o.Interlock), "is not known")
	bad(o.MaxHold < 0, "MaxHold", o.MaxHold, "is negative")
	bad(o.WaitInterval < 0, "WaitInterval", o.WaitInterval, "is negative")
	negative(o.Shards, "Shards")
	bad(o.Shard < 0 || o.Shard >= max(o.Shards, 1), "Shard", o.Shard, fmt.Sprintf("is not one of %d", max(o.Shards, 1)))
	negative(o.MetaConcurrency, "MetaConcurrency")
	negative(o.Concurrency, "Concurrency")
	negative(o.DownsampleConcurrency, "DownsampleConcurrency")
	negative(o.FetchConcurrency, "FetchConcurrency")
	negative(o.FilesConcurrency, "FilesConcurrency")
	errs = append(errs, o.validateRetention()...)
	return errors.Join(errs...)
}
