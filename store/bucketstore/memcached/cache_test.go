package memcached_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/store/bucketstore"
	"github.com/thanoskit/thanoskit/store/bucketstore/memcached"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ bucketstore.Cache = (*memcached.Cache)(nil)

// open returns a cache that is closed with the test.
func open(t testing.TB, opts memcached.Options) *memcached.Cache {
	t.Helper()
	c, err := memcached.New(&opts)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, c.Close()) })
	return c
}

func get(ctx context.Context, c bucketstore.Cache, keys ...string) []string {
	values := make([][]byte, len(keys))
	c.Get(ctx, keys, values)
	out := make([]string, len(keys))
	for i, v := range values {
		if out[i] = string(v); v == nil {
			out[i] = "-"
		}
	}
	return out
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	a, b := newServer(t), newServer(t)
	c := open(t, memcached.Options{Servers: []string{a.addr, b.addr}, BatchKeys: 10, Timeout: time.Minute})
	var keys, want []string
	for i := range 100 {
		key := fmt.Sprintf("tk1/p/%d", i)
		keys, want = append(keys, key), append(want, "-")
		if i%3 == 0 {
			c.Set(key, []byte(key))
			want[i] = key
		}
	}
	c.Set("empty", nil)
	eventually(t, "values are set", func() bool { return a.sets.Load()+b.sets.Load() == 35 })
	testutil.Equals(t, want, get(t.Context(), c, keys...))
	testutil.Equals(t, []string{"", "-"}, get(t.Context(), c, "empty", "absent"))
	testutil.Equals(t, []string{keys[0], keys[0]}, get(t.Context(), c, keys[0], keys[0]))
	testutil.Assert(t, a.gets.Load() > 0 && b.gets.Load() > 0, "both are asked")
	testutil.Assert(t, a.gets.Load()+b.gets.Load() <= 24, "%d requests", a.gets.Load()+b.gets.Load())
	get(t.Context(), c)
}

// TestTimeout waits no longer than it may, for servers that do not answer, and
// then leaves them alone. On a machine that has much to do, one that answers may
// take longer too, so that it is asked until it is in time.
func TestTimeout(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	reg := prometheus.NewRegistry()
	c := open(t, memcached.Options{Servers: []string{s.addr}, Timeout: 50 * time.Millisecond, BatchKeys: 1, Concurrency: 2, Registerer: reg})
	s.put("k", []byte("v"))
	eventually(t, "the server answers in time", func() bool { return get(t.Context(), c, "k")[0] == "v" })
	s.hang.Store(true)
	testutil.Equals(t, []string{"-", "-", "-", "-"}, get(t.Context(), c, "k", "k", "k", "k")) // or it hangs
	eventually(t, "servers are left alone", func() bool {
		asked := s.asked.Load()
		for range 10 {
			get(t.Context(), c, "k")
		}
		return s.asked.Load() == asked
	})
	// And are found again.
	s.hang.Store(false)
	eventually(t, "servers are asked again", func() bool { return get(t.Context(), c, "k")[0] == "v" })
	families, err := reg.Gather()
	testutil.Ok(t, err)
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			sums[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	for _, name := range []string{"thanos_memcached_operations_total", "thanos_memcached_operation_failures_total", "thanos_memcached_operation_skipped_total"} {
		testutil.Assert(t, sums[name] > 0, name)
	}
}

func TestCanceled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.hang.Store(true)
	c := open(t, memcached.Options{Servers: []string{s.addr}, Timeout: time.Hour, Concurrency: 1, BatchKeys: 1})
	t.Cleanup(s.stop) // first, or the cache waits for the answer
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 { // One waits for an answer, one for the other.
		wg.Go(func() {
			if got := get(ctx, c, "a", "b"); strings.Join(got, "") != "--" {
				t.Errorf("%v", got)
			}
		})
	}
	eventually(t, "the server is asked", func() bool { return s.gets.Load() > 0 })
	cancel()
	wg.Wait() // not for an hour
}

