package block

import (
	"maps"

	"github.com/oklog/ulid/v2"
)

// View is what a Fetcher found in a bucket. It belongs to the caller; the Meta in
// it are shared and must not be changed.
type View struct {
	// Metas are the blocks that the filters left.
	Metas map[ulid.ULID]*Meta
	// Partial are prefixes that are no block that can be read, with the reason:
	// ErrPartial if there is no meta.json, or one that is a TornUpload, and only then
	// may it be an upload that nobody goes on with; *MetaError; *UnsupportedError,
	// where for Thanos the whole view is incomplete.
	Partial map[ulid.ULID]error
	// Excluded says for each block that a filter took out which state it got, as in
	// the metric thanos_blocks_meta_synced.
	Excluded map[ulid.ULID]string
	// Incomplete is nil, or an *IncompleteError with the blocks that could not be
	// judged. Blocks that are not in such a view may be there all the same: drop
	// none because of it.
	Incomplete error

	known    map[ulid.ULID]*entry
	modified int // Meta that ReplicaLabels changed.
}

// newView returns a view of everything that is known. It shares known, which is
// not changed any more.
func newView(known map[ulid.ULID]*entry) *View {
	v := &View{
		Metas:    make(map[ulid.ULID]*Meta, len(known)),
		Partial:  map[ulid.ULID]error{},
		Excluded: map[ulid.ULID]string{},
		known:    known,
	}
	var failed map[ulid.ULID]error
	for id, e := range known {
		switch {
		case e.meta != nil:
			v.Metas[id] = e.meta
		case e.partial != nil:
			v.Partial[id] = e.partial
		}
		if e.failed != nil {
			if failed == nil {
				failed = map[ulid.ULID]error{}
			}
			failed[id] = e.failed
		}
	}
	if failed != nil {
		v.Incomplete = &IncompleteError{Failed: failed}
	}
	return v
}

// Marked reports whether a block has a mark of that kind, readable or not, that is
// not a TornUpload.
//
// A mark that cannot be understood counts on the side where nothing is lost: a
// block with such a no-compact or no-downsample mark is left alone; one with such
// a deletion mark goes on being read, and must not be deleted, for it is not known
// since when readers had time to turn to its successor. (With Thanos a mark of an
// unknown version fails the whole view, and a malformed one is none.)
func (v *View) Marked(id ulid.ULID, kind MarkKind) bool {
	e := v.known[id]
	return e != nil && kind < markKinds && e.listed.Marks[kind]
}

// Mark returns a block's mark, nil if it has none or if it is not known, which
// Incomplete then says.
//
// Errors: *MetaError or *UnsupportedError for one that cannot be understood.
func (v *View) Mark(id ulid.ULID, kind MarkKind) (*Mark, error) {
	if !v.Marked(id, kind) {
		return nil, nil
	}
	s := v.known[id].marks[kind]
	return s.mark, s.err
}

// Listed returns what the listing said about a block, whether it is in Metas or
// not. It is false for one that was not listed.
func (v *View) Listed(id ulid.ULID) (Listed, bool) {
	if e := v.known[id]; e != nil {
		return e.listed, true
	}
	return Listed{}, false
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
	c := *v
	c.Metas, c.Partial, c.Excluded = maps.Clone(v.Metas), maps.Clone(v.Partial), maps.Clone(v.Excluded)
	return &c
}
