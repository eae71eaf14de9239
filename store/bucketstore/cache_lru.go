package bucketstore

import "sync"

// lruOverhead is about how many bytes an lru takes for an entry beside its key
// and value.
const lruOverhead = 160

// lru is a map of limited size, that forgets what was used longest ago.
//
// Concurrency: safe.
type lru[K comparable, V any] struct {
	limit int64
	// dropped is told of values that were forgotten to make room, while the lru is
	// locked. It may be nil.
	dropped func(K, int64)

	mu      sync.Mutex
	size    int64
	entries map[K]*lruEntry[K, V]
	ends    lruEntry[K, V] // Of the ring: next was used last, prev longest ago.
}

type lruEntry[K comparable, V any] struct {
	key        K
	value      V
	size       int64
	prev, next *lruEntry[K, V]
}

// get returns a value, and counts that as a use of it.
func (c *lru[K, V]) get(k K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[k]
	if !ok {
		return v, false
	}
	e.unlink()
	c.link(e)
	return e.value, true
}

// set keeps a value of that size. It returns the size of the one that it
// replaces, 0 if there was none, and false if it is larger than the limit and so
// is not kept.
func (c *lru[K, V]) set(k K, v V, size int64) (replaced int64, ok bool) {
	if size > c.limit {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[K]*lruEntry[K, V]{}
		c.ends.prev, c.ends.next = &c.ends, &c.ends
	}
	if e := c.entries[k]; e != nil {
		replaced = e.size
		c.remove(e)
	}
	for c.size+size > c.limit {
		oldest := c.ends.prev
		c.remove(oldest)
		if c.dropped != nil {
			c.dropped(oldest.key, oldest.size)
		}
	}
	e := &lruEntry[K, V]{key: k, value: v, size: size}
	c.entries[k] = e
	c.size += size
	c.link(e)
	return replaced, true
}

func (c *lru[K, V]) remove(e *lruEntry[K, V]) {
	e.unlink()
	delete(c.entries, e.key)
	c.size -= e.size
}

func (c *lru[K, V]) link(e *lruEntry[K, V]) {
	e.prev, e.next = &c.ends, c.ends.next
	e.prev.next, e.next.prev = e, e
}

func (e *lruEntry[K, V]) unlink() { e.prev.next, e.next.prev = e.next, e.prev }
