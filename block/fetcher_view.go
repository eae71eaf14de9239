package block

import (
	"maps"

	"github.com/oklog/ulid/v2"
)

// View is what a Fetcher found in a bucket. It belongs to the caller, the Meta
// in it do not: they are shared and must not be changed.
type View struct {
	// Metas are the blocks that the filters left.
	Metas map[ulid.ULID]*Meta
	// Partial are prefixes that are no block that can be read, with the reason:
	// ErrPartial for no meta.json, *MetaError, *UnsupportedError.
	Partial map[ulid.ULID]error
	// Excluded says for each block that a filter took out which state it got, as in
	// the metric thanos_blocks_meta_synced.
	Excluded map[ulid.ULID]string
	// Incomplete is nil, or an *IncompleteError with the blocks that could not be
	// judged. Blocks that are not in such a view may be there all the same: drop
	// none because of it.
	Incomplete error

	marks map[ulid.ULID]*[markKinds]markState
}

// markState is a mark of a block as far as it is known.
type markState struct {
	there bool
	mark  *Mark
	err   error
}

// Marked reports whether a block has a mark of that kind, readable or not.
func (v *View) Marked(id ulid.ULID, kind MarkKind) bool {
	m := v.marks[id]
	return m != nil && int(kind) < len(m) && m[kind].there
}

// Mark returns a block's mark, nil if it has none.
//
// Errors: *MetaError or *UnsupportedError for one that cannot be understood.
func (v *View) Mark(id ulid.ULID, kind MarkKind) (*Mark, error) {
	if !v.Marked(id, kind) {
		return nil, nil
	}
	s := v.marks[id][kind]
	return s.mark, s.err
}

// Exclude takes a block out of Metas, for Filter implementations. The state is a
// short constant: it is a label of a metric.
func (v *View) Exclude(id ulid.ULID, state string) {
	delete(v.Metas, id)
	if v.Excluded == nil {
		v.Excluded = map[ulid.ULID]string{}
	}
	v.Excluded[id] = state
}

// Clone returns a copy that can be filtered apart. The Meta are shared.
func (v *View) Clone() *View {
	return &View{
		Metas:      maps.Clone(v.Metas),
		Partial:    maps.Clone(v.Partial),
		Excluded:   maps.Clone(v.Excluded),
		Incomplete: v.Incomplete,
		marks:      maps.Clone(v.marks),
	}
}
