package resolutions

import (
	"testing"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// examples are thanoskit's programs.
var examples proc.Examples

func TestMain(m *testing.M) { examples.Main(m) }
