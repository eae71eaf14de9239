package compact

import (
	"fmt"
	"slices"
	"time"

	"github.com/thanoskit/thanoskit/block"
)

// ended returns when a block that ends at maxTime, in ms, has had its time. Thanos
// counts in whole seconds.
func ended(maxTime int64, keep time.Duration) time.Time { return time.Unix(maxTime/1000, 0).Add(keep) }

// overdue is a block that has had its time, and that the next resolution which is
// kept does not cover.
type overdue struct {
	// since is when it had had its time. It is zero for a block that has not: one that
	// is only needed for another one.
	since time.Time
	next  block.Resolution
	// to is what is to be made of it, 0 for nothing.
	to    block.Resolution
	until time.Time
	why   string
}

// retain marks the blocks of a stream that have had their time and are covered, and
// returns those that are not.
//
// The next resolution is the least one above the block's own that is made and in
// which what ends with it is kept. If there is none, there is nothing to wait for.
// If it does not cover the block, the block stays and is downsampled. If it must
// not be downsampled, it is marked all the same; if it cannot be, it is after
// MaxHold.
//
// Source: Thanos' ApplyRetentionPolicyByResolution, which marks all.
func (p *planner) retain(st *stream) map[*node]*overdue {
	held := map[*node]*overdue{}
	r := p.o.retention(st.labels)
	for _, res := range resolutions {
		g := st.groups[res]
		keep := r.Of(res)
		if keep == 0 {
			continue
		}
		for _, n := range slices.Clone(g.nodes) {
			if n.leaving || p.kept(r, res, n.maxTime) {
				continue
			}
			if st.own {
				p.plan.Remaining.Deletions++
			}
			d := &overdue{since: ended(n.maxTime, keep)}
			if cause, why := p.judge(st, r, res, n, d); cause != "" {
				why = fmt.Sprintf("retention of %s for %s ended %s; %s", duration(keep.Milliseconds()), res, when(d.since), why)
				p.mark(st, n.block.Meta, block.Mark{Kind: block.DeletionMark}, cause, why)
				g.remove(n)
				continue
			}
			held[n] = d
		}
	}
	return held
}

// judge returns why a block that has had its time is to be marked, or completes d
// if it is to stay.
func (p *planner) judge(st *stream, r Retention, res block.Resolution, n *node, d *overdue) (MarkCause, string) {
	if p.o.Interlock == InterlockOff {
		return MarkRetention, "nothing is waited for"
	}
	next, ok := p.next(r, res, n.maxTime)
	if !ok {
		return MarkRetention, "no other resolution is kept of that time"
	}
	d.next = next
	switch {
	case p.covered(st, r, next, n):
		return MarkRetention, fmt.Sprintf("all of it is there in %s", next)
	case n.raw != "" && !n.unable:
		return MarkUncovered, fmt.Sprintf("not in %s, since it is %s", next, n.raw)
	case n.raw == "":
		d.to, d.why = next, fmt.Sprintf("retention for %s ended %s, and it is not in %s", res, when(d.since), next)
		return "", ""
	}
	d.why = "cannot be downsampled: " + n.raw
	if p.o.MaxHold > 0 {
		if d.until = d.since.Add(p.o.MaxHold); p.s.Now.After(d.until) {
			return MarkUncovered, fmt.Sprintf("not in %s, since it %s; held for %s", next, d.why, p.o.MaxHold)
		}
	}
	return "", ""
}

// next returns the next resolution that is kept of a time.
func (p *planner) next(r Retention, res block.Resolution, maxTime int64) (block.Resolution, bool) {
	for _, coarser := range resolutions {
		if coarser > res && p.enabled(coarser) && p.kept(r, coarser, maxTime) {
			return coarser, true
		}
	}
	return 0, false
}

// covered reports whether all that is in a block is there at the next resolution,
// by sources and by time. Of the part of its range that is not kept there any more
// it is enough if a coarser one has it.
func (p *planner) covered(st *stream, r Retention, next block.Resolution, n *node) bool {
	have := st.groups[next].nodes
	if covering(n, have) != nil {
		return true
	}
	keep := r.Of(next)
	if keep == 0 {
		return false
	}
	recent := *n
	recent.minTime = max(n.minTime, p.s.Now.Add(-keep).UnixMilli())
	if !spans(&recent, have) {
		return false
	}
	all := slices.Clone(have)
	for _, res := range resolutions {
		if res > next {
			all = append(all, st.groups[res].nodes...)
		}
	}
	return covering(n, all) != nil
}

// finer has 1h that blocks wait for made of the 5m that there is of them, so that
// nothing is made twice, and of those too that cannot be downsampled themselves.
func (p *planner) finer(st *stream, held map[*node]*overdue) {
	for _, n := range slices.Clone(st.groups[block.Raw].nodes) {
		d := held[n]
		if d == nil {
			continue
		}
		by := covering(n, st.groups[block.FiveMinutes].nodes)
		if by == nil || slices.ContainsFunc(by, func(c *node) bool { return c.raw != "" }) {
			continue
		}
		d.to = 0
		d.why = "its 5m is downsampled to 1h first"
		for _, c := range by {
			if held[c] == nil {
				held[c] = &overdue{next: block.OneHour, to: block.OneHour, why: "needed for " + n.id().String() + ", which has had its time"}
			}
		}
	}
}

// hold lists blocks that stay though they have had their time.
func (p *planner) hold(st *stream, held map[*node]*overdue) {
	if !st.own {
		return
	}
	for n, d := range held {
		if d.since.IsZero() {
			continue
		}
		why := d.why
		switch {
		case n.gone:
			why = "compacted first"
		case d.to != 0:
			why = fmt.Sprintf("downsampled to %s now", d.to)
		}
		p.plan.Held = append(p.plan.Held, Held{Meta: n.block.Meta, Since: d.since, Next: d.next, Until: d.until, Why: why})
	}
}
