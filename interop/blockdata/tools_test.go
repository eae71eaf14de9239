package blockdata_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// run runs a real program to its end and returns all that it wrote.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(context.Background(), proc.Binary(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func bucketConfig(dir string) string {
	return fmt.Sprintf("--objstore.config=type: FILESYSTEM\nconfig:\n  directory: %q\n", dir)
}

// TestToolsAccept: the tools of Thanos and Prometheus have no complaint.
func TestToolsAccept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	series := blocktest.Random(1, &blocktest.RandomOptions{Series: 40, Samples: 900})
	raw := blocktest.Build(t, dir, nil, series...)
	blocktest.Build(t, dir, &blocktest.Options{Resolution: block.FiveMinutes}, blocktest.Downsample(block.FiveMinutes, series...)...)
	blocktest.Build(t, dir, &blocktest.Options{Resolution: block.OneHour}, blocktest.Downsample(block.OneHour, series...)...)
	out := run(t, "thanos", "tools", "bucket", "verify", bucketConfig(dir), "-i", "index_known_issues", "-i", "overlapped_blocks", "-i", "duplicated_compaction")
	testutil.Assert(t, strings.Contains(out, "verify task completed") && !regexp.MustCompile(`level=(warn|error)`).MatchString(out), out)

	only := t.TempDir()
	testutil.Ok(t, os.CopyFS(filepath.Join(only, filepath.Base(raw)), os.DirFS(raw)))
	out = run(t, "promtool", "tsdb", "analyze", only, filepath.Base(raw))
	testutil.Assert(t, strings.Contains(out, "Total Series: 40"), out)
	out = run(t, "promtool", "tsdb", "list", only)
	testutil.Assert(t, strings.Contains(out, filepath.Base(raw)), out)
}

// rewritten runs Thanos' rewrite and returns the block that it made.
func rewritten(t testing.TB, bucket, id string, args ...string) string {
	t.Helper()
	args = append([]string{
		"tools", "bucket", "rewrite", bucketConfig(bucket), "--id=" + id, "--no-dry-run",
		"--no-rewrite.add-change-log", "--tmp.dir=" + t.TempDir(),
	}, args...)
	run(t, "thanos", args...)
	entries, err := os.ReadDir(bucket)
	testutil.Ok(t, err)
	for _, e := range entries {
		if _, ok := block.ParseID(e.Name()); ok && e.Name() != id {
			return filepath.Join(bucket, e.Name())
		}
	}
	t.Fatal("Thanos made no block")
	return ""
}

// TestRewrite: the same deletions and relabelling make the same samples and the
// same section in meta.json. Histograms are left out: Thanos makes floats of
// those of which it drops a part.
func TestRewrite(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		opts  block.RewriteOptions
		flags []string
	}{
		"series": {
			opts:  block.RewriteOptions{Deletions: []block.Deletion{{Matchers: []block.Matcher{{Type: labels.MatchRegexp, Name: "kind", Value: "ga.*"}, {Type: labels.MatchNotEqual, Name: "nowhere", Value: "x"}}}, {Matchers: []block.Matcher{{Type: labels.MatchEqual, Name: "instance", Value: "host-000:9100"}}}}},
			flags: []string{`--rewrite.to-delete-config=[{matchers: '{kind=~"ga.*",nowhere!="x"}'},{matchers: '{instance="host-000:9100"}'}]`},
		},
		"intervals": {
			opts:  block.RewriteOptions{Deletions: []block.Deletion{{Matchers: []block.Matcher{{Type: labels.MatchEqual, Name: "kind", Value: "counter"}}, Intervals: []block.Interval{{Mint: 1_700_001_000_000, Maxt: 1_700_002_000_000}, {Mint: 1_700_004_000_000, Maxt: 1_700_004_000_001}}}}},
			flags: []string{`--rewrite.to-delete-config=[{matchers: '{kind="counter"}', intervals: [{mint: 1700001000000, maxt: 1700002000000},{mint: 1700004000000, maxt: 1700004000001}]}]`},
		},
		"relabel": {
			opts:  block.RewriteOptions{Relabel: []*relabel.Config{{Action: relabel.LabelDrop, Regex: relabel.MustNewRegexp("kind|__name__")}}},
			flags: []string{`--rewrite.to-relabel-config=[{action: labeldrop, regex: 'kind|__name__'}]`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bucket := t.TempDir()
			series := blocktest.Random(3, &blocktest.RandomOptions{Series: 30, Kinds: []blocktest.Kind{blocktest.Counter, blocktest.Gauge, blocktest.Stale}})
			old := blocktest.Build(t, bucket, nil, series...)
			theirs := rewritten(t, bucket, filepath.Base(old), tc.flags...)
			out := t.TempDir()
			meta, err := block.RewriteBlock(context.Background(), old, out, &tc.opts)
			testutil.Ok(t, err)
			ours := filepath.Join(out, meta.ULID.String())
			diff, err := blocktest.DiffSamples(theirs, ours)
			testutil.Ok(t, err)
			testutil.Equals(t, "", diff)
			testutil.Equals(t, section(t, theirs), section(t, ours))
			report, err := block.Verify(context.Background(), theirs, nil)
			testutil.Ok(t, err)
			// Thanos leaves index_stats as they were, which may be too small now.
			testutil.Assert(t, report.Err() == nil || len(report.Problems) == 1 && report.Count(block.WrongStats) > 0, "%s", report)
		})
	}
}

// section is what meta.json says of how a block came to be, as JSON.
func section(t testing.TB, dir string) string {
	t.Helper()
	var m struct {
		MinTime, MaxTime int64
		Compaction       json.RawMessage
		Thanos           struct {
			Source     string
			Rewrites   any
			Labels     any
			Downsample any
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	testutil.Ok(t, err)
	testutil.Ok(t, json.Unmarshal(b, &m))
	m.Compaction = json.RawMessage(strings.ReplaceAll(string(m.Compaction), filepath.Base(dir), "ITSELF"))
	b, err = json.MarshalIndent(m, "", " ")
	testutil.Ok(t, err)
	return string(b)
}
