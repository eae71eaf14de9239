package main

import (
	"errors"
	"fmt"

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
	indexCache      *cacheFlags
	chunkCache      *cacheFlags
	downloadedBytes *int64
	opts            bucketstore.Options
}

func newFlags(p *program.Program) *flags {
	f := &flags{
		bucket:  objstore.NewConfig(p.Flags, "objstore"),
		dataDir: p.Flags.String("data-dir", "./data", "directory for what is kept of blocks: meta.json, index headers"),
		relabel: program.NewContent(p.Flags, "selector.relabel-config", "relabel configurations that choose blocks by external labels and __block_id"),
		lister:  p.Enum("block-discovery-strategy", "how blocks are found, in one listing of all objects or in one for each block, which is Thanos' default", "recursive", "concurrent"),

		indexCache:      newCacheFlags(p, "index-cache", 250<<20, "postings and series of indexes"),
		chunkCache:      newCacheFlags(p, "chunk-cache", 0, "chunks (not in Thanos)"),
		downloadedBytes: p.Bytes("store.grpc.downloaded-bytes-limit", 0, "most bytes of blocks that one call reads; 0 is without limit"),
	}
	o := &f.opts
	objstore.TimeBound(p.Flags, &o.MinTime, "min-time", "serve nothing before")
	objstore.TimeBound(p.Flags, &o.MaxTime, "max-time", "serve nothing after")
	p.Duration(&o.SyncInterval, "sync-block-duration", bucketstore.DefaultSyncInterval, "time between two looks at the bucket")
	p.Duration(&o.ConsistencyDelay, "consistency-delay", 0, "how long ago a block has to have been uploaded to be served; those of compactors are served at once")
	p.Duration(&o.DeletionDelay, "ignore-deletion-marks-delay", bucketstore.DefaultDeletionDelay, "how long blocks are served on that are marked for deletion")
	p.Duration(&o.HeaderIdle, "store.index-header-lazy-reader-idle-timeout", bucketstore.DefaultHeaderIdle, "how long an index header that is not used stays open; 0 is for ever")
	p.Duration(&o.HedgeDelay, "store.hedge-delay", 0, "how long a request to the bucket may take before it is sent once more, beside the first; 0 is for ever (not in Thanos)")
	program.Count(p.Flags, &o.Concurrency, "block-sync-concurrency", bucketstore.DefaultConcurrency, 1, "how many blocks are loaded at a time")
	program.Count(p.Flags, &o.MetaConcurrency, "block-meta-fetch-concurrency", 32, 1, "how many meta.json files are read at a time")
	program.Count(p.Flags, &o.MaxCalls, "store.grpc.series-max-concurrency", 20, 0, "how many calls run at a time; 0 is without limit")
	return f
}

// options returns what the flags say, and closes the caches among it.
func (f *flags) options(p *program.Program) (*bucketstore.Options, func() error, error) {
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
		return nil, nil, err
	}
	if o.Relabel, err = block.ParseRelabel(relabel); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", f.relabel, err)
	}
	if err := objstore.CheckTimes(o.MinTime, o.MaxTime); err != nil {
		return nil, nil, err
	}
	// Caches that share a registerer share its metrics.
	index, closeIndex, err := f.indexCache.open(p)
	if err != nil {
		return nil, nil, err
	}
	chunks, closeChunks, err := f.chunkCache.open(p)
	if err != nil {
		return nil, nil, errors.Join(err, closeIndex())
	}
	o.Cache, o.ChunkCache = index, chunks
	return &o, func() error { return errors.Join(closeIndex(), closeChunks()) }, nil
}
