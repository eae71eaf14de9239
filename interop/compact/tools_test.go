package compact_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/thanos-io/thanos/pkg/block/metadata"
	thanosdown "github.com/thanos-io/thanos/pkg/compact/downsample"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// randomBlocks writes random series into blocks that follow each other, two hours
// each.
func randomBlocks(t testing.TB, seed uint64, blocks int, replica string, kinds ...blocktest.Kind) []string {
	t.Helper()
	var dirs []string
	for n := range int64(blocks) {
		from := start + 2*n*hour
		series := blocktest.Random(seed+uint64(n), &blocktest.RandomOptions{Series: 24, Start: from, Samples: 470, Jitter: 10_000, Gaps: 0.05, Kinds: kinds})
		dirs = append(dirs, blocktest.Build(t, t.TempDir(), &blocktest.Options{
			MinTime: from, MaxTime: from + 2*hour, ExternalLabels: externalLabels(replica), Level: 1,
		}, series...))
	}
	return dirs
}

// runTool runs a real program to its end and returns all that it wrote.
func runTool(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), proc.Binary(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestToolsAccept: Thanos' and Prometheus' tools have no complaint about what jobs
// make, in turn and of replicas, and a real Prometheus serves it.
func TestToolsAccept(t *testing.T) {
	t.Parallel()
	bucket := t.TempDir()
	// Stale markers are no samples to a query.
	kinds := slices.DeleteFunc(blocktest.Kinds(), func(k blocktest.Kind) bool { return k == blocktest.Stale })
	a, b := randomBlocks(t, 1, 3, "a", kinds...), randomBlocks(t, 1, 2, "b", kinds...)
	all := []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour}
	made := run(t.Context(), t, jobOf(t, a, all...), a, bucket, nil)
	out := runTool(t, "thanos", "tools", "bucket", "verify", fmt.Sprintf("--objstore.config=type: FILESYSTEM\nconfig:\n  directory: %q\n", bucket),
		"-i", "index_known_issues", "-i", "overlapped_blocks", "-i", "duplicated_compaction")
	testutil.Assert(t, strings.Contains(out, "verify task completed") && !regexp.MustCompile(`level=(warn|error)`).MatchString(out), out)

	both := slices.Concat(a, b)
	vertical := run(t.Context(), t, jobOf(t, both, block.Raw), both, t.TempDir(), &compact.Options{Algorithm: dedup.Follow{}, ReplicaLabels: []string{"replica"}})
	for _, dir := range []string{made[0], vertical[0]} {
		m, err := block.ReadMeta(dir)
		testutil.Ok(t, err)
		only := t.TempDir()
		testutil.Ok(t, os.CopyFS(filepath.Join(only, filepath.Base(dir)), os.DirFS(dir)))
		out := runTool(t, "promtool", "tsdb", "analyze", only, filepath.Base(dir))
		testutil.Assert(t, strings.Contains(out, fmt.Sprintf("Total Series: %d", m.Stats.NumSeries)), out)
		testutil.Equals(t, float64(m.Stats.NumSamples), samplesInPrometheus(t, only, m), "%s", m)
	}
}

// samplesInPrometheus has a real Prometheus count the samples of a block.
func samplesInPrometheus(t testing.TB, dir string, m *block.Meta) float64 {
	t.Helper()
	cfg := filepath.Join(t.TempDir(), "prometheus.yml")
	testutil.Ok(t, os.WriteFile(cfg, []byte("global:\n  scrape_interval: 1h\n"), 0o600))
	addr := proc.FreeAddr(t)
	p := proc.Start(t, "prometheus", proc.Binary(t, "prometheus"), "--config.file="+cfg, "--storage.tsdb.path="+dir,
		"--storage.tsdb.retention.time=100y", "--web.listen-address="+addr)
	defer p.Stop()
	proc.AwaitHTTP(t, p, "http://"+addr+"/-/ready")
	q := url.Values{
		"query": {fmt.Sprintf(`sum(count_over_time({__name__=~".+"}[%dms]))`, m.MaxTime-m.MinTime)},
		"time":  {fmt.Sprintf("%.3f", float64(m.MaxTime-1)/1000)},
	}
	body, err := proc.Get(t.Context(), "http://"+addr+"/api/v1/query?"+q.Encode())
	testutil.Ok(t, err)
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	testutil.Ok(t, json.Unmarshal(body, &answer))
	testutil.Equals(t, 1, len(answer.Data.Result), string(body))
	var v float64
	_, err = fmt.Sscan(answer.Data.Result[0].Value[1].(string), &v)
	testutil.Ok(t, err)
	return v
}

