//go:build !race

package query_test

// raceEnabled says that the race detector makes all several times slower.
const raceEnabled = false
