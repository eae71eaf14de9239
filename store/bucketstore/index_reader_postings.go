package bucketstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/indexheader"
)

// postings returns the offsets in bytes, ascending, of the series that match, and
// the matchers that are left to be tested on the series' labels: those whose
// postings were not worth fetching. Without matchers they are all series.
//
// Errors: *block.CorruptError, those of ranger.fetch.
// Cost: one trip to the bucket at most; none for what is in the cache.
func (x *indexReader) postings(ctx context.Context, ms []*labels.Matcher) (refs []uint64, rest []*labels.Matcher, err error) {
	key := x.expandedKey(ms)
	if b, ok := x.cache.get1(ctx, itemExpanded, key.text); ok {
		x.st.cache(kindPostings, 1, 1)
		if ids, rest, ok := key.decode(b); ok {
			x.st.touch(kindPostings, int64(len(b)))
			return x.offsets(ids.decode(nil)), rest, nil
		}
	}
	groups, ok, err := x.groups(ctx, ms)
	if !ok {
		return nil, nil, err
	}
	x.fromCache(ctx, groups)
	x.lazy.plan(groups, x.seriesBytes(), x.ranger.opts.requestCost)
	if err := x.fetchGroups(ctx, groups); err != nil {
		return nil, nil, err
	}
	ids := combine(groups)
	for _, g := range groups {
		if g.lazy {
			rest = append(rest, g.matchers...)
			if x.st != nil {
				x.st.lazyBytes.Add(g.bytes())
			}
		}
	}
	if x.cache != nil {
		x.cache.set(key.text, key.encode(ids, rest))
	}
	return x.offsets(ids), rest, nil
}

// offsets returns the offsets of series in the index.
func (x *indexReader) offsets(ids []uint32) []uint64 {
	unit := x.header.SeriesUnit()
	out := make([]uint64, len(ids))
	for i, id := range ids {
		out[i] = uint64(id) * unit
	}
	return out
}

// seriesBytes returns the size of a series entry of the block on average.
func (x *indexReader) seriesBytes() int64 {
	return x.header.Series().Size / int64(max(x.header.SeriesCount(), 1))
}

// combine intersects and subtracts what is there, the shortest first.
func combine(groups []*group) (ids []uint32) {
	slices.SortStableFunc(groups, func(a, b *group) int {
		if a.subtract != b.subtract {
			if a.subtract {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.list.len(), b.list.len())
	})
	first := true
	for _, g := range groups {
		switch {
		case g.lazy:
		case first:
			ids, first = g.list.decode(nil), false
		case g.subtract:
			ids = subtract(ids, g.list)
		default:
			ids = intersect(ids, g.list)
		}
	}
	return ids
}

// fromCache sets the postings of the groups that are in the cache.
func (x *indexReader) fromCache(ctx context.Context, groups []*group) {
	if x.cache == nil {
		return
	}
	prefix := keyPrefix(itemPostings, x.block.id)
	keys, values := make([]string, len(groups)), make([][]byte, len(groups))
	for i, g := range groups {
		g.key = prefix + g.hash()
		keys[i] = g.key
	}
	hits := x.cache.get(ctx, itemPostings, keys, values)
	x.st.cache(kindPostings, len(keys), hits)
	for i, v := range values {
		if v != nil && len(v)%4 == 0 {
			groups[i].list, groups[i].known = v, true
			x.st.touch(kindPostings, int64(len(v)))
		}
	}
}

// hash returns what is in the cache's key for the group: its label and, as
// positions, its values.
func (g *group) hash() string {
	if g.all() {
		return "all"
	}
	if len(g.runs) == 1 && g.runs.len() == 1 {
		return keyHash([]byte("=" + g.name + "\x00" + string(g.values.At(int(g.runs[0].lo)))))
	}
	b := append([]byte("~"+g.name), 0)
	for _, r := range g.runs {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, r.lo), r.hi)
	}
	return keyHash(b)
}

// lists returns where the postings of the group lie.
func (g *group) lists(h *indexheader.Header, add func(indexheader.List)) {
	if g.all() {
		add(h.All())
		return
	}
	for _, r := range g.runs {
		for i := r.lo; i < r.hi; i++ {
			add(g.values.Postings(int(i)))
		}
	}
}

// wantedList is a postings list that is to be fetched for a group.
type wantedList struct {
	part
	group *group
}

// fetchGroups fetches the postings of all groups in one trip, and unites those of
// each.
func (x *indexReader) fetchGroups(ctx context.Context, groups []*group) error {
	var wanted []wantedList
	for _, g := range groups {
		if g.known || g.lazy {
			continue
		}
		g.lists(x.header, func(l indexheader.List) {
			r := l.Range()
			wanted = append(wanted, wantedList{part{r.Off, r.Size}, g})
		})
	}
	if len(wanted) == 0 {
		return nil
	}
	byOffset := func(a, b wantedList) int { return cmp.Compare(a.off, b.off) }
	if !slices.IsSortedFunc(wanted, byOffset) {
		slices.SortFunc(wanted, byOffset)
	}
	parts := make([]part, len(wanted))
	for i, w := range wanted {
		parts[i] = w.part
	}
	o := indexObject(x.block.id, kindPostings)
	err := x.ranger.fetch(ctx, o, parts, x.st, func(i int, b []byte) error {
		l, err := parseList(b)
		if err != nil {
			return o.corrupt(fmt.Errorf("postings at %d: %w", parts[i].off, err))
		}
		x.st.touch(kindPostings, int64(len(b)))
		wanted[i].group.add(l)
		return nil
	})
	if err != nil {
		return err
	}
	for _, g := range groups {
		if !g.known && !g.lazy {
			g.unite()
			if x.cache != nil {
				x.cache.set(g.key, g.sealed)
			}
		}
	}
	return nil
}

// add adds one of the group's lists, which is borrowed.
func (g *group) add(l list) {
	if g.sealed == nil { // The header says how much there is, so that it does not move.
		g.sealed = newSealed(int(4 * g.entries))
	}
	from := len(g.sealed)
	g.sealed = append(g.sealed, l...)
	g.fetched = append(g.fetched, list(g.sealed[from:]))
}

// unite makes one list of those that were added.
func (g *group) unite() {
	if len(g.fetched) > 1 {
		g.sealed = appendList(g.sealed[:sealSize], unite(g.fetched))
	}
	g.list, g.known, g.fetched = g.sealed[sealSize:], true, nil
}
