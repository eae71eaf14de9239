package fanout_test

import (
	"flag"
	"os"
	"os/exec"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store/fanout"
)

var branches = flag.Bool("branches", false, "merge each member in a branch of its own")

// What holds for a call that is one merge holds for one of as many branches as there
// are members. With -branches all tests of the package show it; these are those of
// the merge.
func TestInBranches(t *testing.T) {
	t.Parallel()
	if *branches {
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-branches", "-test.failfast", "-test.timeout=5m",
		"-test.run=^Test(Abort|Cancel|Departs|Limit|Member|Merge|Outcome|Reader|Require|Series|Stalled|Views|Wait|Writer)")
	out, err := cmd.CombinedOutput()
	testutil.Ok(t, err, string(out))
}

// A branch has as many members as make it worth a goroutine.
func TestBranchesOf(t *testing.T) {
	t.Parallel()
	for _, members := range []int{0, 1, 15} {
		testutil.Assert(t, fanout.BranchesOf(members) < 2, "%d members", members)
	}
	testutil.Assert(t, fanout.BranchesOf(1_000_000) <= 1_000_000/8)
}
