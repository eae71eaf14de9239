//go:build !race

package bucketstore

// RaceDivisor divides how many random cases are tried of what runs on one
// goroutine: there the race detector has nothing to see, and makes all several
// times slower.
const RaceDivisor = 1
