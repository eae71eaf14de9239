package downsample_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/thanos-io/objstore/providers/filesystem"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/downsample"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(context.Background(), proc.Binary(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestTools: the tools of the real Thanos and the real Prometheus have no complaint
// about what Bucket has made of series of all kinds.
func TestTools(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "bucket")
	bkt, err := filesystem.NewBucket(dir)
	testutil.Ok(t, err)
	raw := blocktest.Build(t, t.TempDir(), &blocktest.Options{ExternalLabels: labels.FromStrings("cluster", "eu1"), Level: 4},
		blocktest.Random(1, &blocktest.RandomOptions{Series: 48, Samples: 1500, Step: 600_000, Jitter: 1000, Gaps: 0.05})...)
	_, err = block.Upload(t.Context(), bkt, raw, nil)
	testutil.Ok(t, err)
	made, err := downsample.Bucket(t.Context(), bkt, t.TempDir(), nil)
	testutil.Ok(t, err)
	testutil.Equals(t, 2, len(made))

	config := fmt.Sprintf("--objstore.config=type: FILESYSTEM\nconfig:\n  directory: %q\n", dir)
	out := tool(t, "thanos", "tools", "bucket", "verify", config, "-i", "index_known_issues", "-i", "overlapped_blocks", "-i", "duplicated_compaction")
	testutil.Assert(t, strings.Contains(out, "verify task completed") && !regexp.MustCompile(`level=(warn|error)`).MatchString(out), out)
	for _, m := range made {
		out := tool(t, "promtool", "tsdb", "analyze", dir, m.ULID.String())
		testutil.Assert(t, strings.Contains(out, "Total Series: 48"), out)
	}
}
