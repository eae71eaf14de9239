package compact_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore/providers/filesystem"
	"github.com/thanos-io/thanos/pkg/block/metadata"
	thanosdown "github.com/thanos-io/thanos/pkg/compact/downsample"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
)

// pick is the larger shape if times are taken.
func pick(always, timed shape) shape {
	if *ratioPairs > 0 {
		return timed
	}
	return always
}

// fresh runs f in a directory that is gone afterwards.
func fresh(t testing.TB, f func(dir string)) {
	dir, err := os.MkdirTemp(t.TempDir(), "run-")
	testutil.Ok(t, err)
	f(dir)
	testutil.Ok(t, os.RemoveAll(dir))
}

// TestRatioHorizontal merges blocks that follow each other: what comes out is the
// same, byte for byte.
func TestRatioHorizontal(t *testing.T) {
	ctx := t.Context()
	s := pick(shape{series: 300, blocks: 4, length: 2 * hour, step: 15_000}, shape{series: 10_000, blocks: 4, length: 2 * hour, step: 15_000})
	dirs := s.build(t, "a")
	job := jobOf(t, dirs, block.Raw)
	fresh(t, func(dir string) {
		theirs := thanosMerge(ctx, t, dirs, dir, chainMerge())
		sameFiles(t, theirs, run(ctx, t, job, dirs, dir, nil)[0])
	})
	compare(t, pair.Work{
		Items:  s.series,
		Thanos: func() { fresh(t, func(dir string) { thanosMerge(ctx, t, dirs, dir, chainMerge()) }) },
		Ours:   func() { fresh(t, func(dir string) { run(ctx, t, job, dirs, dir, nil) }) },
	}, 1.5)
}

// TestRatioVertical merges two replicas with the algorithm that Thanos has for it.
// Theirs is worse than quadratic in the length of blocks where chunks of replicas do
// not line up; aligned is where they do, as far as they can.
func TestRatioVertical(t *testing.T) {
	ctx := t.Context()
	s := pick(shape{series: 100, blocks: 1, length: 2 * hour, step: 15_000}, shape{series: 2000, blocks: 1, length: 2 * hour, step: 15_000})
	dirs := s.build(t, "a")
	s.offset = 100
	dirs = append(dirs, s.build(t, "b")...)
	job := jobOf(t, dirs, block.Raw)
	o := &compact.Options{Algorithm: dedup.Penalty{}, ReplicaLabels: []string{"replica"}}
	compare(t, pair.Work{
		Items:  s.series,
		Thanos: func() { fresh(t, func(dir string) { thanosMerge(ctx, t, dirs, dir, penaltyMerge()) }) },
		Ours:   func() { fresh(t, func(dir string) { run(ctx, t, job, dirs, dir, o) }) },
	}, 3)
}

// TestRatioVerticalLength merges two replicas whose chunks do not line up, over
// blocks of different lengths: what a sample costs us does not depend on it. Each
// sample costs Thanos the more the longer the block is, since all chunks of a series
// are one run of chunks that overlap, each of which is merged with all before it.
func TestRatioVerticalLength(t *testing.T) {
	ctx := t.Context()
	o := &compact.Options{Algorithm: dedup.Penalty{}, ReplicaLabels: []string{"replica"}}
	ours := func(dirs []string) func(dir string) {
		job := jobOf(t, dirs, block.Raw)
		return func(dir string) { run(ctx, t, job, dirs, dir, o) }
	}
	// As many samples, so that what else runs on the machine is in the way of both
	// as much.
	const times = 9
	short, long := shape{series: 40 * times, blocks: 1, length: 8 * hour, step: 15_000}, shape{series: 40, blocks: 1, length: times * 8 * hour, step: 15_000}
	ofShort, ofLong := leastOf(t, short, long, ours)
	t.Logf("ours: %.0f ns a sample in 8 h, %.0f in 72 h", ofShort, ofLong)
	// It would be nine times as much if each chunk were merged with all before it. What
	// is in between is noise, unless somebody sees to it that there is little.
	most := math.Sqrt(times)
	if *ratioPairs > 0 {
		most = 1.5
	}
	testutil.Assert(t, ofLong <= most*ofShort, "%.0f ns a sample in 8 h, %.0f in 72 h", ofShort, ofLong)
	if *ratioPairs > 0 {
		short, long := shape{series: 16, blocks: 1, length: 2 * hour, step: 15_000}, shape{series: 4, blocks: 1, length: 8 * hour, step: 15_000}
		ofShort, ofLong := leastOf(t, short, long, func(dirs []string) func(dir string) {
			return func(dir string) { thanosMerge(ctx, t, dirs, dir, penaltyMerge()) }
		})
		t.Logf("thanos: %.0f ns a sample in 2 h, %.0f in 8 h", ofShort, ofLong)
	}
}

// leastOf returns how much processor time a sample takes at least in blocks of
// either shape, of two replicas each, in ns. They are merged in turns.
func leastOf(t *testing.T, a, b shape, merges func(dirs []string) func(dir string)) (ofA, ofB float64) {
	t.Helper()
	least := [2]float64{math.Inf(1), math.Inf(1)}
	var merge [2]func(dir string)
	for i, s := range []shape{a, b} {
		dirs := s.build(t, "a")
		s.offset = 50*s.step + 100
		merge[i] = merges(append(dirs, s.build(t, "b")...))
	}
	for range 7 {
		for i, samples := range []int{2 * a.samples(), 2 * b.samples()} {
			fresh(t, func(dir string) {
				begin := pair.ProcessorTime(t)
				merge[i](dir)
				least[i] = min(least[i], float64((pair.ProcessorTime(t)-begin).Nanoseconds())/float64(samples))
			})
		}
	}
	return least[0], least[1]
}

