//go:build race

package compact_test

// raceDivisor divides how many random cases are tried: the race detector makes each
// several times slower, and sees what goroutines do beside each other in a few.
const raceDivisor = 3
