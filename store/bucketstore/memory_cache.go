package bucketstore

import (
	"context"
	"errors"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/internal/metric"
)

// memoryShards is how many parts a MemoryCache has, so that calls seldom wait for
// each other.
const memoryShards = 16

// MemoryCache is a Cache in memory, of limited size, that forgets what was used
// longest ago.
//
// Concurrency: safe.
type MemoryCache struct {
	shards  [memoryShards]lru[string, []byte]
	maxItem int64
	metrics memoryMetrics
}

// MemoryCacheOptions are the options of NewMemoryCache. The zero value is usable.
type MemoryCacheOptions struct {
	// MaxItemBytes is the size of the largest value that is kept. 0 is a sixteenth
	// of the cache, which is the most that it can be.
	MaxItemBytes int64
	// Registerer is where metrics are registered; nil is nowhere. Caches that share
	// one share the metrics, which are then sums.
	Registerer prometheus.Registerer
}

// NewMemoryCache returns a cache that takes about that many bytes, keys and
// bookkeeping among them. opts may be nil.
//
// Errors: a size that is not positive; the registerer's.
func NewMemoryCache(bytes int64, opts *MemoryCacheOptions) (*MemoryCache, error) {
	var o MemoryCacheOptions
	if opts != nil {
		o = *opts
	}
	if bytes <= 0 || o.MaxItemBytes < 0 {
		return nil, errors.New("size of memory cache is not positive")
	}
	c := &MemoryCache{maxItem: bytes / memoryShards}
	if o.MaxItemBytes > 0 {
		c.maxItem = min(c.maxItem, o.MaxItemBytes)
	}
	if err := c.metrics.register(o.Registerer); err != nil {
		return nil, err
	}
	for i := range c.shards {
		c.shards[i].limit = bytes / memoryShards
		c.shards[i].dropped = c.metrics.evict
	}
	c.metrics.maxSize.Add(float64(bytes))
	return c, nil
}

func (c *MemoryCache) shard(key string) *lru[string, []byte] {
	return &c.shards[xxhash.Sum64String(key)%memoryShards]
}

// Get implements Cache. The values are those that were set, not copies.
func (c *MemoryCache) Get(_ context.Context, keys []string, values [][]byte) {
	for i, key := range keys {
		values[i], _ = c.shard(key).get(key)
	}
}

// Set implements Cache.
func (c *MemoryCache) Set(key string, value []byte) {
	size := int64(len(key) + cap(value) + lruOverhead)
	if size > c.maxItem {
		c.metrics.of(key).overflowed.Inc()
		return
	}
	replaced, ok := c.shard(key).set(key, value, size)
	if !ok {
		return
	}
	m := c.metrics.of(key)
	m.added.Inc()
	m.bytes.Add(float64(size - replaced))
	if replaced == 0 {
		m.items.Inc()
	}
}

// Bytes returns how many bytes the cache takes now.
func (c *MemoryCache) Bytes() (n int64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += s.size
		s.mu.Unlock()
	}
	return n
}

// memoryMetrics are those of a MemoryCache, by kind of value. They mean what
// Thanos' do.
type memoryMetrics struct {
	maxSize prometheus.Gauge
	kinds   [numItems + 1]itemMetrics // The last one is of keys that are not ours.
}

type itemMetrics struct {
	added, evicted, overflowed prometheus.Counter
	items, bytes               prometheus.Gauge
}

func (m *memoryMetrics) register(reg prometheus.Registerer) error {
	label := []string{"item_type"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, label)
	}
	added := counter("thanos_store_index_cache_items_added_total", "Items that were added to the memory cache.")
	evicted := counter("thanos_store_index_cache_items_evicted_total", "Items that had to make room for others.")
	overflowed := counter("thanos_store_index_cache_items_overflowed_total", "Items that were too large to be added.")
	items := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "thanos_store_index_cache_items",
		Help: "Items in the memory cache.",
	}, label)
	bytes := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "thanos_store_index_cache_total_size_bytes",
		Help: "Bytes of items in the memory cache, with their keys.",
	}, label)
	m.maxSize = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "thanos_store_index_cache_max_size_bytes",
		Help: "Bytes that the memory cache may take.",
	})
	err := errors.Join(metric.Register(reg, &added), metric.Register(reg, &evicted), metric.Register(reg, &overflowed),
		metric.Register(reg, &items), metric.Register(reg, &bytes), metric.Register(reg, &m.maxSize))
	if err != nil {
		return err
	}
	for i := range m.kinds {
		name := "Other"
		if i < numItems {
			name = itemNames[i]
		}
		m.kinds[i] = itemMetrics{
			added: added.WithLabelValues(name), evicted: evicted.WithLabelValues(name), overflowed: overflowed.WithLabelValues(name),
			items: items.WithLabelValues(name), bytes: bytes.WithLabelValues(name),
		}
	}
	return nil
}

// of returns the metrics of a key's kind.
func (m *memoryMetrics) of(key string) *itemMetrics { return &m.kinds[itemOf(key)] }

// evict counts a value that had to go.
func (m *memoryMetrics) evict(key string, size int64) {
	k := m.of(key)
	k.evicted.Inc()
	k.items.Dec()
	k.bytes.Sub(float64(size))
}
