package compact

import (
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/downsample"
)

// ReasonNothingLeft is the reason of no-downsample marks of blocks that nothing
// comes of when they are downsampled. Thanos heeds the marks.
const ReasonNothingLeft = downsample.ReasonNothingLeft

// Plan is what is to be done with the blocks of a bucket. Jobs do not depend on
// each other: no two have a source in common, and none has one that another one
// makes. What follows from them is for the next plan.
type Plan struct {
	// Jobs are compactions and downsamplings, in the order in which to run them:
	// those of blocks that overlap first, then other compactions, then
	// downsamplings, and of each the oldest first.
	Jobs []Job
	// Marks are marks to be put, those of sources of Jobs excepted, which whoever
	// runs them puts.
	Marks []MarkAction
	// Deletes are blocks, and what is left of blocks, to be deleted.
	Deletes []DeleteAction
	// Held are blocks that have had their time and stay, since the next resolution
	// that is kept does not have what is in them.
	Held []Held
	// Skipped are blocks that are left alone for a reason worth telling.
	Skipped []Skip
	// Remaining is what it takes until nothing is left to do, Jobs included.
	Remaining Remaining
	// Foreign are the Jobs of groups of other shards. They are theirs to run; a job
	// that is there plan after plan has nobody who runs it.
	Foreign []Job
}

// JobKind says what a Job does.
type JobKind int

const (
	// Compact makes one block of its sources, and of that its downsampled ones.
	// The sources are marked for deletion once all outputs are uploaded.
	Compact JobKind = iota
	// DownsampleOnly makes downsampled blocks of its one source, which stays.
	DownsampleOnly
)

// String returns "Compact" or "Downsample".
func (k JobKind) String() string {
	if k == DownsampleOnly {
		return "Downsample"
	}
	return "Compact"
}

// Job is a compaction or a downsampling.
type Job struct {
	Kind JobKind
	// Group is the GroupKey of the sources, without replica labels.
	Group string
	// Sources are blocks as they are in the bucket, replica labels included, in
	// ascending order of MinTime. They are shared and must not be changed.
	Sources []*block.Meta
	// Labels are the external labels of what is made: without replica labels.
	Labels map[string]string
	// MinTime and MaxTime are those of the outputs: half-open, ms.
	MinTime, MaxTime int64
	// Outputs are the resolutions that are written, ascending. For Compact the first
	// is that of the sources. A DownsampleOnly of a raw block may have OneHour alone,
	// which is made by way of 5m that is not written.
	Outputs []block.Resolution
	// Vertical says that sources overlap in time.
	Vertical bool
	// Why is for people.
	Why string
}

// MarkCause says why a block is marked.
type MarkCause string

// The causes of marks of a Plan.
const (
	// MarkReplaced is that one other block has all of its sources.
	MarkReplaced MarkCause = "replaced"
	// MarkRetention is that a block has had its time.
	MarkRetention MarkCause = "retention"
	// MarkUncovered is MarkRetention of a block that the next resolution that is
	// kept does not cover, because it must or can not be downsampled.
	MarkUncovered MarkCause = "retention-uncovered"
	// MarkIndexSize is that the index of what a block would be merged into could be
	// too large.
	MarkIndexSize MarkCause = "index-size"
)

// MarkAction is a mark to be put.
type MarkAction struct {
	Meta *block.Meta
	// Mark has no time: it is that at which it is put.
	Mark  block.Mark
	Cause MarkCause
	// Why is for people.
	Why string
}

// DeleteCause says why something is deleted.
type DeleteCause string

// The causes of deletions.
const (
	// DeleteMarked is that a block was marked for deletion long enough ago.
	DeleteMarked DeleteCause = "marked"
	// DeletePartial is that nobody has gone on with an upload. Whoever deletes looks
	// again, right before, whether that is still so: see PartialAbandoned.
	DeletePartial DeleteCause = "partial"
)

// DeleteAction is a block to be deleted.
type DeleteAction struct {
	Block ulid.ULID
	// Meta is nil if there is no meta.json.
	Meta  *block.Meta
	Cause DeleteCause
	// Since is when it was marked, or when the newest of its objects was written.
	Since time.Time
	// Why is for people.
	Why string
}

// Held is a block that has had its time and is not deleted.
type Held struct {
	Meta *block.Meta
	// Since is when it had had its time.
	Since time.Time
	// Next is the resolution that does not cover it.
	Next block.Resolution
	// Until is when it is deleted all the same, zero if that is not before it is
	// covered.
	Until time.Time
	// Why is for people: what will be done, or what prevents it.
	Why string
}

// Skip is a block that is not touched.
type Skip struct {
	Block ulid.ULID
	// Meta is nil if it is not known.
	Meta *block.Meta
	// Cause is one of a few words, Why for people.
	Cause SkipCause
	Why   string
}

// SkipCause says why a block is not touched.
type SkipCause string

// The causes of blocks' being left alone.
const (
	// SkipFresh is that it was uploaded less than ConsistencyDelay ago.
	SkipFresh SkipCause = "too-fresh"
	// SkipNoCompact and SkipNoDownsample are that it is marked so, or that a job on
	// it failed.
	SkipNoCompact    SkipCause = "no-compact"
	SkipNoDownsample SkipCause = "no-downsample"
	// SkipMarked is that it is to be deleted, and that it is not yet time.
	SkipMarked SkipCause = "marked-for-deletion"
	// SkipOverlap is that it overlaps, and that OverlapLeave is set.
	SkipOverlap SkipCause = "overlaps"
	// SkipPartial is that it may still be uploaded.
	SkipPartial SkipCause = "partial"
	// SkipUnreadable is that meta.json or the deletion mark cannot be understood, or
	// could not be read.
	SkipUnreadable SkipCause = "unreadable"
)

// Remaining is how much work there is until nothing is left to do, if nothing
// comes in between.
type Remaining struct {
	// Compactions and CompactionBlocks count jobs and their sources, as Thanos'
	// thanos_compact_todo_compactions and thanos_compact_todo_compaction_blocks.
	Compactions, CompactionBlocks int
	// Downsamplings counts downsampled blocks that are made, whether on their own
	// or together with a compaction.
	Downsamplings int
	// Deletions counts blocks that have had their time, as
	// thanos_compact_todo_deletion_blocks.
	Deletions int
}
