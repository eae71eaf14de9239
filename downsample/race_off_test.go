//go:build !race

package downsample_test

// raceDivisor divides how many random cases are tried of what runs on one goroutine:
// there the race detector has nothing to see, and makes all several times slower.
const raceDivisor = 1
