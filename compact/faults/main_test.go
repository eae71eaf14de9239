package faults_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var (
	// cuts says at how many of the cut points a process dies in a test.
	cuts = flag.String("cuts", "some", "at which operations a process is cut off: some or all")
	// seeds is how many pairs of compactors work against each other.
	seeds = flag.Int("seeds", 3, "how many pairs of compactors work against each other")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
