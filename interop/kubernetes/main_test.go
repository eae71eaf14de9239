package kubernetes_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(testMain{m})
}

// testMain removes what tests share once they all are done.
type testMain struct{ m *testing.M }

func (m testMain) Run() int {
	dir, err := os.MkdirTemp("", "thanoskit-kubernetes")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	shared = sharedFiles{dir: dir}
	return m.m.Run()
}
