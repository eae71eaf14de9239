package compact

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// State is all that a Plan is made from.
type State struct {
	Now time.Time
	// Blocks are all blocks in the bucket: no filter has been applied to them but
	// a selection, such as a time partition. Meta are not changed.
	Blocks []Block
	// Partials are prefixes that are no block that can be read.
	Partials []Partial
	// Unknown are blocks that could not be judged, and why. While there are any,
	// nothing is compacted across a gap that one of them may fill.
	Unknown map[ulid.ULID]error
}

// Block is a block in the bucket.
type Block struct {
	Meta *block.Meta
	// Marks are by block.MarkKind.
	Marks [3]Mark
	// NoCompact and NoDownsample say, if they are not empty, why this process does
	// not compact or downsample the block for now, as if it were marked: a job
	// failed for no fault of the block's.
	NoCompact, NoDownsample string
	// IndexBytes is the size of the index if meta.json does not say.
	IndexBytes int64
}

// Mark is a mark of a block as far as it is known.
type Mark struct {
	// There says that there is one.
	There bool
	// Mark is nil if there is none or if it cannot be understood; Err says why.
	Mark *block.Mark
	Err  error
}

// Partial is what there is of a block that cannot be read.
type Partial struct {
	Block ulid.ULID
	// Err is a block.ErrPartial if there is no whole meta.json.
	Err error
	// Newest is when the newest of all its objects was written, zero if that is not
	// known. The time of the ULID says nothing: a block can be uploaded long after
	// it was made.
	Newest time.Time
	// Deletion is its deletion mark.
	Deletion Mark
}

// NewState returns the State of a view that no filters have been applied to but
// those that select blocks for this compactor: TimePartition and LabelShard.
//
// The result shares the view's Meta. Sizes of indexes that meta.json
// does not say (see Unsized), and what failed in this process, are for the caller
// to add.
func NewState(v *block.View, now time.Time) *State {
	s := &State{Now: now}
	for id, m := range v.Metas {
		b := Block{Meta: m}
		for kind := range b.Marks {
			b.Marks[kind] = viewMark(v, id, block.MarkKind(kind))
		}
		s.Blocks = append(s.Blocks, b)
	}
	for id, err := range v.Partial {
		listed, _ := v.Listed(id)
		s.Partials = append(s.Partials, Partial{Block: id, Err: err, Newest: listed.Newest, Deletion: viewMark(v, id, block.DeletionMark)})
	}
	slices.SortFunc(s.Blocks, func(a, b Block) int { return a.Meta.ULID.Compare(b.Meta.ULID) })
	slices.SortFunc(s.Partials, func(a, b Partial) int { return a.Block.Compare(b.Block) })
	if e, ok := errors.AsType[*block.IncompleteError](v.Incomplete); ok {
		s.Unknown = e.Failed
	}
	return s
}

func viewMark(v *block.View, id ulid.ULID, kind block.MarkKind) Mark {
	if !v.Marked(id, kind) {
		return Mark{}
	}
	m, err := v.Mark(id, kind)
	if m == nil && err == nil {
		// Its contents have not been seen.
		err = fmt.Errorf("%s mark of block %s: %w", kind, id, block.ErrIncomplete)
	}
	return Mark{There: true, Mark: m, Err: err}
}

// Unsized returns the blocks whose index has a size that is not known. Until it
// is, it counts as nothing.
func (s *State) Unsized() []ulid.ULID {
	var ids []ulid.ULID
	for i := range s.Blocks {
		if b := &s.Blocks[i]; b.Meta.IndexSize() <= 0 && b.IndexBytes <= 0 {
			ids = append(ids, b.Meta.ULID)
		}
	}
	return ids
}
