package bucketstore

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/model/labels"
)

// hostile is a Cache that keeps everything, and answers with something else every
// other time.
type hostile struct {
	mu     sync.Mutex
	rnd    *rand.Rand
	values map[string][]byte
	keys   []string
	lies   int
}

func newHostile() *hostile {
	return &hostile{rnd: rand.New(rand.NewPCG(1, 2)), values: map[string][]byte{}}
}

func (h *hostile) Set(key string, value []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.values[key]; !ok {
		h.keys = append(h.keys, key)
	}
	h.values[key] = slices.Clone(value)
}

func (h *hostile) Get(_ context.Context, keys []string, values [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, key := range keys {
		v := h.values[key]
		if v == nil && len(h.keys) > 0 && h.rnd.IntN(2) == 0 {
			v = h.values[h.keys[h.rnd.IntN(len(h.keys))]]
		}
		v = slices.Clone(v)
		if h.rnd.IntN(2) == 0 && len(h.keys) > 0 {
			h.lies++
			switch h.rnd.IntN(5) {
			case 0:
				v = h.values[h.keys[h.rnd.IntN(len(h.keys))]]
			case 1:
				v = v[:len(v)/2]
			case 2:
				if len(v) > 0 {
					v[h.rnd.IntN(len(v))] ^= 1 << h.rnd.IntN(8)
				}
			case 3:
				v = append(v, 0)
			case 4:
				v = []byte{}
			}
		}
		values[i] = v
	}
}

// TestHostileCache gets right answers from an index with a cache that lies.
func TestHostileCache(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	x := newIndexed(t, writeIndex(t, randomSeries(rnd, 300), oneChunk), 0)
	h := newHostile()
	s := x.source(t, h, rangeOptions{requestCost: 500})
	for range 150 {
		ms := randomMatchers(t, rnd)
		r := x.reader(t, s, nil)
		got, _, _ := selected(t, r, ms)
		if want := x.want(t, 16, ms); !slices.Equal(got, want) {
			t.Fatalf("%v: %d series, not %d", ms, len(got), len(want))
		}
		checkSeries(t, x, r, got)
	}
	testutil.Assert(t, h.lies > 100, "%d lies", h.lies)
	bkt, o, data := testObject(t, 10_000)
	sealed, err := newSealedCache(h, nil)
	testutil.Ok(t, err)
	ranger := newRanger(bkt, rangeOptions{})
	for range 100 {
		parts := []part{{rnd.Int64N(100), 100}, {1000, 1 + rnd.Int64N(10)}, {5000, 5000}}
		testutil.Ok(t, ranger.fetchCached(t.Context(), sealed, o, parts, nil, func(i int, b []byte) error {
			if string(b) != string(data[parts[i].off:parts[i].end()]) {
				t.Fatalf("part %v", parts[i])
			}
			return nil
		}))
	}
}

func TestSealed(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	h := newHostile()
	s, err := newSealedCache(h, reg)
	testutil.Ok(t, err)
	key := keyPrefix(itemSeries, testID) + "x"
	s.set(key, append(newSealed(3), "abc"...))
	found := 0
	for range 200 {
		if v, ok := s.get1(t.Context(), itemSeries, key); ok {
			testutil.Equals(t, "abc", string(v))
			found++
		}
	}
	testutil.Assert(t, found > 80 && found < 180, "%d", found)
	metrics, err := reg.Gather()
	testutil.Ok(t, err)
	values := map[string]float64{}
	for _, m := range metrics {
		for _, s := range m.Metric {
			values[m.GetName()] += s.GetCounter().GetValue()
		}
	}
	testutil.Equals(t, 200.0, values["thanos_store_index_cache_requests_total"])
	testutil.Equals(t, float64(found), values["thanos_store_index_cache_hits_total"])
	testutil.Equals(t, float64(200-found), values["thanoskit_bucketstore_cache_poisoned_total"])
	problems, err := promlint.NewWithMetricFamilies(metrics).Lint()
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(problems))

	none, err := newSealedCache(nil, nil)
	testutil.Ok(t, err)
	testutil.Assert(t, none == nil)
	none.set(key, newSealed(0))
	_, ok := none.get1(t.Context(), itemSeries, key)
	testutil.Assert(t, !ok)
}

// TestKeys holds keys to what the interface promises.
func TestKeys(t *testing.T) {
	t.Parallel()
	x := newIndexed(t, writeIndex(t, randomSeries(rand.New(rand.NewPCG(1, 2)), 100), oneChunk), 0)
	h := newHostile()
	s := x.source(t, h, rangeOptions{})
	r := x.reader(t, s, nil)
	for _, m := range []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "a", "x"),
		labels.MustNewMatcher(labels.MatchRegexp, "a", ".*"+strings.Repeat("x", 1000)+"|\n é.+|x.*"),
		labels.MustNewMatcher(labels.MatchNotEqual, "b", "y"),
	} {
		selected(t, r, []*labels.Matcher{m})
	}
	bkt, o, _ := testObject(t, 100)
	testutil.Ok(t, newRanger(bkt, rangeOptions{}).fetchCached(t.Context(), s.cache, o, []part{{0, 10}}, nil, func(int, []byte) error { return nil }))
	kinds := map[int]int{}
	for _, key := range h.keys {
		testutil.Assert(t, len(key) <= 200, "%d bytes: %s", len(key), key)
		testutil.Assert(t, strings.Contains(key, testID.String()), key)
		for _, c := range []byte(key) {
			testutil.Assert(t, c > ' ' && c < 0x7f, "%q", key)
		}
		kinds[itemOf(key)]++
	}
	testutil.Equals(t, numItems, len(kinds), "%v", kinds)
	testutil.Equals(t, 0, kinds[numItems])
	for _, key := range []string{"", "tk1", "tk1/", "tk1/x/", "tk0/p/", "tk1/pp"} {
		testutil.Equals(t, numItems, itemOf(key), key)
	}
}
