package compact

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// leveler picks what of a group is to be compacted next. It is the leveled
// planner of Prometheus' TSDB as Thanos uses it.
//
// Source: Thanos v0.42.4, pkg/compact/planner.go; Prometheus, tsdb/compact.go.
type leveler struct {
	ranges []int64 // ms, ascending
	// gapless keeps blocks apart that have something between them.
	gapless bool
}

func newLeveler(o *Options, gapless bool) *leveler {
	l := &leveler{gapless: gapless}
	for _, r := range o.Ranges {
		l.ranges = append(l.ranges, r.Milliseconds())
	}
	return l
}

// pick returns blocks to be merged into one, as a part of nodes, and why; nil if
// there is nothing to do.
//
// Input: nodes are in ascending order of minTime. Those that are fixed stay as
// they are, and nothing is merged across them.
func (l *leveler) pick(nodes []*node) ([]*node, string) {
	if len(nodes) == 0 {
		return nil, ""
	}
	if picked := overlapping(nodes); picked != nil {
		return picked, fmt.Sprintf("%d blocks overlap", len(picked))
	}
	// The newest block is left out: there is as long as it lasts to look at it, and
	// what comes next may belong to the same range.
	older := nodes[:len(nodes)-1]
	if picked, r := l.level(older); picked != nil {
		return picked, fmt.Sprintf("%d blocks of one range of %s", len(picked), duration(r))
	}
	if n := l.tombstoned(older); n != nil {
		return []*node{n}, "more than 5% of the series have tombstones"
	}
	return nil, ""
}

// overlapping returns the first blocks that overlap with each other. Fixed ones do
// not count.
func overlapping(nodes []*node) []*node {
	var (
		picked  []*node
		last    *node
		maxTime int64 = math.MinInt64
	)
	for _, n := range nodes {
		if n.fixed != "" {
			continue
		}
		if last != nil && n.minTime < maxTime {
			if picked == nil {
				picked = append(picked, last)
			}
			picked = append(picked, n)
		} else if picked != nil {
			break
		}
		last, maxTime = n, max(maxTime, n.maxTime)
	}
	return picked
}

// level returns the blocks of the least range that is complete, or that nothing
// can be added to any more.
func (l *leveler) level(nodes []*node) ([]*node, int64) {
	if len(nodes) == 0 || len(l.ranges) < 2 {
		return nil, 0
	}
	newest := nodes[len(nodes)-1].minTime
	for _, r := range l.ranges[1:] {
		for i := 0; i < len(nodes); {
			end := floor(nodes[i].minTime, r) + r
			from := i
			for i < len(nodes) && nodes[i].maxTime <= end {
				i++
			}
			part := nodes[from:i]
			if len(part) == 0 {
				i++ // Too long for this range, or not aligned to it.
				continue
			}
			if span := part[len(part)-1].maxTime - part[0].minTime; span != r && part[len(part)-1].maxTime > newest {
				continue
			}
			if picked := l.unbroken(part); picked != nil {
				return picked, r
			}
		}
	}
	return nil, 0
}

// unbroken returns the first two or more blocks that nothing lies between which is
// to stay. It is nil if the compaction of any of them has failed.
func (l *leveler) unbroken(part []*node) []*node {
	for _, n := range part {
		if n.failed() {
			return nil
		}
	}
	from := 0
	for i, n := range part {
		cut := n.fixed != ""
		if !cut && (!l.gapless || i == from || n.minTime <= part[i-1].maxTime) {
			continue
		}
		if i-from > 1 {
			return part[from:i]
		}
		if from = i; cut {
			from++
		}
	}
	if len(part)-from > 1 {
		return part[from:]
	}
	return nil
}

// tombstoned returns the newest large block of which much has been deleted.
func (l *leveler) tombstoned(nodes []*node) *node {
	if len(l.ranges) == 0 {
		return nil
	}
	for _, n := range slices.Backward(nodes) {
		if n.fixed != "" {
			continue
		}
		if n.maxTime-n.minTime < l.ranges[len(l.ranges)/2] {
			return nil
		}
		if n.block != nil {
			if s := n.block.Meta.Stats; float64(s.NumTombstones)/float64(s.NumSeries+1) > 0.05 {
				return n
			}
		}
	}
	return nil
}

// indexHeadroom is how much of the largest index is planned with.
const indexHeadroom = 0.85

// oversized returns the block that makes the index of the merged ones too large:
// the one with the largest index up to where the sum passes the limit. It is nil if
// it does not, or if that is not known.
func oversized(picked []*node, limit int64) *node {
	var (
		sum  int64
		most *node
	)
	for _, n := range picked {
		if n.block == nil {
			return nil
		}
		if size := n.indexBytes(); most == nil || most.indexBytes() < size {
			most = n
		}
		sum += n.indexBytes()
		if sum >= int64(float64(limit)*indexHeadroom) {
			return most
		}
	}
	return nil
}

// floor returns the largest multiple of r that is not above t.
func floor(t, r int64) int64 {
	if t < 0 {
		t -= r - 1
	}
	return t / r * r
}

// duration returns a span of ms as a duration.
func duration(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
