package store

import (
	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// Shard is one of Total disjoint parts of all series, chosen by a hash of some
// of their labels. The same series is in the same shard at every Store, Thanos'
// included.
//
// Source: ShardInfo in Thanos' storepb/rpc.proto, and the hash that its
// components agree on: xxhash64 over name, 0xff, value, 0xff of each label that
// takes part, in the order of the label set as sent.
type Shard struct {
	// Index is the part wanted: 0 to Total-1.
	Index int64
	// Total is the number of parts. Less than 1 means no sharding.
	Total int64
	// By says whether Labels take part in the hash, or all but Labels.
	By     bool
	Labels []string
}

// Matches reports whether a series belongs to the shard. The labels are those
// that are sent: external labels applied, replica labels removed. A nil Shard
// has every series.
func (s *Shard) Matches(lset labels.Labels) bool {
	if s == nil || s.Total < 1 {
		return true
	}
	h := s.hasher()
	lset.Range(func(l labels.Label) { h.add(l.Name, l.Value) })
	return h.matches()
}

func (s *Shard) hasher() *shardHasher {
	h := &shardHasher{shard: s, names: make(map[string]struct{}, len(s.Labels))}
	for _, n := range s.Labels {
		h.names[n] = struct{}{}
	}
	return h
}

// shardHasher matches series after series, reusing its buffer.
type shardHasher struct {
	shard *Shard
	names map[string]struct{}
	buf   []byte
}

func (h *shardHasher) add(name, value string) {
	if _, ok := h.names[name]; ok == h.shard.By {
		h.buf = append(append(h.buf, name...), 0xff)
		h.buf = append(append(h.buf, value...), 0xff)
	}
}

func (h *shardHasher) addBytes(name, value []byte) {
	if _, ok := h.names[string(name)]; ok == h.shard.By {
		h.buf = append(append(h.buf, name...), 0xff)
		h.buf = append(append(h.buf, value...), 0xff)
	}
}

// matches decides for the labels added since the last call.
func (h *shardHasher) matches() bool {
	sum := xxhash.Sum64(h.buf)
	h.buf = h.buf[:0]
	return sum%uint64(h.shard.Total) == uint64(h.shard.Index)
}
