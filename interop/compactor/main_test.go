package compactor

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// kills is how often a program is killed for each kind of bucket.
var kills = flag.Int("kills", 4, "how often the compactor is killed, for each kind of bucket")

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