// compare measures and asserts: fewer allocations always, and the median of times
// if they are taken.
func compare(t *testing.T, w pair.Work, ratio float64) {
	t.Helper()
	thanos, ours, r := w.Compare(t, *ratioPairs)
	testutil.Assert(t, ours.Allocs <= thanos.Allocs, "%.0f allocations beside %.0f", ours.Allocs, thanos.Allocs)
	testutil.Assert(t, r.N == 0 || r.Median >= ratio, "median %.2f, not %.2f", r.Median, ratio)
}

// cycle is a bucket with blocks to be compacted and downsampled to both resolutions.
type cycle struct {
	bkt *meteredBucket
	ids []ulid.ULID
}

func newCycle(t testing.TB, s *shape) *cycle {
	t.Helper()
	return newCycleIn(t, t.TempDir(), s)
}

// newCycleIn has the bucket in a directory.
func newCycleIn(t testing.TB, dir string, s *shape) *cycle {
	t.Helper()
	inner, err := filesystem.NewBucket(dir)
	testutil.Ok(t, err)
	c := &cycle{bkt: &meteredBucket{Bucket: inner}}
	for _, dir := range s.build(t, "a") {
		m, err := block.Upload(context.Background(), inner, dir, nil)
		testutil.Ok(t, err)
		c.ids = append(c.ids, m.ULID)
		testutil.Ok(t, os.RemoveAll(dir))
	}
	return c
}

// thanos does what Thanos' compactor does, one step after the other.
func (c *cycle) thanos(ctx context.Context, t testing.TB, dir string) (made []ulid.ULID) {
	raw := thanosJob(ctx, t, c.bkt, dir, c.ids, chainMerge())
	five := thanosDownsample(ctx, t, c.bkt, dir, raw, thanosdown.ResLevel1)
	one := thanosDownsample(ctx, t, c.bkt, dir, five, thanosdown.ResLevel2)
	for _, m := range []*metadata.Meta{raw, five, one} {
		made = append(made, m.ULID)
	}
	return made
}

// ours does the same in one pass, with sources and outputs looked at as the
// Compactor does.
func (c *cycle) ours(ctx context.Context, t testing.TB, dir string) (made []ulid.ULID) {
	dirs := make([]string, len(c.ids))
	for i, id := range c.ids {
		dirs[i] = filepath.Join(dir, id.String())
		testutil.Ok(t, block.Download(ctx, c.bkt, id, dirs[i], nil))
		verify(ctx, t, dirs[i], block.VerifyChecksums)
	}
	for _, out := range run(ctx, t, jobOf(t, dirs, block.Raw, block.FiveMinutes, block.OneHour), dirs, dir, nil) {
		verify(ctx, t, out, block.VerifyIndex)
		m, err := block.Upload(ctx, c.bkt, out, nil)
		testutil.Ok(t, err)
		made = append(made, m.ULID)
	}
	return made
}

func verify(ctx context.Context, t testing.TB, dir string, depth block.VerifyDepth) {
	t.Helper()
	report, err := block.Verify(ctx, dir, &block.VerifyOptions{Depth: depth})
	testutil.Ok(t, err)
	testutil.Ok(t, report.Err())
}

// remove deletes what a run made.
func (c *cycle) remove(ctx context.Context, t testing.TB, ids []ulid.ULID) {
	for _, id := range ids {
		testutil.Ok(t, block.Delete(ctx, c.bkt, id))
	}
}

// TestRatioCycle compacts a fortnight and downsamples it to 5m and 1h, out of a
// bucket and back into it.
func TestRatioCycle(t *testing.T) {
	ctx := t.Context()
	s := pick(shape{series: 20, blocks: 7, length: 2 * day, step: 15_000}, shape{series: 150, blocks: 7, length: 2 * day, step: 15_000})
	c := newCycle(t, &s)
	once := func(f func(context.Context, testing.TB, string) []ulid.ULID) usage {
		fresh(t, func(dir string) {
			c.bkt.begin(dir)
			c.remove(ctx, t, f(ctx, t, dir))
		})
		return c.bkt.usage
	}
	var theirs, us usage
	compare(t, pair.Work{
		Items:  s.samples(),
		Thanos: func() { theirs = once(c.thanos) },
		Ours:   func() { us = once(c.ours) },
	}, 3)
	t.Logf("thanos: %s", theirs)
	t.Logf("ours:   %s", us)
	testutil.Assert(t, 2*us.read <= theirs.read, "%d bytes are read from the bucket, %d by Thanos", us.read, theirs.read)
	testutil.Assert(t, us.written() <= theirs.written(), "%d bytes are written to disk, %d by Thanos", us.written(), theirs.written())
	// The coarser blocks are on disk beside sources and compacted block, not after them.
	testutil.Assert(t, 2*us.disk <= 3*theirs.disk, "%d bytes are on disk at a time, %d with Thanos", us.disk, theirs.disk)
}

// sameFiles checks that two blocks have the same index and the same segments.
func sameFiles(t testing.TB, a, b string) {
	t.Helper()
	diff, err := blocktest.DiffSamples(a, b)
	testutil.Ok(t, err)
	testutil.Equals(t, "", diff)
	segments, err := filepath.Glob(filepath.Join(a, block.ChunksDir, "*"))
	testutil.Ok(t, err)
	testutil.Assert(t, len(segments) > 0)
	for _, name := range append(segments, filepath.Join(a, block.IndexFile)) {
		rel, err := filepath.Rel(a, name)
		testutil.Ok(t, err)
		x, err := os.ReadFile(name)
		testutil.Ok(t, err)
		y, err := os.ReadFile(filepath.Join(b, rel))
		testutil.Ok(t, err)
		testutil.Assert(t, string(x) == string(y), "%s differs", rel)
	}
}
