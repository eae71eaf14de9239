package resolutions

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// examples are thanoskit's programs.
var examples *proc.Examples

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "thanoskit-interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	examples = proc.NewExamples(dir)
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}
