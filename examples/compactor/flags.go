package main

import (
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/examples/internal/objstore"
	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
)

// flags are Thanos' where they mean the same.
type flags struct {
	bucket  *objstore.Config
	dataDir *string
	wait    *bool
	dryRun  *bool
	relabel *program.Content

	maxIndex        *int64
	maxLevel        int
	replicaLabels   *[]string
	prefer          *program.Prefer
	algorithm       *string
	vertical        *bool
	noDownsampling  *bool
	strictRetention *bool
	hash            *string
	opts            compact.Options
}

func newFlags(p *program.Program) *flags {
	levels := len(compact.DefaultRanges()) - 1
	f := &flags{
		bucket:  objstore.NewConfig(p.Flags, "objstore"),
		dataDir: p.Flags.String("data-dir", "./data", "directory for what is kept of blocks, and for the blocks that are worked on"),
		wait:    p.Flags.Bool("wait", false, "wait for new work when all is done, instead of ending"),
		dryRun:  p.Flags.Bool("dry-run", false, "print what would be done, and why, and do nothing (not in Thanos)"),
		relabel: program.NewContent(p.Flags, "selector.relabel-config", "relabel configurations that choose blocks by external labels and __block_id"),

		maxIndex:        p.Bytes("compact.block-max-index-size", compact.DefaultMaxIndexBytes, "how large the index of a block may become"),
		replicaLabels:   p.Strings("deduplication.replica-label", "external label that tells replicas apart: they are merged, and lose it"),
		prefer:          program.NewPrefer(p.Flags, "deduplication.prefer-replica", `selector of replicas that come before others, such as {replica="a"} (not in Thanos)`),
		algorithm:       p.Flags.String("deduplication.func", "", `how replicas are merged, which --deduplication.replica-label tells apart: follow, which is the default (not in Thanos), penalty, or chain: all samples of all, which is Thanos' default, and is wrong for Prometheus replicas, since they scrape at times of their own`),
		vertical:        p.Flags.Bool("compact.enable-vertical-compaction", true, "merge blocks that overlap; otherwise they are left alone (in Thanos: false, and it halts)"),
		noDownsampling:  p.Flags.Bool("downsampling.disable", false, "do not downsample"),
		strictRetention: p.Flags.Bool("retention.strict", false, "delete blocks after their retention whether or not they were downsampled, which Thanos does without being told (not in Thanos)"),
		hash:            p.Enum("hash-func", "hash of each file of a block that is noted in its meta.json, which saves downloads", "", string(block.HashSHA256)),
	}
	program.Count(p.Flags, &f.maxLevel, "debug.max-compaction-level", levels, 0, fmt.Sprintf("greatest compaction level, from 0 to %d: blocks of up to 1h, 2h, 8h, 2d, 14d", levels))
	acceptUnused(p.Flags)
	o := &f.opts
	objstore.TimeBound(p.Flags, &o.MinTime, "min-time", "compact nothing before")
	objstore.TimeBound(p.Flags, &o.MaxTime, "max-time", "compact nothing after")
	p.Duration(&o.ConsistencyDelay, "consistency-delay", compact.DefaultConsistencyDelay, "how long ago a block has to have been uploaded to be compacted; those of compactors are taken at once")
	p.Duration(&o.DeleteDelay, "delete-delay", compact.DefaultDeleteDelay, "how long blocks stay that are marked for deletion; 0 deletes them at once, under the eyes of readers")
	p.Duration(&o.WaitInterval, "wait-interval", compact.DefaultWaitInterval, "time from the end of one run to the next, with --wait")
	p.Duration(&o.CleanupInterval, "compact.cleanup-interval", compact.DefaultCleanupInterval, "time between two cleanups of the bucket, with --wait; 0 is none but those of each run")
	p.Duration(&o.Retention.Raw, "retention.resolution-raw", 0, "how long raw blocks are kept; 0 is for ever")
	p.Duration(&o.Retention.FiveMinutes, "retention.resolution-5m", 0, "how long blocks of 5 minutes are kept; 0 is for ever")
	p.Duration(&o.Retention.OneHour, "retention.resolution-1h", 0, "how long blocks of 1 hour are kept; 0 is for ever")
	retentionRules(p.Flags, &o.RetentionRules)
	p.Duration(&o.MaxHold, "retention.max-hold", 0, "how long a block that cannot be downsampled is kept beyond its retention; 0 is for ever (not in Thanos)")
	program.Count(p.Flags, &o.Concurrency, "compact.concurrency", 1, 1, "how many groups are compacted at a time")
	program.Count(p.Flags, &o.FetchConcurrency, "compact.blocks-fetch-concurrency", 1, 1, "how many blocks of a group are downloaded at a time")
	program.Count(p.Flags, &o.DownsampleConcurrency, "downsample.concurrency", 1, 1, "how many blocks are downsampled at a time")
	program.Count(p.Flags, &o.FilesConcurrency, "block-files-concurrency", 1, 1, "how many files of a block are downloaded or uploaded at a time")
	program.Count(p.Flags, &o.Shards, "shards", 1, 1, "among how many compactors the groups are divided (not in Thanos)")
	program.Count(p.Flags, &o.Shard, "shard", 0, 0, "which of the compactors of --shards this is, from 0 (not in Thanos)")
	return f
}

