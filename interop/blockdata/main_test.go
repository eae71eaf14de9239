package blockdata_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Thanos links a provider that logs from a goroutine of its own for ever.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
