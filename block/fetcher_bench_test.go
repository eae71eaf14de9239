package block_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
)

// BenchmarkFetch is a Fetch of 10,000 blocks from a bucket in memory: of a
// Fetcher without anything cached, of one that starts with what is cached on
// disk, and of one that has all of it in memory.
func BenchmarkFetch(b *testing.B) {
	const blocks = 10_000
	bkt := objstore.NewInMemBucket()
	for n := range blocks {
		m := newMeta(n, func(m *block.Meta) {
			m.Compaction.Sources = []ulid.ULID{newID(n), newID(n + blocks), newID(n + 2*blocks), newID(n + 3*blocks)}
			m.Thanos.UploadTime = time.Unix(1_700_000_000, 0)
			for i := range 3 {
				m.Thanos.Files = append(m.Thanos.Files, block.File{RelPath: block.SegmentName(i), SizeBytes: 512 << 20})
			}
			m.Thanos.Files = append(m.Thanos.Files, block.File{RelPath: "index", SizeBytes: 1 << 20}, block.File{RelPath: "meta.json"})
		})
		putMeta(b, bkt, m)
	}
	filters, err := block.StandardFilters(&block.FilterOptions{ReplicaLabels: []string{"replica"}})
	testutil.Ok(b, err)
	opts := &block.FetcherOptions{Filters: filters}
	run := func(b *testing.B, f *block.Fetcher) *block.View {
		v, err := f.Fetch(context.Background())
		testutil.Ok(b, err)
		testutil.Equals(b, blocks, len(v.Metas))
		return v
	}
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		var before, after runtime.MemStats
		for b.Loop() {
			runtime.GC()
			runtime.ReadMemStats(&before)
			f := newFetcher(b, bkt, b.TempDir(), opts)
			v := run(b, f)
			b.StopTimer()
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/blocks, "heap-B/block")
			runtime.KeepAlive(f)
			runtime.KeepAlive(v)
			b.StartTimer()
		}
	})
	dir := b.TempDir()
	warm := newFetcher(b, bkt, dir, opts)
	run(b, warm)
	b.Run("restart", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			run(b, newFetcher(b, bkt, dir, opts))
		}
	})
	b.Run("again", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			run(b, warm)
		}
	})
}
