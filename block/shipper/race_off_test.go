//go:build !race

package shipper_test

// raceStride is which share of the cases is tried that follow each other on one
// goroutine: there the race detector has nothing to see, and makes all several
// times slower.
const raceStride = 1
