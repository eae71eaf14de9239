package bucketstore

import (
	"bytes"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// algebra is what one call does to the labels of one block's series: external
// labels override, replica labels go, and what belongs to another shard is left
// out.
type algebra struct {
	rewrite encoded.Rewrite
	order   order
	shard   *sharder // nil if not sharded
}

// newAlgebra returns the algebra of a block with these external labels. has says
// which label names its series have.
func newAlgebra(external labels.Labels, has func(name string) bool, replica []string, shard *store.Shard) algebra {
	var drop []string
	for _, n := range replica {
		if n != "" && (has(n) || external.Has(n)) {
			drop = append(drop, n)
		}
	}
	a := algebra{rewrite: encoded.NewRewrite(external, drop), order: newOrder(external, drop, has)}
	if shard != nil && shard.Total > 0 {
		a.shard = newSharder(shard)
	}
	return a
}

// order cuts the series of a block, which come sorted by their own labels, into
// groups that stay in order among each other when labels are rewritten.
//
// Labels that are only added, because no series of the block has labels of that
// name, are the same in all series and keep the order of any two but one kind: of
// a series whose labels are those that another one begins with. What is added
// to the shorter one may come after what the longer one has in that place. All
// such series follow the shorter one directly.
//
// Where labels are overridden or removed, series keep their order as far as they
// differ in their first label, and that comes before all that is touched. It is
// as a rule the metric name.
type order struct {
	changes bool   // labels that series have are overridden or removed
	added   string // the greatest name that is added; empty if none
	first   string // the least name that is touched; empty if none

	head []byte // of the group: its first series' labels, or their first entry
	open bool   // there is a group, and series may follow in it
	all  bool   // everything from here on is one group
}

func newOrder(external labels.Labels, drop []string, has func(string) bool) order {
	var o order
	touch := func(name string) {
		o.changes = o.changes || has(name)
		if o.first == "" || name < o.first {
			o.first = name
		}
	}
	external.Range(func(l labels.Label) {
		if !slices.Contains(drop, l.Name) {
			touch(l.Name)
			o.added = max(o.added, l.Name)
		}
	})
	for _, n := range drop {
		if has(n) {
			touch(n)
		}
	}
	return o
}

// starts reports whether the series with these labels, its own, comes after
// everything in the group before, and makes it the first of the next group if
// so.
func (o *order) starts(lset []byte) bool {
	switch {
	case o.changes:
		return o.startsChanged(lset)
	case o.added == "":
		return true
	case o.open && bytes.HasPrefix(lset, o.head):
		return false
	}
	if o.open = string(lastName(lset)) < o.added; o.open {
		o.head = append(o.head[:0], lset...)
	}
	return true
}

func (o *order) startsChanged(lset []byte) bool {
	if o.all {
		return false
	}
	entry, name := encoded.First(lset)
	// Those that begin with a name that is touched come after those that do not.
	if len(entry) == 0 || string(name) >= o.first {
		entry, o.all = nil, true
	}
	if o.open && !o.all && bytes.Equal(o.head, entry) {
		return false
	}
	o.open, o.head = true, append(o.head[:0], entry...)
	return true
}

// merges reports whether series of the block may become equal.
func (o *order) merges() bool { return o.changes }

func lastName(lset []byte) (name []byte) {
	encoded.Each(lset, func(n, _ []byte) bool { name = n; return true })
	return name
}

// sharder decides which series belong to a shard.
//
// Source: ShardInfo in Thanos' storepb/shard_info.go; store.Shard has the same
// for decoded labels.
type sharder struct {
	shard *store.Shard
	names map[string]struct{}
	buf   []byte
}

func newSharder(s *store.Shard) *sharder {
	h := &sharder{shard: s, names: make(map[string]struct{}, len(s.Labels))}
	for _, n := range s.Labels {
		h.names[n] = struct{}{}
	}
	return h
}

// has reports whether a series with these labels, as sent, is in the shard.
func (h *sharder) has(lset []byte) bool {
	h.buf = h.buf[:0]
	encoded.Each(lset, func(name, value []byte) bool {
		if _, ok := h.names[string(name)]; ok == h.shard.By {
			h.buf = append(append(h.buf, name...), 0xff)
			h.buf = append(append(h.buf, value...), 0xff)
		}
		return true
	})
	return xxhash.Sum64(h.buf)%uint64(h.shard.Total) == uint64(h.shard.Index)
}
