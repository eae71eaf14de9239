package compactor

import (
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// What starts Thanos' compactor starts ours: all of its flags are known, but for
// those by which programs say who they are.
func TestFlags(t *testing.T) {
	t.Parallel()
	names := func(pattern string, out []byte) (names []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(out, -1) {
			names = append(names, string(m[1]))
		}
		return names
	}
	help, err := exec.CommandContext(t.Context(), proc.Binary(t, "thanos"), "compact", "--help").CombinedOutput()
	testutil.Ok(t, err)
	theirs := names(`(?m)^ +(?:-\w, )?--(?:\[no-\])?([a-z0-9.-]+)`, help)
	testutil.Assert(t, len(theirs) > 40, "%d flags:\n%s", len(theirs), help)
	help, _ = exec.CommandContext(t.Context(), examples.Binary(t, "compactor"), "--help").CombinedOutput() // An error to the flag package.
	ours := names(`(?m)^ +-([a-z0-9.-]+)`, help)
	unknown := slices.DeleteFunc(theirs, func(name string) bool { return slices.Contains(ours, name) })
	slices.Sort(unknown)
	testutil.Equals(t, []string{"help", "help-long", "version"}, slices.Compact(unknown))
}
