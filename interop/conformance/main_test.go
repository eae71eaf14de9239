package conformance

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// examples are thanoskit's programs.
var examples proc.Examples

// kit has TestKit run. It fails wherever a component does, so that it is
// TestComponents that runs it, in a process of its own, and judges.
var kit = flag.Bool("kit", false, "run the kit itself; it fails where components do")

func TestMain(m *testing.M) {
	flag.Parse()
	if !*kit {
		if err := flag.Set("test.skip", "^TestKit$"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	examples.Main(m)
}
