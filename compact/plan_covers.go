package compact

import (
	"cmp"
	"slices"

	"github.com/oklog/ulid/v2"
)

// subset reports whether all of a are in b. Both are ascending.
func subset(a, b []ulid.ULID) bool {
	if len(a) > len(b) {
		return false
	}
	for _, s := range a {
		i, ok := slices.BinarySearchFunc(b, s, ulid.ULID.Compare)
		if !ok {
			return false
		}
		b = b[i+1:]
	}
	return true
}

// intersect reports whether a and b have any in common. Both are ascending.
func intersect(a, b []ulid.ULID) bool {
	for len(a) > 0 && len(b) > 0 {
		switch c := a[0].Compare(b[0]); {
		case c == 0:
			return true
		case c < 0:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}

// covering returns those of nodes that together have all that is in n: every one
// of its sources, and all of its range. It is nil if they have not. What is not
// sound has nothing.
func covering(n *node, nodes []*node) []*node {
	if len(n.sources) == 0 {
		return nil
	}
	var have []*node
	for _, c := range nodes {
		if c != n && c.block != nil && c.sound() && c.overlaps(n) && intersect(n.sources, c.sources) {
			have = append(have, c)
		}
	}
	missing := n.sources
	for _, s := range missing {
		if !slices.ContainsFunc(have, func(c *node) bool { return subset([]ulid.ULID{s}, c.sources) }) {
			return nil
		}
	}
	if !spans(n, have) {
		return nil
	}
	return have
}

// spans reports whether nodes together have all of n's range. What is not sound has
// nothing.
func spans(n *node, nodes []*node) bool {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, compareNodes)
	until := n.minTime
	for _, c := range nodes {
		if !c.sound() || c.maxTime <= until {
			continue
		}
		if c.minTime > until {
			break
		}
		until = c.maxTime
	}
	return until >= n.maxTime
}

// replaced returns the blocks of a group that others have replaced, and which.
//
// A block is replaced if one other block has all of its sources; of those with the
// same ones that with the least ULID stays. One without sources neither replaces
// nor is replaced. One that is not sound replaces nothing. One that is quarantined is
// replaced by all those together that cover it, too: what was made anew, or its
// sources.
//
// Source: Thanos' DefaultDeduplicateFilter, but for the last two rules.
func replaced(nodes []*node) map[*node][]*node {
	byNumber := slices.Clone(nodes)
	slices.SortFunc(byNumber, func(a, b *node) int {
		return cmp.Or(cmp.Compare(len(b.sources), len(a.sources)), a.id().Compare(b.id()))
	})
	out := map[*node][]*node{}
	// with has for each source the blocks that stay and have it.
	with := map[ulid.ULID][]*node{}
	for _, n := range byNumber {
		if len(n.sources) == 0 || !n.sound() {
			continue
		}
		if by := superset(n, with[n.sources[0]]); by != nil {
			out[n] = []*node{by}
			continue
		}
		for _, s := range n.sources {
			with[s] = append(with[s], n)
		}
	}
	for _, n := range byNumber {
		if len(n.sources) == 0 || n.sound() {
			continue
		}
		if by := superset(n, with[n.sources[0]]); by != nil {
			out[n] = []*node{by}
		} else if by := covering(n, nodes); n.bad && by != nil {
			out[n] = by
		}
	}
	return out
}

// superset returns the first block that has all of n's sources.
func superset(n *node, candidates []*node) *node {
	for _, c := range candidates {
		if subset(n.sources, c.sources) {
			return c
		}
	}
	return nil
}
