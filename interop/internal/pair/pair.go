package pair

import (
	"math"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// leastPairs is how many pairs are timed at least.
const leastPairs = 15

// Work is something that Thanos and thanoskit both do.
type Work struct {
	Thanos, Ours func()
	// Items is how many of what is counted (series, samples) one run does.
	Items int
}

// Cost is what one run of something allocates.
type Cost struct{ Bytes, Allocs float64 }

// Ratios is how often thanoskit does what Thanos does once, over pairs of runs
// that follow each other.
type Ratios struct {
	N                   int
	Lower, Median, High float64 // quartiles
	// CPU is the median of the processor time of this process: what others do
	// for both, such as servers in processes of their own, is not in it.
	CPU float64
}

// Compare measures w. The caller has checked that both sides give the same.
//
// Allocations are exact and always measured. Times are measured if pairs is not
// 0, of 15 pairs at least, in turns (A B A B), so that what disturbs the machine
// disturbs both; otherwise the ratios are zero. Both are logged.
func (w Work) Compare(t testing.TB, pairs int) (thanos, ours Cost, r Ratios) {
	t.Helper()
	thanos, ours = CostOf(w.Thanos), CostOf(w.Ours)
	items := float64(w.Items)
	t.Logf("thanos: %.1f B and %.3f allocations each", thanos.Bytes/items, thanos.Allocs/items)
	t.Logf("ours:   %.1f B and %.3f allocations each", ours.Bytes/items, ours.Allocs/items)
	if pairs <= 0 {
		return thanos, ours, r
	}
	n := max(pairs, leastPairs)
	all, busy := make([]float64, n), make([]float64, n)
	took := [2][]float64{make([]float64, n), make([]float64, n)}
	for i := range all {
		cpu0, t0 := ProcessorTime(t), time.Now()
		w.Thanos()
		cpu1, t1 := ProcessorTime(t), time.Now()
		w.Ours()
		cpu2, t2 := ProcessorTime(t), time.Now()
		took[0][i], took[1][i] = float64(t1.Sub(t0)), float64(t2.Sub(t1))
		all[i] = took[0][i] / took[1][i]
		busy[i] = float64(cpu1-cpu0) / float64(max(cpu2-cpu1, 1))
	}
	for _, s := range [][]float64{all, busy, took[0], took[1]} {
		slices.Sort(s)
	}
	t.Logf("median of thanos %.3g us each, of ours %.3g us", took[0][n/2]/items/1000, took[1][n/2]/items/1000)
	r = Ratios{n, all[n/4], all[n/2], all[n*3/4], busy[n/2]}
	t.Logf("thanos/ours: median %.2f, quartiles %.2f and %.2f, of %d pairs; of processor time %.2f", r.Median, r.Lower, r.High, r.N, r.CPU)
	return thanos, ours, r
}

// ProcessorTime is what this process has used so far, in user and in kernel mode.
func ProcessorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatalf("read processor time: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// CostOf returns what f allocates, exactly. It takes the least of several runs,
// because the runtime itself allocates now and then.
func CostOf(f func()) Cost {
	f() // what is allocated once is not counted
	least := Cost{math.Inf(1), math.Inf(1)}
	for range 7 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least.Bytes = min(least.Bytes, float64(after.TotalAlloc-before.TotalAlloc))
		least.Allocs = min(least.Allocs, float64(after.Mallocs-before.Mallocs))
	}
	return least
}
