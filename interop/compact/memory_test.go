package compact_test

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore/providers/filesystem"
)

// What a process of its own is told.
const (
	sideEnv   = "COMPACT_SIDE"   // "thanos" or "ours"
	bucketEnv = "COMPACT_BUCKET" // a directory
	blocksEnv = "COMPACT_BLOCKS" // ULIDs, with blanks in between
)

// TestRatioMemory has a process of its own do the work of TestRatioCycle, once as
// Thanos and once as we do it, and compares the most memory that each of them had.
// Pages of mapped files are part of it.
func TestRatioMemory(t *testing.T) {
	s := pick(shape{series: 40, blocks: 7, length: 2 * day, step: 60_000}, shape{series: 300, blocks: 7, length: 2 * day, step: 15_000})
	dir := t.TempDir()
	c := newCycleIn(t, dir, &s)
	ids := make([]string, len(c.ids))
	for i, id := range c.ids {
		ids[i] = id.String()
	}
	most := map[string]int64{}
	for _, side := range []string{"thanos", "ours"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestOneSide$")
		cmd.Env = append(os.Environ(), sideEnv+"="+side, bucketEnv+"="+dir, blocksEnv+"="+strings.Join(ids, " "))
		out, err := cmd.CombinedOutput()
		testutil.Ok(t, err, string(out))
		m := mostMemory.FindSubmatch(out)
		testutil.Assert(t, m != nil, string(out))
		most[side], err = strconv.ParseInt(string(m[1]), 10, 64)
		testutil.Ok(t, err)
		t.Logf("%s: %d KiB at most, %s of processor time", side, most[side], cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	testutil.Assert(t, most["ours"] <= most["thanos"], "%v", most)
}

// mostMemory is where the kernel says of a process what it had at most. (What it
// says of it to its parent begins with what the parent has.)
var mostMemory = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// TestOneSide is the process of TestRatioMemory; there is nothing to do for it else.
func TestOneSide(t *testing.T) {
	side := os.Getenv(sideEnv)
	if side == "" {
		return
	}
	inner, err := filesystem.NewBucket(os.Getenv(bucketEnv))
	testutil.Ok(t, err)
	c := &cycle{bkt: &meteredBucket{Bucket: inner}}
	for _, id := range strings.Fields(os.Getenv(blocksEnv)) {
		c.ids = append(c.ids, ulid.MustParse(id))
	}
	do := c.ours
	if side == "thanos" {
		do = c.thanos
	}
	fresh(t, func(dir string) { c.remove(t.Context(), t, do(t.Context(), t, dir)) })
	status, err := os.ReadFile("/proc/self/status")
	testutil.Ok(t, err)
	_, err = os.Stdout.Write(status)
	testutil.Ok(t, err)
}
