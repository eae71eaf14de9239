package interop

import (
	"log"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(replayDir); dir != "" {
		if err := replay(dir); err != nil {
			log.Fatal(err)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}
