package bucketstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

// Cache keeps values that were read from blocks. It may lose any of them at any
// time, and several gateways may share one.
//
// Keys are printable ASCII without spaces, at most 200 bytes; they name the kind
// of value, the block and what of it, and the version of the format, so that a
// value never changes but for what other calls add to it. Values are at most a
// few MiB. They carry a checksum of key and value: what a cache returns of
// another key, cut short or changed, is a miss and never a wrong answer.
//
// Concurrency: implementations must be safe for concurrent use.
type Cache interface {
	// Get sets values[i] to what was set for keys[i], and leaves those nil that it
	// does not have; both are of the same length. It returns early, with what it
	// has, when the context ends, and it should take no longer than reading from the
	// bucket would.
	//
	// The caller does not change the values, and the cache does not after that.
	Get(ctx context.Context, keys []string, values [][]byte)
	// Set keeps a value, or not. It does not wait for anything. The value is the
	// cache's from then on; the caller may go on reading it.
	Set(key string, value []byte)
}

// cacheVersion is a part of each key. It changes with what is in values.
const cacheVersion = "tk1"

// Kinds of values, as they are in keys and in metrics.
const (
	itemPostings = iota
	itemExpanded
	itemSeries
	itemChunks
	numItems
)

// itemNames are Thanos' item types, and itemKeys stand for them in keys.
var (
	itemNames = [numItems]string{"Postings", "ExpandedPostings", "Series", "Chunks"}
	itemKeys  = [numItems]string{"p", "e", "s", "c"}
)

// keyPrefix returns what the keys of such items of a block begin with.
func keyPrefix(item int, id ulid.ULID) string {
	return cacheVersion + "/" + itemKeys[item] + "/" + id.String() + "/"
}

// keyHash returns 32 characters for what cannot stand in a key by itself. They are
// long enough that no two texts have the same.
func keyHash(text []byte) string {
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

// itemOf returns the kind of value that a key is of, or numItems if it is none of
// ours.
func itemOf(key string) int {
	rest, ok := strings.CutPrefix(key, cacheVersion+"/")
	if ok && len(rest) > 1 && rest[1] == '/' {
		for i, k := range itemKeys {
			if rest[:1] == k {
				return i
			}
		}
	}
	return numItems
}

// sealSize is how many bytes before a value its checksum takes.
const sealSize = 8

// newSealed returns room for a value of n bytes to be appended, after its
// checksum.
func newSealed(n int) []byte { return make([]byte, sealSize, sealSize+n) }

// checksum is that of a key and its value.
func checksum(key string, value []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(key) // Never fails.
	_, _ = d.Write(value)
	return d.Sum64()
}

// sealedCache is a Cache whose values are checked. A nil one has nothing.
//
// Concurrency: safe.
type sealedCache struct {
	cache    Cache
	requests [numItems]prometheus.Counter
	hits     [numItems]prometheus.Counter
	poisoned prometheus.Counter
}

// newSealedCache returns nil for a nil cache.
func newSealedCache(c Cache, reg prometheus.Registerer) (*sealedCache, error) {
	if c == nil {
		return nil, nil
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "thanos_store_index_cache_requests_total",
		Help: "Items that were looked up in the cache.",
	}, []string{"item_type"})
	hits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "thanos_store_index_cache_hits_total",
		Help: "Items that were found in the cache.",
	}, []string{"item_type"})
	s := &sealedCache{cache: c, poisoned: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "thanoskit_bucketstore_cache_poisoned_total",
		Help: "Items from the cache that were not what had been set.",
	})}
	err := errors.Join(metric.Register(reg, &requests), metric.Register(reg, &hits), metric.Register(reg, &s.poisoned))
	if err != nil {
		return nil, err
	}
	for i, name := range itemNames {
		s.requests[i], s.hits[i] = requests.WithLabelValues(name), hits.WithLabelValues(name)
	}
	return s, nil
}

// get sets values[i] to the value of keys[i], or to nil. It returns how many it
// found. Values are shared: they must not be changed.
func (s *sealedCache) get(ctx context.Context, item int, keys []string, values [][]byte) (hits int) {
	if s == nil || len(keys) == 0 {
		return 0
	}
	s.cache.Get(ctx, keys, values)
	for i, v := range values {
		if v == nil {
			continue
		}
		if len(v) < sealSize || binary.LittleEndian.Uint64(v) != checksum(keys[i], v[sealSize:]) {
			values[i] = nil
			s.poisoned.Inc()
			continue
		}
		values[i] = v[sealSize:]
		hits++
	}
	s.requests[item].Add(float64(len(keys)))
	s.hits[item].Add(float64(hits))
	return hits
}

// get1 is get of one key.
func (s *sealedCache) get1(ctx context.Context, item int, key string) ([]byte, bool) {
	if s == nil {
		return nil, false
	}
	var values [1][]byte
	ok := s.get(ctx, item, []string{key}, values[:]) == 1
	return values[0], ok
}

// set keeps a value that was appended to newSealed. It must not be changed after
// that.
func (s *sealedCache) set(key string, sealed []byte) {
	if s == nil {
		return
	}
	binary.LittleEndian.PutUint64(sealed, checksum(key, sealed[sealSize:]))
	s.cache.Set(key, sealed)
}

// rangeKey is the key of a range of a file.
func rangeKey(prefix string, p part) string {
	b := make([]byte, 0, len(prefix)+32)
	b = append(b, prefix...)
	b = strconv.AppendInt(b, p.off, 36)
	b = append(b, '-')
	b = strconv.AppendInt(b, p.size, 36)
	return string(b)
}
