//go:build race

package storetest

// raceStride is which share of the checks is made on a broken Store beside those in
// which the race detector has something to see: it makes all several times slower.
const raceStride = 6