// TestAggregatesLikeThanos: blocks of 5m and of 1h that Thanos made are compacted to
// the bytes that Thanos compacts them to.
func TestAggregatesLikeThanos(t *testing.T) {
	t.Parallel()
	raw := randomBlocks(t, 7, 3, "a", blocktest.Counter, blocktest.Gauge, blocktest.IntHistogram)
	for _, to := range []int64{thanosdown.ResLevel1, thanosdown.ResLevel2} {
		dirs := make([]string, len(raw))
		for i, dir := range raw {
			dirs[i] = thanosStaged(t, dir, to)
		}
		theirs := thanosMerge(t.Context(), t, dirs, t.TempDir(), chainMerge())
		job := jobOf(t, dirs, block.Resolution(to))
		sameFiles(t, theirs, run(t.Context(), t, job, dirs, t.TempDir(), nil)[0])
	}
}

// thanosStaged downsamples a raw block with Thanos, up to a resolution.
func thanosStaged(t testing.TB, dir string, to int64) string {
	t.Helper()
	for _, r := range []int64{thanosdown.ResLevel1, thanosdown.ResLevel2} {
		m, err := metadata.ReadFromDir(dir)
		testutil.Ok(t, err)
		dir = thanosDownsampled(t.Context(), t, dir, t.TempDir(), m, r)
		if r == to {
			break
		}
	}
	return dir
}

// window is what is known of the samples of a series within a window.
type window struct{ count, sum, low, high float64 }

// TestOnePassLikeThanosStages: what one pass makes has for each series and each
// aligned window what Thanos makes in three: of as many samples, with the same sum,
// least and greatest.
func TestOnePassLikeThanosStages(t *testing.T) {
	t.Parallel()
	dirs := randomBlocks(t, 3, 5, "a", blocktest.Counter, blocktest.Gauge, blocktest.Stale)
	made := run(t.Context(), t, jobOf(t, dirs, block.Raw, block.FiveMinutes, block.OneHour), dirs, t.TempDir(), nil)
	compacted := thanosMerge(t.Context(), t, dirs, t.TempDir(), chainMerge())
	for i, to := range []int64{thanosdown.ResLevel1, thanosdown.ResLevel2} {
		want, got := windowsOf(t, thanosStaged(t, compacted, to), to), windowsOf(t, made[i+1], to)
		testutil.Equals(t, len(want), len(got))
		n := 0
		for lset, ws := range want {
			testutil.Equals(t, len(ws), len(got[lset]), lset)
			for at, w := range ws {
				g, ok := got[lset][at]
				testutil.Assert(t, ok && w.count == g.count && same(w.low, g.low) && same(w.high, g.high) && same(w.sum, g.sum), "%s at %d: %+v, and %+v", lset, at, w, g)
				n++
			}
		}
		t.Logf("%d windows of %d ms are the same", n, to)
	}
}

// same tells whether two floats are the same but for the order of additions.
func same(a, b float64) bool {
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
}

// windowsOf returns the windows of all series of a block, by series and by number of
// the window. Parts of a window in several chunks are added up.
func windowsOf(t testing.TB, dir string, resolution int64) map[string]map[int64]window {
	t.Helper()
	r, err := block.Open(dir)
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, r.Close()) }()
	out := map[string]map[int64]window{}
	for s, err := range r.All(context.Background()) {
		testutil.Ok(t, err)
		ws := map[int64]window{}
		out[s.Labels.String()] = ws
		for _, c := range s.Chunks {
			a, err := blocktest.SplitAggregates(c)
			testutil.Ok(t, err)
			add := func(c chunkenc.Chunk, f func(w *window, v float64)) {
				it := c.Iterator(nil)
				for it.Next() != chunkenc.ValNone {
					at, v := it.At()
					w := ws[at/resolution]
					f(&w, v)
					ws[at/resolution] = w
				}
				testutil.Ok(t, it.Err())
			}
			add(a.Count, func(w *window, v float64) {
				if w.count == 0 {
					w.low, w.high = math.Inf(1), math.Inf(-1)
				}
				w.count += v
			})
			add(a.Sum, func(w *window, v float64) { w.sum += v })
			add(a.Min, func(w *window, v float64) { w.low = min(w.low, v) })
			add(a.Max, func(w *window, v float64) { w.high = max(w.high, v) })
		}
	}
	return out
}
