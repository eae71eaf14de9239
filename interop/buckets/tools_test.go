package buckets

import (
	"bytes"
	"encoding/csv"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/s3"
)

// tool runs a command on a bucket, of ours or of Thanos', and returns what it
// prints and logs.
func tool(t testing.TB, kind string, b bucket, command string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	path := examples.Binary(t, "bucket")
	line := append([]string{command, b.flag()}, args...)
	if kind == thanos {
		path, line = proc.Binary(t, "thanos"), append([]string{"tools", "bucket"}, line...)
	}
	cmd := exec.CommandContext(t.Context(), path, line...)
	cmd.Env = append(os.Environ(), "TZ=UTC") // Thanos prints local times.
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err = cmd.Run()
	return out.String(), log.String(), err
}

// mustTool is tool that has to end well.
func mustTool(t testing.TB, kind string, b bucket, command string, args ...string) string {
	t.Helper()
	out, log, err := tool(t, kind, b, command, args...)
	if err != nil {
		t.Fatalf("%s %s %q: %v\n%s", kind, command, args, err, log)
	}
	return out
}

// verifiedByThanos runs Thanos' verification over a bucket, which only logs what
// is wrong.
func verifiedByThanos(t testing.TB, b bucket) {
	t.Helper()
	_, log, err := tool(t, thanos, b, "verify", "--issues=index_known_issues", "--issues=overlapped_blocks", "--issues=duplicated_compaction")
	if err != nil || !strings.Contains(log, "verify task completed") {
		t.Errorf("verify: %v\n%s", err, log)
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=warn") || strings.Contains(line, "level=error") {
			t.Errorf("verify: %s", line)
		}
	}
}

func TestTools(t *testing.T) {
	t.Parallel()
	source := filesystemBucket(t)
	testutil.Ok(t, os.CopyFS(source.dir, blocktest.GoldenFS()))
	b := s3Bucket(s3.Start(t), "tools")
	mustTool(t, ours, source, "replicate", "--objstore-to.config="+b.config)

	ids := func(kind string, args ...string) []string {
		out := strings.Fields(mustTool(t, kind, b, "ls", args...))
		slices.Sort(out)
		return out
	}
	all := ids(ours)
	testutil.Equals(t, 4, len(all))
	testutil.Equals(t, ids(thanos), all)

	t.Run("inspect", func(t *testing.T) {
		rows := func(kind string) [][]string {
			rows, err := csv.NewReader(strings.NewReader(mustTool(t, kind, b, "inspect", "--output=csv", "--sort-by=ULID"))).ReadAll()
			testutil.Ok(t, err)
			for i := range rows {
				rows[i] = rows[i][:13] // Without our MARKS.
			}
			return rows
		}
		testutil.Equals(t, rows(thanos), rows(ours))
	})
	t.Run("marks", func(t *testing.T) {
		mustTool(t, ours, b, "mark", "--id="+all[0], "--marker=deletion-mark.json", "--details=why")
		testutil.Equals(t, all[1:], ids(thanos, "--exclude-delete"))
		mustTool(t, thanos, b, "mark", "--id="+all[1], "--marker=deletion-mark.json", "--details=why")
		mustTool(t, thanos, b, "mark", "--id="+all[2], "--marker=no-compact-mark.json", "--details=why")
		testutil.Equals(t, all[2:], ids(ours, "--exclude-delete"))
		testutil.Assert(t, strings.Contains(mustTool(t, ours, b, "inspect", "--id="+all[2], "--output=tsv"), "\tno-compact\n"))
		mustTool(t, ours, b, "unmark", "--id="+all[1], "--marker=deletion-mark.json")
		mustTool(t, thanos, b, "mark", "--remove", "--id="+all[0], "--marker=deletion-mark.json")
		testutil.Equals(t, all, ids(thanos, "--exclude-delete"))
		testutil.Equals(t, all, ids(ours, "--exclude-delete"))
	})
	t.Run("verify", func(t *testing.T) {
		verifiedByThanos(t, b)
		testutil.Equals(t, 4, strings.Count(mustTool(t, ours, b, "verify"), "no problems\n"))
	})
	t.Run("rewrite", func(t *testing.T) {
		what := `--rewrite.to-delete-config=[{matchers: '{is="custom"}', intervals: [{mint: 0, maxt: 1700884900000}]}, {matchers: '{is="sine"}'}]`
		relabel := `--rewrite.to-relabel-config=[{target_label: rewritten, replacement: "yes"}]`
		mustTool(t, ours, b, "rewrite", "--id="+all[1], what, relabel, "--no-dry-run", "--delete-blocks", "--tmp.dir="+t.TempDir())
		testutil.Equals(t, 4, len(ids(thanos, "--exclude-delete")))
		testutil.Equals(t, 5, strings.Count(mustTool(t, ours, b, "verify"), "no problems\n"))
		// Thanos would see the old block and the new one as overlapping.
		_, log, err := tool(t, thanos, b, "verify", "--issues=index_known_issues")
		testutil.Ok(t, err)
		testutil.Assert(t, !strings.Contains(log, "level=warn"), log)
	})
}

// Whoever is given credentials that are wrong says so, and ends.
func TestWrongCredentials(t *testing.T) {
	t.Parallel()
	srv := s3.Start(t)
	b := bucket{srv.WrongConfig(), srv.Dir}
	for _, command := range []string{"ls", "verify"} {
		out, log, err := tool(t, ours, b, command)
		testutil.NotOk(t, err)
		testutil.Equals(t, "", out)
		saysWhy(t, log)
	}
	cmd := exec.CommandContext(t.Context(), examples.Binary(t, "storegateway"), b.flag(), "--data-dir="+t.TempDir(),
		"--grpc-address="+proc.FreeAddr(t), "--http-address="+proc.FreeAddr(t))
	log, err := cmd.CombinedOutput()
	testutil.NotOk(t, err)
	saysWhy(t, string(log))
}

func saysWhy(t testing.TB, log string) {
	t.Helper()
	testutil.Assert(t, strings.Contains(log, "level=ERROR") && strings.Contains(log, "signature"), log)
	testutil.Assert(t, !strings.Contains(log, "secret-key"), log)
}
