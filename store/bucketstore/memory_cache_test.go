package bucketstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/thanoskit/thanoskit/store/bucketstore"
)

func get(c bucketstore.Cache, keys ...string) []string {
	values := make([][]byte, len(keys))
	c.Get(context.Background(), keys, values)
	out := make([]string, len(keys))
	for i, v := range values {
		if out[i] = string(v); v == nil {
			out[i] = "-"
		}
	}
	return out
}

func TestMemoryCache(t *testing.T) {
	t.Parallel()
	c, err := bucketstore.NewMemoryCache(1<<20, nil)
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"-"}, get(c, "a"))
	c.Set("a", []byte("1"))
	c.Set("b", []byte{})
	c.Set("a", []byte("2"))
	testutil.Equals(t, []string{"2", "", "-"}, get(c, "a", "b", "c"))
	testutil.Assert(t, c.Bytes() > 2 && c.Bytes() < 1000, "%d bytes", c.Bytes())
	// What is too large is not kept, and does not push anything out.
	c.Set("d", make([]byte, 1<<20))
	testutil.Equals(t, []string{"2", "-"}, get(c, "a", "d"))
}

func TestMemoryCacheBounds(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	reg := prometheus.NewRegistry()
	c, err := bucketstore.NewMemoryCache(size, &bucketstore.MemoryCacheOptions{Registerer: reg, MaxItemBytes: 10_000})
	testutil.Ok(t, err)
	c.Set("hot", []byte("kept"))
	for i := range 20_000 {
		c.Set(fmt.Sprintf("tk1/p/%d", i), make([]byte, 100+i%1000))
		testutil.Equals(t, []string{"kept"}, get(c, "hot")) // Used all the time.
		if i%1000 == 0 {
			testutil.Assert(t, c.Bytes() <= size, "%d bytes", c.Bytes())
		}
	}
	testutil.Assert(t, c.Bytes() > size/2, "%d bytes", c.Bytes())
	testutil.Equals(t, []string{"-"}, get(c, "tk1/p/0"))
	c.Set("tk1/s/large", make([]byte, 10_001))
	testutil.Equals(t, []string{"-"}, get(c, "tk1/s/large"))

	values := map[string]float64{}
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		for _, m := range f.Metric {
			values[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	testutil.Equals(t, float64(c.Bytes()), values["thanos_store_index_cache_total_size_bytes"])
	testutil.Equals(t, 20_001.0, values["thanos_store_index_cache_items_added_total"])
	testutil.Equals(t, 20_001-values["thanos_store_index_cache_items_evicted_total"], values["thanos_store_index_cache_items"])
	testutil.Equals(t, 1.0, values["thanos_store_index_cache_items_overflowed_total"])
	testutil.Equals(t, float64(size), values["thanos_store_index_cache_max_size_bytes"])
	testutil.Ok(t, promtest.GatherAndCompare(reg, strings.NewReader(`
# HELP thanos_store_index_cache_items_overflowed_total Items that were too large to be added.
# TYPE thanos_store_index_cache_items_overflowed_total counter
thanos_store_index_cache_items_overflowed_total{item_type="Chunks"} 0
thanos_store_index_cache_items_overflowed_total{item_type="ExpandedPostings"} 0
thanos_store_index_cache_items_overflowed_total{item_type="Other"} 0
thanos_store_index_cache_items_overflowed_total{item_type="Postings"} 0
thanos_store_index_cache_items_overflowed_total{item_type="Series"} 1
`), "thanos_store_index_cache_items_overflowed_total"))

	// Two share a registerer.
	_, err = bucketstore.NewMemoryCache(size, &bucketstore.MemoryCacheOptions{Registerer: reg})
	testutil.Ok(t, err)
}

func TestMemoryCacheConcurrently(t *testing.T) {
	t.Parallel()
	c, err := bucketstore.NewMemoryCache(100_000, nil)
	testutil.Ok(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 3000 {
				key := fmt.Sprint(i % 700)
				c.Set(key, []byte(key))
				if v := get(c, key)[0]; v != key && v != "-" {
					t.Errorf("%q for %q", v, key)
				}
			}
		})
	}
	wg.Wait()
	testutil.Assert(t, c.Bytes() <= 100_000)
}

func TestMemoryCacheOptions(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, -1} {
		_, err := bucketstore.NewMemoryCache(size, nil)
		testutil.NotOk(t, err)
	}
	_, err := bucketstore.NewMemoryCache(1, &bucketstore.MemoryCacheOptions{MaxItemBytes: -1})
	testutil.NotOk(t, err)
	c, err := bucketstore.NewMemoryCache(1, nil) // Room for nothing.
	testutil.Ok(t, err)
	c.Set("a", []byte("1"))
	testutil.Equals(t, []string{"-"}, get(c, "a"))
	reg := prometheus.NewRegistry()
	testutil.Ok(t, reg.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "thanos_store_index_cache_items"})))
	_, err = bucketstore.NewMemoryCache(1, &bucketstore.MemoryCacheOptions{Registerer: reg})
	testutil.NotOk(t, err)
}

func ExampleNewMemoryCache() {
	cache, err := bucketstore.NewMemoryCache(250<<20, nil)
	if err != nil {
		panic(err)
	}
	cache.Set("key", []byte("value"))
	values := make([][]byte, 2)
	cache.Get(context.Background(), []string{"key", "another"}, values)
	fmt.Printf("%q %v\n", values[0], values[1] == nil)
	// Output: "value" true
}

func BenchmarkMemoryCacheGet(b *testing.B) {
	c, err := bucketstore.NewMemoryCache(1<<20, nil)
	testutil.Ok(b, err)
	c.Set("key", []byte("value"))
	keys, values := []string{"key"}, make([][]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		c.Get(b.Context(), keys, values)
	}
}
