package bucketstart_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/interop/internal/gateway"
	"github.com/thanoskit/thanoskit/interop/internal/pair"
)

const hour = int64(3_600_000)

var (
	startupBlocks  = flag.Int("blocks", 300, "how many blocks there are at the start")
	startupLatency = flag.Duration("latency", 20*time.Millisecond, "how long a request takes at the start")
)

// manyBlocks puts small blocks into a bucket, each an hour after the one before:
// copies of one, as nobody reads what is in them. Files says whether meta.json
// names the files, which old ones do not.
func manyBlocks(t testing.TB, bkt objstore.Bucket, n int, files bool) {
	t.Helper()
	var series []block.Series
	for i := range 10 {
		series = append(series, blocktest.Floats(labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)), 0, 60_000, 1, 2, 3, 4, 5))
	}
	dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{MaxTime: hour}, series...)
	m, err := block.ReadMeta(dir)
	testutil.Ok(t, err)
	names := m.Thanos.Files
	if !files {
		m.Thanos.Files, m.Thanos.SegmentFiles = nil, nil
	}
	contents := map[string][]byte{}
	for _, f := range names {
		if f.RelPath != block.MetaFile {
			contents[f.RelPath], err = os.ReadFile(path.Join(dir, f.RelPath))
			testutil.Ok(t, err)
		}
	}
	for i := range n {
		m.ULID, err = ulid.New(uint64(1_700_000_000_000+i), zeroes{})
		testutil.Ok(t, err)
		m.MinTime, m.MaxTime = int64(i)*hour, int64(i+1)*hour
		m.Compaction.Sources = []ulid.ULID{m.ULID}
		contents[block.MetaFile], err = m.Encode()
		testutil.Ok(t, err)
		for name, data := range contents {
			testutil.Ok(t, bkt.Upload(t.Context(), block.ObjectName(m.ULID, name), bytes.NewReader(data)))
		}
	}
}

// zeroes is all the chance that there is in the ULIDs.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// start is what it took to open a gateway.
type start struct {
	wall  time.Duration
	busy  time.Duration // Processor time.
	heap  int64         // That it holds, bytes.
	stats blocktest.Stats
}

func (s start) String() string {
	return fmt.Sprintf("%v, %v of processor time, %d requests, live heap %d KiB",
		s.wall.Round(time.Millisecond), s.busy.Round(time.Millisecond), s.stats.Requests, s.heap>>10)
}

// opener opens a gateway over a bucket, with what it knows of it in dir.
type opener func(bkt objstore.Bucket, dir string) io.Closer

func startOf(t testing.TB, open opener, inner objstore.Bucket, dir string) start {
	t.Helper()
	bkt := blocktest.NewBucket(inner)
	bkt.Delay(blocktest.Latency(*startupLatency))
	before := liveHeap()
	begin, used := time.Now(), pair.ProcessorTime(t)
	s := open(bkt, dir)
	out := start{wall: time.Since(begin), busy: pair.ProcessorTime(t) - used, stats: bkt.Stats()}
	bkt.Reset() // The log of requests is the test's own.
	out.heap = liveHeap() - before
	testutil.Ok(t, s.Close())
	return out
}

func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestStartup opens both gateways over many blocks on disk behind a latency, first
// with nothing known and then again. Ours is before Thanos' and after it, and the
// better time counts: somebody else may be using the machine.
func TestStartup(t *testing.T) {
	inner, err := filesystem.NewBucket(path.Join(t.TempDir(), "bucket"))
	testutil.Ok(t, err)
	n := *startupBlocks
	manyBlocks(t, inner, n, true)
	twice := func(name string, open opener) (cold, known start) {
		dir := t.TempDir()
		cold, known = startOf(t, open, inner, dir), startOf(t, open, inner, dir)
		t.Logf("%s cold: %v; known: %v", name, cold, known)
		return cold, known
	}
	pages := listingOf(n)
	ourStart := func() start {
		cold, known := twice("ours", ours(t))
		testutil.Assert(t, cold.stats.Requests <= 2*n+pages, "%d requests for %d new blocks", cold.stats.Requests, n)
		testutil.Assert(t, known.stats.Requests <= pages, "%d requests for %d known blocks", known.stats.Requests, n)
		for _, s := range []start{cold, known} {
			testutil.Assert(t, s.heap <= int64(n)*64<<10, "live heap of %d bytes for %d blocks", s.heap, n)
		}
		return cold
	}
	before := ourStart()
	theirs, _ := twice("thanos", func(bkt objstore.Bucket, dir string) io.Closer {
		return gateway.Thanos(t.Context(), t, bkt, dir, gateway.Settings{Cache: true})
	})
	twice("thanos, index headers opened lazily,", func(bkt objstore.Bucket, dir string) io.Closer {
		return gateway.Thanos(t.Context(), t, bkt, dir, gateway.Settings{Cache: true, Lazy: true})
	})
	after := ourStart()
	ratio := float64(theirs.wall) / float64(min(before.wall, after.wall))
	t.Logf("cold start, thanos/ours: %.2f; of processor time %.2f", ratio, float64(theirs.busy)/float64(min(before.busy, after.busy)))
	// With few blocks, and other tests beside this one, a time says nothing.
	testutil.Assert(t, n < 5000 || ratio >= 3, "cold start is faster by %.2f", ratio)
}

// TestStartupWithoutFiles has meta.json not say how large an index is, as before
// Thanos 0.17: that is one more request.
func TestStartupWithoutFiles(t *testing.T) {
	inner := objstore.NewInMemBucket()
	const n = 100
	manyBlocks(t, inner, n, false)
	dir := t.TempDir()
	cold, known := startOf(t, ours(t), inner, dir), startOf(t, ours(t), inner, dir)
	testutil.Assert(t, cold.stats.Requests <= 3*n+listingOf(n), "%d requests for %d new blocks", cold.stats.Requests, n)
	testutil.Assert(t, known.stats.Requests <= listingOf(n), "%d requests for %d known blocks", known.stats.Requests, n)
}

func ours(t testing.TB) opener {
	return func(bkt objstore.Bucket, dir string) io.Closer {
		return gateway.Ours(t.Context(), t, bkt, dir, gateway.Settings{Cache: true})
	}
}

// listingOf returns how many requests the listing of n blocks may take: a page
// for each 1000 objects, of which a block has three.
func listingOf(n int) int { return 3*n/1000 + 1 }
