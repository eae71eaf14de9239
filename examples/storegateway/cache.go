package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alecthomas/units"
	"go.yaml.in/yaml/v2"

	"github.com/thanoskit/thanoskit/examples/internal/program"
	"github.com/thanoskit/thanoskit/store/bucketstore"
	"github.com/thanoskit/thanoskit/store/bucketstore/memcached"
)

// cacheFlags say where a cache is: in memory, or what Thanos' YAML names.
type cacheFlags struct {
	name   string
	size   *int64
	config *program.Content
}

// newCacheFlags declares the flags --<name>-size and --<name>.config.
func newCacheFlags(p *program.Program, name string, size int64, of string) *cacheFlags {
	return &cacheFlags{
		name:   name,
		size:   p.Bytes(name+"-size", size, "memory for "+of+"; 0 is none"),
		config: program.NewContent(p.Flags, name+".config", "cache for "+of+" in Thanos' YAML, type IN-MEMORY or MEMCACHED, in place of the size"),
	}
}

// open returns the cache, nil if there is none, and how it is closed.
func (c *cacheFlags) open(p *program.Program) (bucketstore.Cache, func() error, error) {
	cache, closing, err := c.build(p)
	if err != nil {
		return nil, nil, fmt.Errorf("make cache of %s: %w", c.from(), err)
	}
	return cache, closing, nil
}

// from is the flag that says what the cache is.
func (c *cacheFlags) from() string {
	if c.config.Given() {
		return c.config.String()
	}
	return "--" + c.name + "-size"
}

func (c *cacheFlags) build(p *program.Program) (bucketstore.Cache, func() error, error) {
	text, err := c.config.Read()
	if err != nil {
		return nil, nil, err
	}
	if text == nil {
		if *c.size == 0 {
			return nil, func() error { return nil }, nil
		}
		return inMemory(p, &memoryConfig{MaxSize: units.Base2Bytes(*c.size)})
	}
	var config cacheConfig
	if err := yaml.UnmarshalStrict(text, &config); err != nil {
		return nil, nil, err
	}
	rest, err := yaml.Marshal(config.Config)
	if err != nil {
		return nil, nil, err
	}
	switch strings.ToUpper(config.Type) {
	case "IN-MEMORY":
		m := memoryConfig{MaxSize: 250 << 20}
		if err := yaml.UnmarshalStrict(rest, &m); err != nil {
			return nil, nil, err
		}
		return inMemory(p, &m)
	case "MEMCACHED":
		var m memcachedConfig
		if err := yaml.UnmarshalStrict(rest, &m); err != nil {
			return nil, nil, err
		}
		return m.open(p)
	}
	return nil, nil, fmt.Errorf("type %q is neither IN-MEMORY nor MEMCACHED", config.Type)
}

// cacheConfig is Thanos' for a cache of any type.
type cacheConfig struct {
	Type   string        `yaml:"type"`
	Config yaml.MapSlice `yaml:"config"`
}

// memoryConfig is Thanos' for a cache in memory.
type memoryConfig struct {
	MaxSize     units.Base2Bytes `yaml:"max_size"`
	MaxItemSize units.Base2Bytes `yaml:"max_item_size"`
}

func inMemory(p *program.Program, c *memoryConfig) (bucketstore.Cache, func() error, error) {
	m, err := bucketstore.NewMemoryCache(int64(c.MaxSize), &bucketstore.MemoryCacheOptions{MaxItemBytes: int64(c.MaxItemSize), Registerer: p.Registry})
	return m, func() error { return nil }, err
}

// memcachedConfig is Thanos' for a cache in memcached. What has no counterpart is
// accepted and ignored.
type memcachedConfig struct {
	Addresses      []string         `yaml:"addresses"`
	Timeout        time.Duration    `yaml:"timeout"`
	TTL            time.Duration    `yaml:"ttl"`
	MaxItemSize    units.Base2Bytes `yaml:"max_item_size"`
	MaxConcurrency int              `yaml:"max_get_multi_concurrency"`
	MaxBatchSize   int              `yaml:"max_get_multi_batch_size"`
	MaxAsync       int              `yaml:"max_async_concurrency"`
	MaxAsyncBuffer int              `yaml:"max_async_buffer_size"`
	AutoDiscovery  bool             `yaml:"auto_discovery"`

	MaxIdleConnections int            `yaml:"max_idle_connections"`
	DNSUpdateInterval  time.Duration  `yaml:"dns_provider_update_interval"`
	CircuitBreaker     map[string]any `yaml:"set_async_circuit_breaker_config"`
}

func (c *memcachedConfig) open(p *program.Program) (bucketstore.Cache, func() error, error) {
	if c.AutoDiscovery {
		return nil, nil, errors.New("auto_discovery is not supported")
	}
	for _, a := range c.Addresses {
		if strings.Contains(a, "+") {
			return nil, nil, fmt.Errorf("address %q: names are looked up once, as host:port", a)
		}
	}
	m, err := memcached.New(&memcached.Options{
		Servers: c.Addresses, Timeout: c.Timeout, Expiration: c.TTL,
		MaxItemBytes: int(c.MaxItemSize), BatchKeys: c.MaxBatchSize, Concurrency: c.MaxConcurrency,
		Writers: c.MaxAsync, QueueItems: c.MaxAsyncBuffer,
		Registerer: p.Registry,
	})
	if err != nil {
		return nil, nil, err
	}
	return m, m.Close, nil
}
