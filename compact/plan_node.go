package compact

import (
	"cmp"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/downsample"
)

// node is a block in the group that it belongs to, or one that a job of the plan is
// to make.
type node struct {
	block            *Block // nil for one that is to be made
	minTime, maxTime int64
	sources          []ulid.ULID // ascending, each once
	// fixed says why the block is not compacted, empty if it may be.
	fixed string
	// raw says why it is not downsampled, empty if it may be; unable whether that is
	// because it cannot be, and not because somebody wants it so.
	raw    string
	unable bool
	// leaving says that it is marked for deletion and only keeps its place.
	leaving bool
	// bad says that it is quarantined, doubtful that it has a mark that could not be
	// read, and may be. Nothing can be relied on to be in either.
	bad, doubtful bool
	// gone says that it is to be taken out of its group.
	gone bool
}

func newNode(b *Block) *node {
	sources := slices.Clone(b.Meta.Compaction.Sources)
	slices.SortFunc(sources, ulid.ULID.Compare)
	return &node{block: b, minTime: b.Meta.MinTime, maxTime: b.Meta.MaxTime, sources: slices.Compact(sources)}
}

// mergedNode returns the block that the merge of others makes.
func mergedNode(nodes []*node) *node {
	m := &node{minTime: nodes[0].minTime, maxTime: nodes[0].maxTime}
	for _, n := range nodes {
		m.minTime, m.maxTime = min(m.minTime, n.minTime), max(m.maxTime, n.maxTime)
		m.sources = append(m.sources, n.sources...)
	}
	slices.SortFunc(m.sources, ulid.ULID.Compare)
	m.sources = slices.Compact(m.sources)
	return m
}

// downsampled returns the block that is made of n at another resolution.
func (n *node) downsampled() *node {
	return &node{minTime: n.minTime, maxTime: n.maxTime, sources: n.sources}
}

// sound reports whether what should be in a block can be relied on to be in it.
func (n *node) sound() bool { return !n.bad && !n.doubtful }

// overlaps reports whether the ranges of two blocks overlap.
func (n *node) overlaps(o *node) bool { return n.minTime < o.maxTime && o.minTime < n.maxTime }

// lasts reports whether the range of a block is one that a resolution is made of.
func (n *node) lasts(res block.Resolution) bool {
	finer := block.Raw
	if res == block.OneHour {
		finer = block.FiveMinutes
	}
	to, due := downsample.Due(&block.Meta{
		MinTime: n.minTime, MaxTime: n.maxTime, Thanos: block.Thanos{Downsample: block.Downsample{Resolution: finer}},
	})
	return due && to == res
}

func (n *node) failed() bool { return n.block != nil && n.block.Meta.Compaction.Failed }

func (n *node) indexBytes() int64 {
	if size := n.block.Meta.IndexSize(); size > 0 {
		return size
	}
	return n.block.IndexBytes
}

// compareNodes orders blocks by time. Blocks that are to be made come after those
// that are there.
func compareNodes(a, b *node) int {
	return cmp.Or(
		cmp.Compare(a.minTime, b.minTime), cmp.Compare(a.maxTime, b.maxTime),
		cmp.Compare(boolInt(a.block == nil), boolInt(b.block == nil)),
		a.id().Compare(b.id()),
	)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// id is the ULID, zero for a block that is to be made.
func (n *node) id() ulid.ULID {
	if n.block == nil {
		return ulid.ULID{}
	}
	return n.block.Meta.ULID
}

// metas returns the blocks, or nil if any of them is not there yet.
func metas(nodes []*node) []*block.Meta {
	ms := make([]*block.Meta, len(nodes))
	for i, n := range nodes {
		if n.block == nil {
			return nil
		}
		ms[i] = n.block.Meta
	}
	return ms
}

// group are the blocks of one resolution of a stream that are to be worked with, in
// the order of compareNodes.
type group struct {
	key   string
	res   block.Resolution
	nodes []*node
}

// insert adds a block that is to be made, and takes those out that it replaces.
func (g *group) insert(made *node) {
	for _, n := range g.nodes {
		n.gone = n.overlaps(made) && len(n.sources) > 0 && subset(n.sources, made.sources)
	}
	g.sweep()
	i, _ := slices.BinarySearchFunc(g.nodes, made, compareNodes)
	g.nodes = slices.Insert(g.nodes, i, made)
}

// remove takes blocks out.
func (g *group) remove(nodes ...*node) {
	for _, n := range nodes {
		n.gone = true
	}
	g.sweep()
}

func (g *group) sweep() {
	g.nodes = slices.DeleteFunc(g.nodes, func(n *node) bool { return n.gone })
}
