package downsample

import (
	"math"

	"github.com/thanoskit/thanoskit/block"
)

// rawStep is how far raw samples are taken to be apart where the number of chunks
// is reckoned, in ms. Most are closer, which changes nothing: the share of the
// range that is full is 1 at most.
const rawStep = 60_000

// windowEnd returns the last ms of the window that t is in. Windows are aligned to
// 1970, before it as after.
func windowEnd(t, r int64) int64 {
	m := t % r
	if m < 0 {
		m += r
	}
	if end := t - m + r - 1; end >= t {
		return end
	}
	return math.MaxInt64
}

// chunkCount returns how many chunks n samples are made into: as few as have 140
// windows at most each, on average.
//
// step is how far the samples are apart, in ms, and r the resolution.
//
// Source: Thanos v0.42.4, pkg/compact/downsample/downsample.go targetChunkCount,
// which does the same by counting up.
func chunkCount(minTime, maxTime, step int64, r block.Resolution, n int) int {
	span := maxTime - minTime
	switch {
	case span == 0:
		return 1
	case span < 0: // longer than can be told
		return n/141 + 1
	}
	full := min(float64(n)/(float64(span)/float64(step)), 1)
	windows := int(float64(span/int64(r))*full) + 1
	return windows/141 + 1
}
