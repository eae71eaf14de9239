package compact_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

const (
	wideSeries = 150
	wideLabels = 60 // of each, with values of its own
)

// wideBlocks writes blocks that follow each other. They have the same series, with
// so many labels that each block has more symbols than anything else, and one more
// each, so that no two have the same symbols.
func wideBlocks(t testing.TB, n int) []string {
	t.Helper()
	wide := make([]labels.Labels, wideSeries)
	for s := range wide {
		lset := []string{"__name__", "wide"}
		for l := range wideLabels {
			lset = append(lset, fmt.Sprintf("label_%d", l), fmt.Sprintf("value %d of series %d, which is long", l, s))
		}
		wide[s] = labels.FromStrings(lset...)
	}
	dirs := make([]string, n)
	var g errgroup.Group
	g.SetLimit(16) // which mostly wait for the disk
	for i := range dirs {
		parent := t.TempDir()
		g.Go(func() error {
			from := jobStart + int64(i)*hourMS
			var series []block.Series
			for s, lset := range wide {
				series = append(series, blocktest.Floats(lset, from, 60_000, float64(s), float64(i)))
			}
			series = append(series, blocktest.Floats(labels.FromStrings("__name__", "own", "block", fmt.Sprint(i)), from, 1000, 1))
			m, err := block.WriteBlock(parent, (&blocktest.Options{MinTime: from, MaxTime: from + hourMS}).Meta(), series, nil)
			if err == nil {
				dirs[i] = parent + "/" + m.ULID.String()
			}
			return err
		})
	}
	testutil.Ok(t, g.Wait())
	return dirs
}

// usage is what a process has at a time.
type usage struct {
	heap        uint64 // bytes that are in use
	files, maps int
}

func usageNow(t testing.TB) (u usage) {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.heap = m.HeapAlloc
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.files = len(fds)
	}
	if maps, err := os.ReadFile("/proc/self/maps"); err == nil {
		u.maps = strings.Count(string(maps), "\n")
	}
	return u
}

// settled is usageNow once nothing changes any more: who writes waits here, so what
// reads ahead comes to its end.
func settled(t testing.TB) (u usage) {
	t.Helper()
	const same = 16 << 10 // bytes
	for last, calm := usageNow(t), 0; calm < 3; last = u {
		u = usageNow(t)
		if calm++; u.heap > last.heap+same || last.heap > u.heap+same {
			calm = 0
		}
	}
	return u
}

// watching looks at the process now and then while series are written.
type watching struct {
	compact.BlockWriter
	look func()
	n    int
}

func (w *watching) AddRefs(lset []block.LabelRef, chunks []block.Chunk) error {
	if w.n++; w.n%15 == 1 {
		w.look()
	}
	return w.BlockWriter.AddRefs(lset, chunks)
}

// peak runs a job and returns the most that it takes while series are written.
func peak(t testing.TB, dirs []string) (most usage) {
	t.Helper()
	job := jobOf(t, dirs, block.Raw)
	before := settled(t)
	out := t.TempDir()
	_, err := compact.RunJobOn(context.Background(), job, dirs, out, nil, func(w compact.BlockWriter) compact.BlockWriter {
		return &watching{BlockWriter: w, look: func() {
			u := settled(t)
			most.heap = max(most.heap, u.heap-min(u.heap, before.heap))
			most.files, most.maps = max(most.files, u.files-before.files), max(most.maps, u.maps-before.maps)
		}}
	})
	testutil.Ok(t, err)
	onlyBlocks(t, out, 1)
	after := usageNow(t)
	testutil.Assert(t, after.files <= before.files, "%d files stay open", after.files-before.files)
	return most
}

// TestMemoryOfManySources: a job with many sources takes hardly more memory than
// one with few of the same series, of which there are enough for batches to be
// full: nothing of what the sources have is in memory, neither series nor symbols,
// 360 KiB here, nor where they went, 72 KiB. What each of them costs is what is
// known about it, and two open files.
func TestMemoryOfManySources(t *testing.T) {
	const few, many = 30, 70
	dirs := wideBlocks(t, many)
	little, much := peak(t, dirs[:few]), peak(t, dirs)
	each := (int64(much.heap) - int64(little.heap)) / (many - few)
	t.Logf("%d sources: %+v; %d: %+v; each %d bytes", few, little, many, much, each)
	testutil.Assert(t, much.files <= 2*many+10 && much.maps <= 2*many+40, "%+v", much)
	testutil.Assert(t, each < 60<<10, "each source takes %d bytes", each)
}
