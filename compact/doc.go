// Package compact merges the blocks in a bucket into larger ones, downsamples
// them, and deletes what has been replaced or has had its time.
//
//	c, err := compact.New(bkt, "data/compactor", &compact.Options{
//		Retention: compact.Retention{Raw: 30 * 24 * time.Hour},
//	})
//	...
//	defer c.Close()
//	plan, err := c.Plan(ctx) // what it would do
//	err = plan.WriteTable(os.Stdout)
//	...
//	err = c.Run(ctx) // does it, again and again
//
// MakePlan is what decides: it knows meta.json files and marks alone, does no I/O,
// and says for everything why. RunJob makes the blocks of one job on disk. The
// Compactor puts them together: it downloads, uploads, marks and deletes.
//
// It does not say what readers do with the bucket: see store/bucketstore. It does
// not look into series to decide anything; a block is kept or deleted as a whole.
//
// # Streams, groups and levels
//
// Blocks with the same external labels, but for replica labels, are a stream. Those
// of one resolution in it are a group, and what is merged is of one group. Within
// it, in this order:
//
//   - Blocks that overlap are merged: replicas by Options.Algorithm, which is
//     dedup.Follow; what is of one replica, or of none, with all samples of all. So
//     are downsampled ones, which Thanos marks no-compact.
//   - Blocks that fill a range of 2h, 8h, 2d or 14d, aligned to 1970, or to which
//     nothing can be added any more because there is something newer, are merged;
//     the least range first, the newest block never.
//   - Blocks of which more than 5% of the series have tombstones are written anew.
//
// A no-compact mark keeps a block as it is, and nothing is merged across it. If the
// indexes of what is to be merged come to more than 85% of Options.MaxIndexBytes,
// the one with the largest is marked so, and the rest planned again. A block that
// was uploaded within the last 30 minutes is not there yet, unless a compactor
// made it. This is as with Thanos; that the same blocks are picked is tested
// against its planner.
//
// # Downsampling
//
// Raw blocks of 40 hours or more get 5m, blocks of 5m of ten days or more get 1h,
// unless the bucket has all their sources at that resolution. What is due of a block
// that is to be made is made with it, in one pass: see Job.Outputs. Raw blocks that
// are merged further need no other 5m; that is merged in its own group, and 1h made
// of it there.
//
// # Retention
//
// A block has had its time when its range ended longer ago than Retention says for
// its resolution. It is marked for deletion when the next coarser resolution that is
// made and still kept has all of its sources and all of its range. If that is not
// so, the block is downsampled first, whatever its range, and listed in Plan.Held:
// the 6 hours of a cluster that is no more, the first days of a new one, what a fault
// kept from being downsampled. Then:
//
//   - A block that is marked no-downsample is deleted all the same, as
//     MarkUncovered.
//   - One that cannot be downsampled, because it is quarantined or its mark cannot be
//     understood, stays until Options.MaxHold, for good if that is 0.
//   - What is quarantined covers nothing, nor does what has a mark that cannot be
//     read and may be. If it can be made anew, it is.
//   - With InterlockOff nothing is waited for, as with Thanos.
//
// RetentionRules choose by external labels, since these are all that a block has as
// a whole. To keep some series of a block longer than others, it would have to be
// written anew, and again by each rule whose time comes; what is to be kept for
// different times had better have different external labels. block.RewriteBlock
// takes series out of a block.
//
// # What marks do
//
// A block that others have replaced, that is one whose sources are all in one other
// block of its group, is marked for deletion, and so are the sources of a job when
// all that was made of them is uploaded. Blocks that are marked are deleted after
// Options.DeleteDelay. Nothing is made of them, they replace and cover nothing, and
// for half of the delay nothing is merged across them.
//
// What is left of an upload that did not end is deleted when the newest of its
// objects is older than Options.PartialAge, however old the block's ULID is. If the
// bucket does not say when objects were written, it is not. In a filesystem, a
// meta.json or a mark that ends early is none (see [block.TornUpload]). Any other
// block whose meta.json cannot be read stays. A bucket that is a filesystem is not
// synced by its client: after a power cut, verify its youngest blocks before
// DeleteDelay is over.
//
// # Bad blocks
//
// A source that is damaged, incomplete, out of order or of a kind that is not known
// is downloaded once more. If it is bad again, it is quarantined: marked no-compact,
// or no-downsample if that was what failed, with one of the reasons ReasonCorrupt,
// ReasonUnsupported and block.ReasonOutOfOrderChunks, and what is wrong in the
// details. Thanos goes round such a block as well. All bad sources of a job are found
// in one run, and the rest of it is planned anew without them. A quarantined block is
// served, and kept, as before; who has repaired it removes the mark. Nothing is ever
// quarantined for what a bucket, a disk or the network did: see [ClassOf].
//
// # Invariants
//
// Jobs of a plan do not depend on each other, and may be run in any order, in part,
// twice, or by two compactors. Whatever happens in between, every source block that
// is to be kept at a resolution is, with all of its range, in a block at that
// resolution or at a finer one which is not marked for deletion. When nothing is left
// to do, no block that stays has sources that are all in another one of its group.
//
// That holds but for what somebody wants to go: what is marked no-downsample on
// purpose, and, with InterlockOff or MaxHold, what is not downsampled in time.
//
// # When it is killed
//
// It may be, at any moment, and so may the machine. A job uploads all of its
// outputs, each with meta.json last, then marks its sources, and what is marked is
// deleted no earlier than DeleteDelay later, meta.json first: a reader that ignores
// marks for less than that, as Thanos' do for half of it, sees every sample at every
// moment. Right before a block is deleted its mark is read again, and of an aborted
// upload its objects are listed again. What was downloaded and what was made is gone
// on with by the next run, or made again if the directory is gone; what was uploaded
// twice is marked as replaced.
//
// # Resources
//
// Memory is bounded by how many series and symbols the outputs of a job have, and by
// how many samples its largest series has: not by samples in all, nor by the number
// of blocks. It is what block.Writer needs for each output, 4 bytes for each series
// and 8 for each symbol and little more, some batches of 256 series for each
// processor, and a few KiB for each source. A plan has the meta.json of each block in
// the bucket in memory.
//
// Disk is needed for the sources and the outputs of the jobs that run at a time, and
// for what failed in this run and is tried again by the next: twice the bytes of the
// largest job is a good measure, times Options.Concurrency. A job that the disk is
// too full for is tried once more, alone, and then left to the next run.
//
// Each source that is merged has its index and its segments open: a job of 1,000
// blocks of 2 hours needs as many file descriptors, twice.
//
// From the bucket each source is read once for all resolutions that are made of it.
//
// # Many compactors
//
// Two that work on the same blocks, each in a directory of its own, lose nothing: what
// one has marked the other leaves, and what both have made is the same to readers
// until one of it is marked as replaced. It costs work alone.
//
// With Options.Shards the streams are divided among compactors by a hash of their
// labels: see ShardOf. Those that disagree on the number do some jobs twice, of
// which one result is then marked as replaced, or leave some undone: jobs of other
// shards are in Plan.Foreign, and what is there cycle after cycle is counted.
//
// # Differences from Thanos
//
//   - Replicas are merged by dedup.Follow. Thanos' default is all samples of all, one
//     by one, which is right for copies alone: of Prometheus servers that scrape on
//     their own it doubles samples and has counters fall (kube-thanos#290).
//   - Raw blocks are not deleted before they are downsampled.
//   - Nothing halts: overlaps are merged or left alone, bad blocks are marked.
//   - One block that cannot be judged does not keep others from being worked on; until
//     it can be, nothing is merged across a gap.
//   - From blocks that are marked for deletion nothing is made. Thanos merges and
//     downsamples them for a day, and so brings back what somebody wanted gone; and it
//     takes blocks for replaced by ones that are going.
//   - A block without sources replaces nothing and is not replaced.
//   - Downsampled blocks that are marked no-downsample count as there. Thanos makes
//     them again in each cycle.
//   - What would have had its time at once is not made.
//   - A quarantined block that cannot be downsampled is not merged with others, which
//     can.
//   - The age of an aborted upload is that of its objects, never its ULID's, and
//     damaged meta.json files are not taken for one.
package compact
