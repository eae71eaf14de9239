package interop

import "flag"

var ratioPairs = flag.Int("ratio", 0, "time `n` pairs of Thanos and thanoskit at the same work in the tests named Ratio, 15 at least; 0 times none")
