package clusters

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

var (
	swap = flag.String("swap", "some", `positions: "some", which are three, or "all", which are as many as there are`)
	long = flag.Bool("long", false, "kill every process in turn; the bucket is gone for 30 s and an observee cut off for a minute")
)

var (
	examples proc.Examples // thanoskit's programs
	client   = &http.Client{}
)

// Of TestSurvives: how long the bucket is gone, and an observee cut off.
func absences() (bucket, observee time.Duration) {
	if *long {
		return 30 * time.Second, time.Minute
	}
	return 3 * time.Second, 5 * time.Second
}

func TestMain(m *testing.M) {
	flag.Parse()
	if *swap != "some" && *swap != "all" {
		fmt.Fprintln(os.Stderr, "-swap is neither some nor all")
		os.Exit(2)
	}
	examples.Main(m)
}
