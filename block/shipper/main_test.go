package shipper_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// templates is the directory with the blocks that others are linked to.
var templates string

func TestMain(m *testing.M) {
	var err error
	if templates, err = os.MkdirTemp("", "shipper"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(templates)
		os.Exit(code)
	}))
}
