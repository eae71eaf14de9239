package block

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/oklog/ulid/v2"
)

// GroupKey names the compaction group of a block, within which blocks replace
// each other: those of one resolution with the same external labels. It is
// "<resolution in ms>@<labels>" and does not depend on how labels.Labels is built,
// in contrast to Thanos', which has a hash of it.
func (m *Meta) GroupKey() string {
	return strconv.FormatInt(int64(m.Resolution()), 10) + "@" + m.Labels().String()
}

// Duplicates takes out blocks whose compaction sources are all among those of one
// other block of their group, which has replaced them. Of blocks with the same
// sources the one with the least ULID stays. What is covered by several blocks
// together stays.
//
// Source: Thanos' DefaultDeduplicateFilter. One difference is on purpose: a block
// without sources neither replaces another one nor is replaced. For Thanos it
// is a duplicate of any block in its group, whatever is in it, and its compactor
// deletes it.
func Duplicates() Filter {
	return FilterFunc(func(_ context.Context, v *View) error {
		groups := map[string][]*Meta{}
		for _, m := range v.Metas {
			if len(m.Compaction.Sources) > 0 {
				key := m.GroupKey()
				groups[key] = append(groups[key], m)
			}
		}
		for _, group := range groups {
			for _, id := range duplicates(group) {
				v.Exclude(id, StateDuplicate)
			}
		}
		return nil
	})
}

// duplicates returns the blocks of a group that others have replaced. It orders
// the group.
func duplicates(group []*Meta) []ulid.ULID {
	slices.SortFunc(group, func(a, b *Meta) int {
		return cmp.Or(cmp.Compare(len(b.Compaction.Sources), len(a.Compaction.Sources)), a.ULID.Compare(b.ULID))
	})
	var replaced []ulid.ULID
	// covering has for each source the blocks that stay and have it.
	covering := map[ulid.ULID][]int{}
	for i, m := range group {
		if covered(m.Compaction.Sources, covering) {
			replaced = append(replaced, m.ULID)
			continue
		}
		for _, source := range m.Compaction.Sources {
			if c := covering[source]; len(c) == 0 || c[len(c)-1] != i {
				covering[source] = append(c, i)
			}
		}
	}
	return replaced
}

// covered reports whether one block has all sources.
func covered(sources []ulid.ULID, covering map[ulid.ULID][]int) bool {
	for _, candidate := range covering[sources[0]] {
		all := true
		for _, source := range sources[1:] {
			// Ascending, as they were added.
			if _, all = slices.BinarySearch(covering[source], candidate); !all {
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}
