package buckets

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// fortnight is a range that Thanos compacts to one block, once there is a later
// one.
func fortnight() span { return span{time.Unix(1_699_488_000, 0), 7, 48 * time.Hour} }

// upload puts the blocks in a directory into a bucket with thanoskit's code.
func upload(t testing.TB, dir string, b bucket) {
	t.Helper()
	bkt, err := filesystem.NewBucket(b.dir)
	testutil.Ok(t, err)
	entries, err := os.ReadDir(dir)
	testutil.Ok(t, err)
	for _, e := range entries {
		// What a shipper puts into a copy of meta.json.
		bdir := filepath.Join(t.TempDir(), e.Name())
		testutil.Ok(t, os.CopyFS(bdir, os.DirFS(filepath.Join(dir, e.Name()))))
		m, err := block.ReadMeta(bdir)
		testutil.Ok(t, err)
		m.Thanos.Labels = map[string]string{"cluster": "c1", "replica": "a"}
		m.Thanos.Source = block.SourceSidecar
		testutil.Ok(t, block.WriteMeta(bdir, m))
		_, err = block.Upload(t.Context(), bkt, bdir, nil)
		testutil.Ok(t, err)
	}
	testutil.Ok(t, bkt.Close())
}

// compact runs the real compactor once.
func compact(t testing.TB, b bucket) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), proc.Binary(t, "thanos"), "compact",
		b.flag(), "--data-dir="+t.TempDir(), "--consistency-delay=0s", "--http-address="+proc.FreeAddr(t))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compact: %v\n%s", err, out)
	}
}

// resolutions returns those of the blocks in a bucket that are not marked for
// deletion, by block.
func resolutions(t testing.TB, b bucket) map[string]block.Resolution {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(b.dir, "*", block.MetaFile))
	testutil.Ok(t, err)
	out := map[string]block.Resolution{}
	for _, name := range dirs {
		if _, err := os.Stat(filepath.Join(filepath.Dir(name), block.DeletionMarkFile)); err == nil {
			continue
		}
		m, err := block.ReadMeta(filepath.Dir(name))
		testutil.Ok(t, err)
		out[filepath.Dir(name)] = m.Resolution()
	}
	return out
}

// Blocks that the real compactor compacted and downsampled are answered for by our
// gateway as by Thanos', and raw data as by Prometheus.
func TestCompactedBlocks(t *testing.T) {
	t.Parallel()
	blocks := filepath.Join(t.TempDir(), "blocks")
	s := fortnight()
	writeBlocks(t, blocks, s)
	writeBlocks(t, blocks, span{s.end(), 2, 2 * time.Hour})
	whole := filesystemBucket(t)
	upload(t, blocks, whole)
	compact(t, whole)
	var got []block.Resolution
	for _, r := range resolutions(t, whole) {
		got = append(got, r)
	}
	slices.Sort(got)
	testutil.Equals(t, []block.Resolution{block.Raw, block.Raw, block.Raw, block.FiveMinutes, block.OneHour}, got)

	p := startPrometheus(t, blocks)
	about := asker{s.start.Add(12 * time.Hour), s.end().Add(3 * time.Hour), 95 * time.Minute}
	gateways := map[string]*server{ours: gateway(t, ours, whole), thanos: gateway(t, thanos, whole)}
	want := about.answers(t, p.url, "", expressions(ours))
	for _, querierKind := range []string{ours, thanos} {
		t.Run("raw, querier of "+querierKind, func(t *testing.T) {
			q := querier(t, querierKind, gateways[ours])
			same(t, want, about.answers(t, "http://"+q.http, "0s", expressions(querierKind)))
		})
	}
	sameDownsampled(t, about, gateways, downsampledExpressions())
	q := querier(t, ours, gateways[ours])
	answers := map[string]string{}
	for _, resolution := range []string{"0s", "5m", "1h"} {
		// Downsampled data is counted by windows.
		answers[about.ask(t, "http://"+q.http, `count_over_time(requests_total[6h])`, resolution)] = resolution
	}
	if len(answers) != 3 {
		t.Errorf("three resolutions have %d answers", len(answers))
	}

	// Mixed: resolutions that are left of some time only.
	for _, lacks := range []struct {
		name string
		of   []block.Resolution
	}{
		{"5m and 1h only", []block.Resolution{block.Raw}},
		{"raw and 1h only", []block.Resolution{block.FiveMinutes}},
		{"1h only", []block.Resolution{block.Raw, block.FiveMinutes}},
	} {
		t.Run(lacks.name, func(t *testing.T) {
			b := filesystemBucket(t)
			for dir, r := range resolutions(t, whole) {
				m, err := block.ReadMeta(dir)
				testutil.Ok(t, err)
				// What comes after the fortnight is raw and stays.
				if !slices.Contains(lacks.of, r) || m.MinTime >= s.end().UnixMilli() {
					testutil.Ok(t, os.CopyFS(filepath.Join(b.dir, filepath.Base(dir)), os.DirFS(dir)))
				}
			}
			sameDownsampled(t, about, map[string]*server{ours: gateway(t, ours, b), thanos: gateway(t, thanos, b)}, downsampledExpressions())
		})
	}
}

