package interop

import (
	"flag"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
)

var ratioPairs = flag.Int("ratio", 0, "time `n` pairs of Thanos and thanoskit at the same work in the tests named Ratio, 15 at least; 0 times none")

// work is something that Thanos and thanoskit both do.
type work struct {
	thanos, ours func()
	// items is how many of what is counted (series, samples) one run does.
	items int
}

// cost is what one run of something allocates.
type cost struct{ bytes, allocs float64 }

// ratios is how often thanoskit does what Thanos does once, over pairs of runs
// that follow each other.
type ratios struct {
	n                   int
	lower, median, high float64 // quartiles
}

// compare measures w. The caller has checked that both sides give the same.
//
// Allocations are exact and always measured. Times are measured if -ratio asks
// for it, in turns (A B A B), so that what disturbs the machine disturbs both;
// otherwise the ratios are zero. Both are logged.
func (w work) compare(t testing.TB) (thanos, ours cost, r ratios) {
	t.Helper()
	thanos, ours = costOf(w.thanos), costOf(w.ours)
	items := float64(w.items)
	t.Logf("thanos: %.1f B and %.3f allocations each", thanos.bytes/items, thanos.allocs/items)
	t.Logf("ours:   %.1f B and %.3f allocations each", ours.bytes/items, ours.allocs/items)
	if *ratioPairs <= 0 {
		return thanos, ours, r
	}
	all := make([]float64, max(*ratioPairs, 15))
	for i := range all {
		t0 := time.Now()
		w.thanos()
		t1 := time.Now()
		w.ours()
		all[i] = float64(t1.Sub(t0)) / float64(time.Since(t1))
	}
	slices.Sort(all)
	r = ratios{len(all), all[len(all)/4], all[len(all)/2], all[len(all)*3/4]}
	t.Logf("thanos/ours: median %.2f, quartiles %.2f and %.2f, of %d pairs", r.median, r.lower, r.high, r.n)
	return thanos, ours, r
}

// costOf is what f allocates, exactly. It takes the least of several runs,
// because the runtime itself allocates now and then.
func costOf(f func()) cost {
	f() // what is allocated once is not counted
	least := cost{math.Inf(1), math.Inf(1)}
	for range 7 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least.bytes = min(least.bytes, float64(after.TotalAlloc-before.TotalAlloc))
		least.allocs = min(least.allocs, float64(after.Mallocs-before.Mallocs))
	}
	return least
}
