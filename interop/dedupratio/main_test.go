package dedupratio_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

var ratioPairs = flag.Int("ratio", 0, "time `n` pairs of Thanos and thanoskit at the same work in the tests named Ratio, 15 at least; 0 times none")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }
