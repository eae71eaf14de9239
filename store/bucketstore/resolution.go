package bucketstore

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
)

// resolutions are those that blocks have, coarsest first.
var resolutions = [...]block.Resolution{block.OneHour, block.FiveMinutes, block.Raw}

// blockSet is the blocks that have the same external labels, by resolution.
//
// Concurrency: none; the Store's lock holds for it.
type blockSet struct {
	labels labels.Labels
	// blocks of each of resolutions, ascending by MinTime and then MaxTime.
	blocks [len(resolutions)][]*loadedBlock
	// reach is up to where the data of all blocks up to each one reaches.
	reach [len(resolutions)][]int64
}

// add adds a block, whose external labels are those of the set.
//
// Errors: a resolution that no reader would look for.
func (s *blockSet) add(b *loadedBlock) error {
	i := slices.Index(resolutions[:], b.meta.Resolution())
	if i < 0 {
		return &block.UnsupportedError{Block: b.meta.ULID, File: block.MetaFile, What: fmt.Sprintf("resolution %d", b.meta.Resolution())}
	}
	at, _ := slices.BinarySearchFunc(s.blocks[i], b, compareTimes)
	s.blocks[i] = slices.Insert(s.blocks[i], at, b)
	s.reach[i] = slices.Insert(s.reach[i], at, 0)
	s.setReach(i, at)
	return nil
}

// setReach sets the reach of the blocks of a level from one on, up to where it is
// what it was.
func (s *blockSet) setReach(level, from int) {
	reach := s.reach[level]
	for i := from; i < len(reach); i++ {
		to := s.blocks[level][i].meta.MaxTime
		if i > 0 {
			to = max(to, reach[i-1])
		}
		if i > from && reach[i] == to {
			return
		}
		reach[i] = to
	}
}

// remove removes a block, and reports whether the set is empty then.
func (s *blockSet) remove(b *loadedBlock) (empty bool) {
	empty = true
	for i := range s.blocks {
		if at := slices.Index(s.blocks[i], b); at >= 0 {
			s.blocks[i] = slices.Delete(s.blocks[i], at, at+1)
			s.reach[i] = slices.Delete(s.reach[i], at, at+1)
			s.setReach(i, at)
		}
		empty = empty && len(s.blocks[i]) == 0
	}
	return empty
}

func compareTimes(a, b *loadedBlock) int {
	return cmp.Or(cmp.Compare(a.meta.MinTime, b.meta.MinTime), cmp.Compare(a.meta.MaxTime, b.meta.MaxTime),
		a.meta.ULID.Compare(b.meta.ULID))
}

// choose appends to dst the blocks that have the data from mint to maxt, ms, both
// inclusive: those of the coarsest resolution up to most, and where these leave
// gaps those of the next finer one, and so on. Each block is there once, in no
// order. usable says which blocks count at all; nil means all of them.
//
// Source: bucketBlockSet.getFor in Thanos' pkg/store/bucket.go, whose choice
// this is, block for block: also in that the gap after a block starts where that
// one ends, even if an earlier one reaches further, and that finer blocks are
// taken whole however small the gap.
func (s *blockSet) choose(dst []*loadedBlock, mint, maxt int64, most block.Resolution, usable func(*loadedBlock) bool) []*loadedBlock {
	level := 0
	for level < len(resolutions)-1 && resolutions[level] > most {
		level++
	}
	from := len(dst)
	dst = s.fill(dst, level, mint, maxt, usable)
	// A block that reaches over two gaps was found twice.
	found := dst[from:]
	slices.SortFunc(found, compareTimes)
	return dst[:from+len(slices.Compact(found))]
}

// fill fills a gap with blocks of a level and those that follow it.
func (s *blockSet) fill(dst []*loadedBlock, level int, mint, maxt int64, usable func(*loadedBlock) bool) []*loadedBlock {
	if level == len(resolutions) || mint > maxt {
		return dst
	}
	start := mint
	// There may be many gaps, and those before them end before them.
	first, _ := slices.BinarySearchFunc(s.reach[level], mint, func(reach, mint int64) int {
		if reach <= mint {
			return -1
		}
		return 1
	})
	for _, b := range s.blocks[level][first:] {
		switch {
		case b.meta.MaxTime <= mint || (usable != nil && !usable(b)):
			continue
		case b.meta.MinTime > maxt:
			return s.fill(dst, level+1, start, maxt, usable)
		}
		dst = s.fill(dst, level+1, start, b.meta.MinTime-1, usable)
		dst = append(dst, b)
		start = b.meta.MaxTime
	}
	return s.fill(dst, level+1, start, maxt, usable)
}

// matchers returns those that the series of the set's blocks have to satisfy,
// and whether the external labels satisfy the others.
func (s *blockSet) matchers(ms []*labels.Matcher) (rest []*labels.Matcher, ok bool) {
	for _, m := range ms {
		switch v := s.labels.Get(m.Name); {
		case v == "":
			rest = append(rest, m)
		case !m.Matches(v):
			return nil, false
		}
	}
	return rest, true
}