func TestServersFail(t *testing.T) {
	t.Parallel()
	up, down := newServer(t), newServer(t)
	c := open(t, memcached.Options{Servers: []string{up.addr, down.addr}, Timeout: time.Minute})
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprint("key", i))
		up.put(keys[i], []byte("v"))
	}
	down.drop.Store(true)
	got := get(t.Context(), c, keys...)
	n := strings.Count(strings.Join(got, ""), "v")
	testutil.Assert(t, n > 0 && n < 20, "%d", n) // What the other one has is not lost.
	testutil.Equals(t, []string{"-"}, get(t.Context(), c, "not a key"))
}

// TestQueue drops what does not fit, and never waits.
func TestQueue(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.hang.Store(true)
	reg := prometheus.NewRegistry()
	c := open(t, memcached.Options{
		Servers: []string{s.addr}, Timeout: time.Hour, Writers: 1, QueueItems: 5, QueueBytes: 2000, MaxItemBytes: 1000, Registerer: reg,
	})
	t.Cleanup(s.stop) // first, or the cache waits for the answer
	for i := range 100 {
		c.Set(fmt.Sprint(i), make([]byte, 10))
	}
	c.Set("large", make([]byte, 1001))
	skipped := map[string]float64{}
	families, err := reg.Gather()
	testutil.Ok(t, err)
	for _, f := range families {
		if f.GetName() == "thanos_memcached_operation_skipped_total" {
			for _, m := range f.Metric {
				skipped[m.Label[0].GetValue()+" "+m.Label[1].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	// One may be on its way to the server.
	testutil.Assert(t, skipped["set queue-full"] == 94 || skipped["set queue-full"] == 95, "%v", skipped)
	testutil.Equals(t, 1.0, skipped["set max-item-size"])
}

func TestQueueBytes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := open(t, memcached.Options{Servers: []string{s.addr}, QueueBytes: 10, Timeout: time.Minute})
	c.Set("a", make([]byte, 100)) // Does not fit.
	c.Set("b", []byte("v"))
	eventually(t, "b is set", func() bool { return s.sets.Load() == 1 })
	testutil.Equals(t, []string{"-", "v"}, get(t.Context(), c, "a", "b"))
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.hang.Store(true)
	c, err := memcached.New(&memcached.Options{Servers: []string{s.addr}, Timeout: 50 * time.Millisecond})
	testutil.Ok(t, err)
	c.Set("a", []byte("b"))
	get(t.Context(), c, "a")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			c.Set("a", []byte("b"))
			get(context.Background(), c, "a")
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c.Set("a", []byte("b"))
	testutil.Equals(t, []string{"-"}, get(t.Context(), c, "a"))
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]*memcached.Options{
		"nil":        nil,
		"no servers": {},
		"both":       {Servers: []string{"127.0.0.1:1"}, Selector: new(memcache.ServerList)},
		"negative":   {Servers: []string{"127.0.0.1:1"}, Timeout: -1, Writers: -1},
		"expiration": {Servers: []string{"127.0.0.1:1"}, Expiration: 31 * 24 * time.Hour},
		"address":    {Servers: []string{"127.0.0.1"}},
	} {
		_, err := memcached.New(o)
		testutil.NotOk(t, err, name)
	}
	_, err := memcached.New(&memcached.Options{Servers: []string{"127.0.0.1:1"}, Timeout: -1, Writers: -1})
	testutil.Assert(t, strings.Contains(err.Error(), "Timeout") && strings.Contains(err.Error(), "Writers"), "%v", err)
	reg := prometheus.NewRegistry()
	testutil.Ok(t, reg.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: "thanos_memcached_operations_total"})))
	_, err = memcached.New(&memcached.Options{Servers: []string{"127.0.0.1:1"}, Registerer: reg})
	testutil.NotOk(t, err)
	// Nobody listens there: all are misses.
	c := open(t, memcached.Options{Selector: func() memcache.ServerSelector {
		l := new(memcache.ServerList)
		testutil.Ok(t, l.SetServers("127.0.0.1:1"))
		return l
	}()})
	testutil.Equals(t, []string{"-"}, get(t.Context(), c, "a"))
}
