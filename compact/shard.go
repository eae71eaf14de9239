package compact

import (
	"github.com/cespare/xxhash/v2"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// ShardOf returns which of so many compactors looks after the blocks with those
// external labels, replica labels left out: all their resolutions, since what is
// made of one and deleted of another depends on each other.
//
// It is the xxHash (64 bit, seed 0) of the labels, in order of their names, as they
// are on the wire in a Series message of the StoreAPI, modulo shards. So it is the
// same for everybody, however labels.Labels is built.
//
// Compactors that disagree on shards harm nothing: what two of them work on is
// made twice at worst, and what none works on waits. Both can be seen: see
// Plan.Foreign.
func ShardOf(lset labels.Labels, shards int) int {
	return shardOf(encoded.AppendLabels(nil, lset), shards)
}

func shardOf(b []byte, shards int) int {
	if shards <= 1 {
		return 0
	}
	return int(xxhash.Sum64(b) % uint64(shards))
}

// owns reports whether this compactor looks after the blocks with those external
// labels.
func (o *Options) owns(lset labels.Labels) bool { return ShardOf(lset, o.Shards) == o.Shard }

// ownsID is owns for what has no labels that are known.
func (o *Options) ownsID(id ulid.ULID) bool { return shardOf(id[:], o.Shards) == o.Shard }
