package main

import (
	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/examples/internal/objstore"
	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store/bucketstore"
)

// flags are Thanos' where they mean the same.
type flags struct {
	bucket          *objstore.Config
	dataDir         *string
	relabel         *program.Content
	lister          *string
	indexCache      *int64
	chunkCache      *int64
	downloadedBytes *int64
	opts            bucketstore.Options
}

func newFlags(p *program.Program) *flags {
	f := &flags{
		bucket:  objstore.NewConfig(p.Flags, "objstore"),
		dataDir: p.Flags.String("data-dir", "./data", "directory for what is known of blocks: meta.json, index headers"),
		relabel: program.NewContent(p.Flags, "selector.relabel-config", "relabel configurations that choose blocks by external labels and __block_id"),
		lister:  p.Enum("block-discovery-strategy", "how blocks are found: all objects in one listing, or a listing for each block", "recursive", "concurrent"),

		indexCache:      p.Bytes("index-cache-size", 250<<20, "memory for postings and series of indexes; 0 is none"),
		chunkCache:      p.Bytes("chunk-cache-size", 0, "memory for chunks; 0 is none (not in Thanos)"),
		downloadedBytes: p.Bytes("store.grpc.downloaded-bytes-limit", 0, "most bytes of blocks that one call reads; 0 is without limit"),
	}
	o := &f.opts
	objstore.TimeBound(p.Flags, &o.MinTime, "min-time", "serve nothing before")
	objstore.TimeBound(p.Flags, &o.MaxTime, "max-time", "serve nothing after")
	p.Duration(&o.SyncInterval, "sync-block-duration", bucketstore.DefaultSyncInterval, "time between looks at the bucket")
	p.Duration(&o.ConsistencyDelay, "consistency-delay", 0, "how old blocks have to be to be read")
	p.Duration(&o.DeletionDelay, "ignore-deletion-marks-delay", bucketstore.DefaultDeletionDelay, "how long blocks are served on that are marked for deletion")
	p.Duration(&o.HeaderIdle, "store.index-header-lazy-reader-idle-timeout", bucketstore.DefaultHeaderIdle, "how long an index header stays open that is not used; 0 is for ever")
	p.Duration(&o.HedgeDelay, "store.hedge-delay", 0, "when a request to the bucket that is not answered is sent once more; 0 is never (not in Thanos)")
	p.Flags.IntVar(&o.Concurrency, "block-sync-concurrency", bucketstore.DefaultConcurrency, "how many blocks are loaded at a time")
	p.Flags.IntVar(&o.MetaConcurrency, "block-meta-fetch-concurrency", 32, "how many meta.json files are read at a time")
	p.Flags.IntVar(&o.MaxCalls, "store.grpc.series-max-concurrency", 20, "how many calls run at a time; 0 is without limit")
	return f
}

// options returns what the flags say.
func (f *flags) options(p *program.Program) (*bucketstore.Options, error) {
	o := f.opts
	o.Logger, o.Registerer = p.Log, p.Registry
	o.Limits = p.Limits()
	o.Limits.Bytes = *f.downloadedBytes
	if o.DeletionDelay == 0 {
		o.DeletionDelay = -1 // None.
	}
	if o.HeaderIdle == 0 {
		o.HeaderIdle = -1 // For ever.
	}
	if *f.lister == "concurrent" {
		o.Lister = block.BlockLister(o.MetaConcurrency)
	}
	relabel, err := f.relabel.Read()
	if err != nil {
		return nil, err
	}
	if o.Relabel, err = block.ParseRelabel(relabel); err != nil {
		return nil, err
	}
	// Caches that share a registerer share its metrics.
	for _, c := range []struct {
		size int64
		to   *bucketstore.Cache
	}{{*f.indexCache, &o.Cache}, {*f.chunkCache, &o.ChunkCache}} {
		if c.size == 0 {
			continue
		}
		if *c.to, err = bucketstore.NewMemoryCache(c.size, &bucketstore.MemoryCacheOptions{Registerer: p.Registry}); err != nil {
			return nil, err
		}
	}
	return &o, nil
}