// acceptUnused declares flags of Thanos that have nothing to say here, so that one
// script can start either.
func acceptUnused(flags *flag.FlagSet) {
	ignore := func(string) error { return nil }
	for name, why := range map[string]string{
		"block-discovery-strategy":     "all objects are listed, since their times are needed",
		"block-meta-fetch-concurrency": "32 at a time",
		"compact.progress-interval":    "progress is always up to date",
		"http-grace-period":            "10s",
		"bucket-web-label":             "there is no block viewer",
		"web.route-prefix":             "there is no block viewer",
		"web.external-prefix":          "there is no block viewer",
		"web.prefix-header":            "there is no block viewer",
		"auto-gomemlimit.ratio":        "the environment variable GOMEMLIMIT says how much memory there is",
		"tracing.config":               "nothing is traced",
		"tracing.config-file":          "nothing is traced",

		"block-viewer.global.sync-block-interval": "there is no block viewer",
		"block-viewer.global.sync-block-timeout":  "there is no block viewer",
	} {
		flags.Func(name, "of Thanos, without effect: "+why, ignore)
	}
	for name, why := range map[string]string{
		"compact.skip-block-with-out-of-order-chunks": "bad blocks always are skipped",
		"debug.halt-on-error":                         "nothing halts",
		"debug.accept-malformed-index":                "bad blocks are skipped",
		"web.disable":                                 "there is no block viewer",
		"web.disable-cors":                            "there is no block viewer",
		"enable-auto-gomemlimit":                      "the environment variable GOMEMLIMIT says how much memory there is",
		"disable-admin-operations":                    "there are none",
	} {
		flags.BoolFunc(name, "of Thanos, without effect: "+why, ignore)
	}
}

// options returns what the flags say.
func (f *flags) options(p *program.Program) (*compact.Options, error) {
	o := f.opts
	o.Logger, o.Registerer = p.Log, p.Registry
	o.MaxIndexBytes = *f.maxIndex
	o.ReplicaLabels = *f.replicaLabels
	o.Hash = block.HashFunc(*f.hash)
	for _, d := range []*time.Duration{&o.ConsistencyDelay, &o.DeleteDelay, &o.CleanupInterval} {
		if *d == 0 {
			*d = -1 // None.
		}
	}
	if !*f.vertical && len(o.ReplicaLabels) == 0 {
		o.Overlap = compact.OverlapLeave
	}
	if *f.noDownsampling {
		o.Downsampling = compact.DownsampleNone
	}
	if *f.strictRetention {
		o.Interlock = compact.InterlockOff
	}
	var err error
	if o.Ranges, err = ranges(f.maxLevel); err != nil {
		return nil, err
	}
	if *f.algorithm != "" {
		if o.Algorithm, err = dedup.Parse(*f.algorithm); err != nil {
			return nil, fmt.Errorf("--deduplication.func: %w", err)
		}
	}
	if o.PreferReplicas, err = f.prefer.Among(o.ReplicaLabels, "deduplication.replica-label"); err != nil {
		return nil, err
	}
	if err := objstore.CheckTimes(o.MinTime, o.MaxTime); err != nil {
		return nil, err
	}
	if o.Shard >= o.Shards {
		return nil, fmt.Errorf("--shard=%d is not less than --shards=%d", o.Shard, o.Shards)
	}
	relabel, err := f.relabel.Read()
	if err != nil {
		return nil, err
	}
	if o.Relabel, err = block.ParseRelabel(relabel); err != nil {
		return nil, fmt.Errorf("%s: %w", f.relabel, err)
	}
	return &o, nil
}

// ranges returns the levels up to one, counted as Thanos does.
func ranges(level int) ([]time.Duration, error) {
	all := compact.DefaultRanges()
	if level < 0 || level >= len(all) {
		return nil, &levelError{level: level, most: len(all) - 1}
	}
	return all[:level+1], nil
}

// matchers parses the matchers of a selector.
func matchers(selector string) ([]*labels.Matcher, error) {
	if strings.TrimSpace(selector) == "" {
		return nil, nil
	}
	return parse.MetricSelector(selector)
}
