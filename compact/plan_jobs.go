package compact

import (
	"fmt"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// compact plays through all compactions of a group until there is nothing left to
// compact. Those whose sources are all there are jobs.
func (p *planner) compact(st *stream, g *group) {
	for {
		picked, why := p.pick(st, g)
		if picked == nil {
			return
		}
		made := mergedNode(picked)
		outputs := []block.Resolution{g.res}
		if !slices.ContainsFunc(picked, func(n *node) bool { return n.raw != "" }) {
			outputs = append(outputs, p.due(st, g.res, made)...)
		}
		if sources := metas(picked); sources != nil {
			p.job(st, Job{
				Kind: Compact, Group: g.key, Sources: sources, Outputs: outputs, Why: why,
				MinTime: made.minTime, MaxTime: made.maxTime, Vertical: overlapping(picked) != nil,
			})
		}
		if st.own {
			p.plan.Remaining.Compactions++
			p.plan.Remaining.CompactionBlocks += len(picked)
			p.plan.Remaining.Downsamplings += len(outputs) - 1
		}
		g.remove(slices.Clone(picked)...) // picked may be a part of nodes.
		p.made(st, made, outputs)
	}
}

// made puts the blocks that a job makes of n into their groups.
func (p *planner) made(st *stream, n *node, outputs []block.Resolution) {
	for _, res := range outputs {
		st.groups[res].insert(n.downsampled())
		for _, id := range n.sources {
			p.has[res][id] = true
		}
	}
}

// pick returns the blocks to be compacted next. What would make too large an index
// is marked, and left out.
//
// Source: Thanos' largeTotalIndexSizeFilter.
func (p *planner) pick(st *stream, g *group) ([]*node, string) {
	for {
		picked, why := p.level.pick(g.nodes)
		n := oversized(picked, p.o.MaxIndexBytes)
		if n == nil {
			return picked, why
		}
		n.fixed = fmt.Sprintf("with it, the index of the block that %d blocks are merged into could be larger than %d bytes", len(picked), p.o.MaxIndexBytes)
		p.mark(st, n.block.Meta, block.Mark{Kind: block.NoCompactMark, Reason: block.ReasonIndexSize}, MarkIndexSize, n.fixed)
	}
}

// due returns the resolutions that are to be made of a block because of its range.
// What there is already, all over the bucket, is not made again, nor what would
// have had its time.
//
// Source: Thanos, cmd/thanos/downsample.go. Different: blocks that are marked
// no-downsample count as there, for else they would be made again and again; and
// Thanos makes what retention then deletes.
func (p *planner) due(st *stream, from block.Resolution, n *node) []block.Resolution {
	var out []block.Resolution
	r := p.o.retention(st.labels)
	wanted := func(res block.Resolution) bool { return p.enabled(res) && n.lasts(res) && p.lacks(res, n) }
	oneHour := wanted(block.OneHour) && p.kept(r, block.OneHour, n.maxTime)
	switch from {
	case block.Raw:
		if !wanted(block.FiveMinutes) {
			return nil // If there is 5m, 1h is made of that.
		}
		if p.kept(r, block.FiveMinutes, n.maxTime) {
			out = append(out, block.FiveMinutes)
		}
	case block.FiveMinutes:
	case block.OneHour:
		return nil
	}
	if oneHour {
		out = append(out, block.OneHour)
	}
	return out
}

// enabled reports whether a resolution is made.
func (p *planner) enabled(res block.Resolution) bool {
	switch res {
	case block.Raw:
	case block.FiveMinutes:
		return p.o.Downsampling != DownsampleNone
	case block.OneHour:
		return p.o.Downsampling == DownsampleAll
	}
	return false
}

// lacks reports whether any of a block's sources is nowhere in the bucket at a
// resolution.
func (p *planner) lacks(res block.Resolution, n *node) bool {
	has := p.has[res]
	return slices.ContainsFunc(n.sources, func(id ulid.ULID) bool { return !has[id] })
}

// downsample plans the downsampling of blocks that are not to be compacted any
// more, and of those that have had their time.
func (p *planner) downsample(st *stream, g *group, overdue map[*node]*overdue) {
	for _, n := range slices.Clone(g.nodes) {
		if n.raw != "" {
			continue
		}
		outputs := p.due(st, g.res, n)
		why := fmt.Sprintf("range of %s", duration(n.maxTime-n.minTime))
		if d := overdue[n]; d != nil && d.to != 0 && !slices.Contains(outputs, d.to) {
			outputs = append(outputs, d.to)
			slices.Sort(outputs)
			why = d.why
		}
		if len(outputs) == 0 {
			continue
		}
		if sources := metas([]*node{n}); sources != nil {
			p.job(st, Job{
				Kind: DownsampleOnly, Group: g.key, Sources: sources, Outputs: outputs, Why: why,
				MinTime: n.minTime, MaxTime: n.maxTime,
			})
		}
		if st.own {
			p.plan.Remaining.Downsamplings += len(outputs)
		}
		p.made(st, n, outputs)
	}
}

// kept reports whether blocks of a resolution that end then are kept.
func (p *planner) kept(r Retention, res block.Resolution, maxTime int64) bool {
	keep := r.Of(res)
	return keep == 0 || !p.s.Now.After(ended(maxTime, keep))
}
