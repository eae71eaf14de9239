package block

import (
	"maps"
	"slices"
)

// Clone returns a copy that shares nothing that can be changed with m, but for
// the relabel configurations of rewrites.
func (m *Meta) Clone() *Meta {
	c := *m
	c.Compaction.Sources = slices.Clone(m.Compaction.Sources)
	c.Compaction.Parents = slices.Clone(m.Compaction.Parents)
	c.Compaction.Hints = slices.Clone(m.Compaction.Hints)
	t := &c.Thanos
	t.Labels = maps.Clone(t.Labels)
	t.SegmentFiles = slices.Clone(t.SegmentFiles)
	t.Extensions = slices.Clone(t.Extensions)
	t.Files = slices.Clone(t.Files)
	for i, f := range t.Files {
		if f.Hash != nil {
			h := *f.Hash
			t.Files[i].Hash = &h
		}
	}
	t.Rewrites = slices.Clone(t.Rewrites)
	for i := range t.Rewrites {
		r := &t.Rewrites[i]
		r.Sources = slices.Clone(r.Sources)
		r.RelabelsApplied = slices.Clone(r.RelabelsApplied)
		r.DeletionsApplied = slices.Clone(r.DeletionsApplied)
		for j := range r.DeletionsApplied {
			d := &r.DeletionsApplied[j]
			d.Matchers, d.Intervals = slices.Clone(d.Matchers), slices.Clone(d.Intervals)
		}
	}
	return &c
}
