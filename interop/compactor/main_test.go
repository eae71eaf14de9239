package compactor

import (
	"flag"
	"testing"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// kills is how often a program is killed for each kind of bucket.
var kills = flag.Int("kills", 4, "how often the compactor is killed, for each kind of bucket")

// examples are thanoskit's programs.
var examples proc.Examples

func TestMain(m *testing.M) { examples.Main(m) }
