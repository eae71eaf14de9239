package bucketstart_test

import (
	"bytes"
	"flag"
	"fmt"
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
)

const hour = int64(3_600_000)

var (
	startupBlocks  = flag.Int("blocks", 300, "how many blocks there are at the start")
	startupLatency = flag.Duration("latency", 20*time.Millisecond, "how long a request takes at the start")
)

// manyBlocks puts small blocks into a bucket, each an hour after the one before:
// copies of one, as nobody reads what is in them.
func manyBlocks(t testing.TB, bkt objstore.Bucket, n int) {
	t.Helper()
	var series []block.Series
	for i := range 10 {
		series = append(series, blocktest.Floats(labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)), 0, 60_000, 1, 2, 3, 4, 5))
	}
	dir := blocktest.Build(t, t.TempDir(), &blocktest.Options{MaxTime: hour}, series...)
	m, err := block.ReadMeta(dir)
	testutil.Ok(t, err)
	contents := map[string][]byte{}
	for _, f := range m.Thanos.Files {
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
	heap  int64 // That it holds, bytes.
	stats blocktest.Stats
}

func (s start) String() string {
	return fmt.Sprintf("%v, %d requests, live heap %d KiB", s.wall.Round(time.Millisecond), s.stats.Requests, s.heap>>10)
}

func startOf(t testing.TB, open gateway, inner objstore.Bucket, dir string) start {
	t.Helper()
	bkt := blocktest.NewBucket(inner)
	bkt.Delay(blocktest.Latency(*startupLatency))
	before := liveHeap()
	begin := time.Now()
	s, closing := open(t, bkt, dir)
	out := start{wall: time.Since(begin), stats: bkt.Stats()}
	bkt.Reset() // The log of requests is the test's own.
	out.heap = liveHeap() - before
	runtime.KeepAlive(s)
	testutil.Ok(t, closing())
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
// with nothing known and then again.
func TestStartup(t *testing.T) {
	inner, err := filesystem.NewBucket(path.Join(t.TempDir(), "bucket"))
	testutil.Ok(t, err)
	n := *startupBlocks
	manyBlocks(t, inner, n)
	starts := map[string][2]start{}
	for name, open := range map[string]gateway{"thanos": thanos, "ours": ours} {
		dir := t.TempDir()
		starts[name] = [2]start{startOf(t, open, inner, dir), startOf(t, open, inner, dir)}
		t.Logf("%-6s cold: %v; known: %v", name, starts[name][0], starts[name][1])
	}
	cold, known := starts["ours"][0], starts["ours"][1]
	// A page of the listing for each 1000 objects, of which a block has three.
	pages := 3*n/1000 + 1
	if cold.stats.Requests > 2*n+pages {
		t.Errorf("%d requests for %d new blocks", cold.stats.Requests, n)
	}
	if known.stats.Requests > pages {
		t.Errorf("%d requests for %d known blocks", known.stats.Requests, n)
	}
	for _, s := range starts["ours"] {
		if perBlock := s.heap / int64(n); perBlock > 64<<10 {
			t.Errorf("live heap is %d bytes for each block", perBlock)
		}
	}
	ratio := float64(starts["thanos"][0].wall) / float64(cold.wall)
	t.Logf("cold start, thanos/ours: %.2f", ratio)
	if ratio < 2 { // 3 is wanted; other tests run beside this one.
		t.Errorf("cold start is faster by %.2f", ratio)
	}
}
