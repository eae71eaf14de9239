package compact

import (
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// admit puts the blocks of a stream into groups that are to be worked with, and
// returns those that are on their way out.
//
// Source: the filters of Thanos' compactor. Different: from a block that is marked
// for deletion nothing is made. For half of the delay it keeps its place, so that
// nothing is compacted across it while what replaces it may not be seen yet.
func (p *planner) admit(st *stream) (leaving []*node) {
	for _, b := range st.blocks {
		m := b.Meta
		g := st.groups[m.Resolution()]
		del := b.Marks[block.DeletionMark]
		switch {
		case del.Mark != nil && p.deletable(del.Mark):
			if st.own {
				p.plan.Deletes = append(p.plan.Deletes, DeleteAction{
					Block: m.ULID, Meta: m, Cause: DeleteMarked, Since: del.Mark.Time, Why: markedSince(del.Mark),
				})
			}
		case g == nil:
			p.skipf(st, m, SkipUnreadable, "resolution %s is not known", m.Resolution())
		case del.Mark != nil:
			p.skipf(st, m, SkipMarked, "to be deleted %s; %s", when(del.Mark.Time.Add(max(p.o.DeleteDelay, 0))), markedSince(del.Mark))
			if p.s.Now.Sub(del.Mark.Time) <= max(p.o.DeleteDelay, 0)/2 {
				leaving = append(leaving, leavingNode(b, "marked for deletion"))
			}
		case del.There:
			p.skipf(st, m, SkipUnreadable, "%v", del.Err)
			leaving = append(leaving, leavingNode(b, "has a deletion mark that cannot be understood"))
		case p.fresh(m):
			p.skipf(st, m, SkipFresh, "uploaded %s ago", p.age(m).Round(time.Second))
		default:
			n := newNode(b)
			p.heed(st, n)
			g.nodes = append(g.nodes, n)
		}
	}
	return leaving
}

func leavingNode(b *Block, why string) *node {
	n := newNode(b)
	n.fixed, n.raw, n.leaving, n.bad = why, why, true, true
	return n
}

// fresh reports whether a block may not be seen by everybody yet.
//
// Source: Thanos' ConsistencyDelayMetaFilter, with its exceptions.
func (p *planner) fresh(m *block.Meta) bool {
	exempt := []block.SourceType{block.SourceCompactor, block.SourceCompactorRepair, block.SourceBucketRepair}
	return !slices.Contains(exempt, m.Thanos.Source) && p.age(m) < p.o.ConsistencyDelay
}

// heed notes what marks and failed jobs keep a block from.
func (p *planner) heed(st *stream, n *node) {
	b := n.block
	for _, kind := range []block.MarkKind{block.NoCompactMark, block.NoDownsampleMark} {
		n.doubtful = n.doubtful || b.Marks[kind].There && b.Marks[kind].Mark == nil
	}
	if m := b.Marks[block.NoCompactMark]; m.There {
		n.fixed = markWhy(m)
		n.bad = m.Mark != nil && quarantined(m.Mark.Reason)
		p.skipf(st, b.Meta, SkipNoCompact, "%s", n.fixed)
	} else if b.NoCompact != "" {
		n.fixed = b.NoCompact
		p.skipf(st, b.Meta, SkipNoCompact, "%s", n.fixed)
	}
	if m := b.Marks[block.NoDownsampleMark]; m.There {
		n.raw = markWhy(m)
		n.unable = m.Mark == nil || unable(m.Mark.Reason)
		n.bad = n.bad || m.Mark != nil && quarantined(m.Mark.Reason)
		if n.unable && n.fixed == "" {
			// Merged with others, it would keep all of them from being downsampled.
			n.fixed = n.raw
		}
		if b.Meta.Resolution() != block.OneHour {
			p.skipf(st, b.Meta, SkipNoDownsample, "%s", n.raw)
		}
	} else if b.NoDownsample != "" {
		n.raw, n.unable = b.NoDownsample, true
		p.skipf(st, b.Meta, SkipNoDownsample, "%s", n.raw)
	}
}

// quarantined reports whether a mark of that reason says that there is something
// wrong with the block.
func quarantined(reason string) bool {
	return reason == ReasonCorrupt || reason == ReasonUnsupported
}

// unable reports whether a no-downsample mark of that reason says that a block
// cannot be downsampled, and not that it must not or need not be.
func unable(reason string) bool {
	return quarantined(reason) || reason == block.ReasonOutOfOrderChunks || reason == block.ReasonIndexSize
}

// markWhy says what a mark says.
func markWhy(m Mark) string {
	if m.Mark == nil {
		return m.Err.Error()
	}
	why := "marked " + m.Mark.Reason
	if m.Mark.Details != "" {
		why += ": " + m.Mark.Details
	}
	return why
}

// collect takes out blocks that others have replaced and marks them, and has those
// that are on their way out keep their places if nothing has replaced them.
func (p *planner) collect(st *stream, leaving []*node) {
	for _, res := range resolutions {
		g := st.groups[res]
		for n, by := range replaced(g.nodes) {
			why := "all of its sources are in " + ids(by)
			if n.bad {
				why = "quarantined, and all that should be in it is in " + ids(by)
			}
			p.mark(st, n.block.Meta, block.Mark{Kind: block.DeletionMark}, MarkReplaced, why)
			n.gone = true
		}
		g.sweep()
	}
	for _, n := range leaving {
		g := st.groups[n.block.Meta.Resolution()]
		if covering(n, g.nodes) == nil {
			g.nodes = append(g.nodes, n)
		}
	}
	for _, g := range st.groups {
		slices.SortFunc(g.nodes, compareNodes)
	}
	p.leave(st)
}

// leave fixes blocks that overlap, if they are to be left alone.
func (p *planner) leave(st *stream) {
	if p.o.Overlap != OverlapLeave {
		return
	}
	for _, res := range resolutions {
		for picked := overlapping(st.groups[res].nodes); picked != nil; picked = overlapping(st.groups[res].nodes) {
			for _, n := range picked {
				n.fixed = "overlaps with other blocks"
				p.skipf(st, n.block.Meta, SkipOverlap, "with %s", ids(slices.DeleteFunc(slices.Clone(picked), func(o *node) bool { return o == n })))
			}
		}
	}
}

// shownIDs is how many blocks a reason names.
const shownIDs = 4

// ids names blocks.
func ids(nodes []*node) string {
	sorted := make([]ulid.ULID, len(nodes))
	for i, n := range nodes {
		sorted[i] = n.id()
	}
	slices.SortFunc(sorted, ulid.ULID.Compare)
	var b strings.Builder
	for i, id := range sorted {
		if i == shownIDs {
			b.WriteString(", ...")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(id.String())
	}
	return b.String()
}
