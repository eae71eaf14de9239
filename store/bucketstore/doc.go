// Package bucketstore makes a Store of the blocks in object storage: the store
// gateway.
//
//	s, err := bucketstore.Open(ctx, bkt, "/var/lib/gateway", nil)
//	...
//	defer s.Close()
//	go s.Run(ctx) // keeps up with the bucket
//	err = s.Series(ctx, req, w)
//
// The bucket is any objstore.BucketReader; this package links no provider. It
// keeps the contract of package store: external labels are those of each block's
// meta.json, replica labels are removed and series sorted without them, shards are
// those of Thanos. Where Thanos' store gateway answers nothing, if no matchers are
// left but those on external labels, every series in range answers, as everywhere
// here.
//
// # Which blocks are read
//
// Blocks with the same external labels are a set. A set is read if its labels
// satisfy the matchers on them. Of it, the coarsest resolution up to that of the
// request is read, and where that leaves gaps the next finer one, as Thanos
// chooses, block for block; so one answer may have several resolutions. Requests
// for no aggregates are answered with raw data. Hints of Thanos' type narrow the
// choice to blocks by ULID or external labels.
//
// # What is kept where
//
//	dir/ULID/                  the index header: symbols, label values, where postings are
//	dir/meta-syncer/ULID/      meta.json and marks
//	memory, per block          its meta, below 64 KiB; an open header is mapped, not read
//	Options.Cache              postings, what matchers select, series entries
//	Options.ChunkCache         ranges of segments
//	memory, 16 MiB             which values of a label a matcher matches
//
// All of it can be lost at any time. A header is built when its block is loaded,
// is opened when it is first needed, and closed when it is idle.
//
// # Requests to the bucket
//
// A sync costs a listing, and for each block that is new one request for
// meta.json and, if its index is of 512 KiB at most, one for the header, else up to
// three; and one more if meta.json does not say how large the index is. A block of
// which dir has both costs none.
//
// A call waits for the bucket three times, however many blocks it reads, as long
// as what it reads fits in one batch and of each object in 256 ranges: for
// postings, for series entries, and for chunks. What is cached is not waited for.
// Of each object, parts that are nearer than Options.RequestCost are one request,
// and where there are more than 256, those that are less than 64 KiB apart.
//
// Chunks are read with their exact length where another one follows that the
// index tells of, which is all but the last of a run. That one is guessed from the
// others of its series, from meta.json's index_stats, or from sizes on average,
// and read again if there is more of it.
//
// # Memory and goroutines of a call
//
// Each block has a goroutine that selects series and reads their entries, up to
// Options.BatchSize at a time, and makes batches of them, of 1 MiB at first and at
// most 4 MiB of chunks. While one batch is being merged, a second one is loaded
// and a third one about to be. Blocks share Options.CallBytes: where there are
// many, batches are smaller, down to 128 KiB. So a call takes
//
//	3 batches and a read of entries for each block + its largest series
//
// Labels are never strings: they are copied from the header in the form they have
// on the wire, blocks are merged by that, and series are sent as views of the
// memory that their chunks were read into.
//
// External labels and the removal of replica labels may change the order in which
// a block has its series. Where labels are only added, which is what external
// labels do as a rule, next to nothing has to wait for its place. Where they are
// overridden or removed, all series of a metric name wait for each other: labels
// and places of chunks, not chunks.
//
// # Failures
//
// A block that cannot be read costs a *BlockError with its ULID and cause: a
// warning with store.Warn, the error with store.Abort. The others are read. What
// the block had sent before stays sent, and nothing is sent twice. Of a block in
// which single chunks are damaged, or in an encoding that is not known, all others
// are sent. A block that could not be loaded is tried again by each Sync; answers
// that it would have been chosen for warn of it, and finer data takes its place if
// there is any. While the list of blocks is known to be incomplete, every answer
// warns with a *ViewError, and no block is dropped.
//
// A call that reads a block when it is dropped goes on reading it. Should its
// objects be deleted meanwhile, that is a warning with block.ErrNotFound.
//
// # What it does not do
//
// It knows no gRPC: see store/grpcstore. It does not write to the bucket. Tenants
// of requests make no difference.
package bucketstore