// sameDownsampled compares the answers of both gateways at each resolution, with
// both queriers.
func sameDownsampled(t *testing.T, about asker, gateways map[string]*server, exprs []string) {
	t.Helper()
	for _, querierKind := range []string{ours, thanos} {
		over := map[string]*server{}
		for kind, g := range gateways {
			over[kind] = querier(t, querierKind, g)
		}
		for _, resolution := range []string{"0s", "5m", "1h"} {
			t.Run(fmt.Sprintf("%s, querier of %s", resolution, querierKind), func(t *testing.T) {
				want := about.answers(t, "http://"+over[thanos].http, resolution, exprs)
				same(t, want, about.answers(t, "http://"+over[ours].http, resolution, exprs))
			})
		}
	}
}

// The golden blocks, whose series are harder.
func TestGoldenBlocks(t *testing.T) {
	t.Parallel()
	b := filesystemBucket(t)
	testutil.Ok(t, os.CopyFS(b.dir, blocktest.GoldenFS()))
	start := time.Unix(1_700_006_400, 0)
	about := asker{start.Add(3 * time.Hour), start.Add(245 * time.Hour), 47 * time.Minute}
	gateways := map[string]*server{ours: gateway(t, ours, b), thanos: gateway(t, thanos, b)}
	sameDownsampled(t, about, gateways, []string{
		`golden_counter`,
		`increase(golden_counter[4h])`,
		`rate(golden_counter{is="fraction"}[2h])`,
		`golden_gauge`,
		`min_over_time(golden_gauge[4h])`,
		`max_over_time(golden_gauge[4h])`,
		`sum_over_time(golden_gauge[4h])`,
		`golden_histogram`,
		`histogram_quantile(0.7, rate(golden_histogram{is=~"integer|float"}[4h]))`,
		`histogram_count(golden_histogram{is="gauge"})`,
		`histogram_fraction(0, 1, golden_histogram{is="custom"})`,
	})

	// What the store itself says of what it holds.
	args := []string{gateways[ours].grpc, "-from=2023-11-15T00:00:00Z", "-to=2023-11-25T06:00:00Z", `-matcher={__name__=~"golden_.*"}`}
	if out, err := exec.CommandContext(t.Context(), examples.Binary(t, "storecheck"), args...).CombinedOutput(); err != nil {
		t.Errorf("storecheck: %v\n%s", err, out)
	}
}

// The fixture of the conformance kit, all of it, out of a bucket.
func TestFixture(t *testing.T) {
	t.Parallel()
	b := filesystemBucket(t)
	check := examples.Binary(t, "storecheck")
	if out, err := exec.CommandContext(t.Context(), check, "-fixture="+b.dir, "-fixture-for=gateway").CombinedOutput(); err != nil {
		t.Fatalf("write fixture: %v\n%s", err, out)
	}
	g := gateway(t, ours, b)
	if out, err := exec.CommandContext(t.Context(), check, "-fixture-check", g.grpc).CombinedOutput(); err != nil {
		t.Errorf("storecheck: %v\n%s", err, out)
	}
}
