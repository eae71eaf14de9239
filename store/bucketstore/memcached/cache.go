package memcached

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// Cache is a bucketstore.Cache in memcached servers.
//
// Concurrency: safe.
type Cache struct {
	opts    Options
	client  *memcache.Client
	metrics metrics
	breaker breaker

	gets   chan struct{} // One for each request that runs.
	queue  chan item
	queued atomic.Int64 // Bytes in the queue.

	mu     sync.RWMutex // Held for reading while a goroutine is begun.
	closed bool
	done   chan struct{}
	wg     sync.WaitGroup
}

// item is a value that waits to be set.
type item struct {
	key   string
	value []byte
}

// New returns a cache in those servers. It looks up their names, but does not
// connect: servers that cannot be reached are misses. The caller closes it.
//
// Errors: all problems with the options, joined; a name that cannot be looked up;
// the registerer's.
func New(opts *Options) (*Cache, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open memcached cache: %w", err)
	}
	if o.Selector == nil {
		servers := new(memcache.ServerList)
		if err := servers.SetServers(o.Servers...); err != nil {
			return nil, fmt.Errorf("look up memcached servers: %w", err)
		}
		o.Selector = servers
	}
	c := &Cache{
		opts:   o,
		client: memcache.NewFromSelector(o.Selector),
		gets:   make(chan struct{}, o.Concurrency),
		queue:  make(chan item, o.QueueItems),
		done:   make(chan struct{}),
	}
	c.client.Timeout = o.Timeout
	c.client.MaxIdleConns = o.Concurrency + o.Writers
	if err := c.metrics.register(o.Registerer); err != nil {
		return nil, err
	}
	for range o.Writers {
		c.wg.Go(c.write)
	}
	return c, nil
}

// Close ends what runs, drops what waits to be set, and closes connections. It
// returns when all is over, after Options.Timeout or little more. Calls after it
// do nothing.
func (c *Cache) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if first {
		close(c.done)
	}
	c.wg.Wait()
	// The client that Thanos' go.mod puts in the place of this one has no Close.
	if client, ok := any(c.client).(io.Closer); ok && first {
		return client.Close()
	}
	return nil
}

// batch is keys that are asked for together, and what came back.
type batch struct {
	first int // Where they are among the call's.
	keys  []string
	items map[string]*memcache.Item
}

// Get implements bucketstore.Cache. It returns after Options.Timeout at the
// latest.
func (c *Cache) Get(ctx context.Context, keys []string, values [][]byte) {
	if len(keys) == 0 {
		return
	}
	if !c.breaker.try(time.Now()) {
		c.metrics.skippedGets.Add(float64(len(keys)))
		return
	}
	timer := time.NewTimer(c.opts.Timeout)
	defer timer.Stop()
	size := c.opts.BatchKeys
	batches := (len(keys) + size - 1) / size
	answers := make(chan batch, batches) // So that those that come too late end, too.
	begun := 0
	for first := 0; first < len(keys); first += size {
		b := batch{first: first, keys: keys[first:min(first+size, len(keys))]}
		if !c.begin(ctx, timer.C, func() { answers <- c.fetch(b) }) {
			return // There is no time left for what has begun, either.
		}
		begun++
	}
	for range begun {
		select {
		case b := <-answers:
			for i, key := range b.keys {
				if it := b.items[key]; it != nil {
					values[b.first+i] = it.Value
				}
			}
		case <-timer.C:
			c.breaker.failed(time.Now())
			c.metrics.failedGets.Inc()
			return
		case <-ctx.Done():
			return
		}
	}
}

// begin runs f in a goroutine as soon as fewer than Options.Concurrency do. It is
// false if the time is over before that.
func (c *Cache) begin(ctx context.Context, timeout <-chan time.Time, f func()) bool {
	select {
	case c.gets <- struct{}{}:
	case <-timeout:
		return false
	case <-ctx.Done():
		return false
	case <-c.done:
		return false
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		<-c.gets
		return false
	}
	c.wg.Go(func() {
		defer func() { <-c.gets }()
		f()
	})
	return true
}

// fetch asks for the keys of a batch.
func (c *Cache) fetch(b batch) batch {
	start := time.Now()
	items, err := c.client.GetMulti(b.keys)
	c.metrics.gets.Inc()
	c.metrics.getSeconds.Observe(time.Since(start).Seconds())
	c.breaker.report(err)
	if err != nil {
		c.metrics.failedGets.Inc()
	}
	b.items = items // What other servers have answered is there in spite of an error.
	return b
}

// Set implements bucketstore.Cache. It never waits.
func (c *Cache) Set(key string, value []byte) {
	if len(value) > c.opts.MaxItemBytes {
		c.metrics.largeSets.Inc()
		return
	}
	n := int64(len(key) + len(value))
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return
	}
	if c.queued.Add(n) <= c.opts.QueueBytes {
		select {
		case c.queue <- item{key, value}:
			return
		default:
		}
	}
	c.queued.Add(-n)
	c.metrics.droppedSets.Inc()
}

// write sets values until Close.
func (c *Cache) write() {
	for {
		select {
		case <-c.done:
			return
		case it := <-c.queue:
			c.queued.Add(-int64(len(it.key) + len(it.value)))
			if c.breaker.try(time.Now()) {
				c.set(it)
			} else {
				c.metrics.skippedSets.Inc()
			}
		}
	}
}

// set sets one value.
func (c *Cache) set(it item) {
	start := time.Now()
	err := c.client.Set(&memcache.Item{Key: it.key, Value: it.value, Expiration: int32(c.opts.Expiration / time.Second)})
	c.metrics.sets.Inc()
	c.metrics.setSeconds.Observe(time.Since(start).Seconds())
	c.breaker.report(err)
	if err != nil {
		c.metrics.failedSets.Inc()
	}
}

// breaker leaves servers alone that fail.
//
// Concurrency: safe.
type breaker struct {
	failures atomic.Int64 // One after the other.
	next     atomic.Int64 // When one may try again, in ns; 0 is now.
}

const (
	breakAfter = 5
	tryAgain   = time.Second
)

// try reports whether a request may be sent: always, or once in a while.
func (b *breaker) try(now time.Time) bool {
	if b.failures.Load() < breakAfter {
		return true
	}
	next := b.next.Load()
	return now.UnixNano() >= next && b.next.CompareAndSwap(next, now.Add(tryAgain).UnixNano())
}

// failed counts a failure.
func (b *breaker) failed(now time.Time) {
	if b.failures.Add(1) == breakAfter {
		b.next.Store(now.Add(tryAgain).UnixNano())
	}
}

// report counts what became of a request. That a server refuses a value, or a key
// has none, is no failure of it.
func (b *breaker) report(err error) {
	switch {
	case err == nil, errors.Is(err, memcache.ErrCacheMiss), errors.Is(err, memcache.ErrNotStored),
		errors.Is(err, memcache.ErrServerError), errors.Is(err, memcache.ErrMalformedKey):
		b.failures.Store(0)
	default:
		b.failed(time.Now())
	}
}
