//go:build race

package dedup_test

// raceDivisor divides how many random cases are tried: all of them run on one
// goroutine, where the race detector has nothing to see, and makes all several times
// slower.
const raceDivisor = 5
