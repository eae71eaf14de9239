package downsample

import (
	"time"

	"github.com/thanoskit/thanoskit/block"
)

// How long a block is at least, by the range in its meta.json, before it is
// downsampled of itself: so that two chunks or so come out for each series.
//
// Source: Thanos v0.42.4, pkg/compact/downsample/downsample.go. There is no rule
// about age: it follows from how blocks are compacted.
const (
	MinRange5m = 40 * time.Hour
	MinRange1h = 10 * 24 * time.Hour
)

// Next returns the resolution that data of a resolution is downsampled to, and
// false if there is none.
func Next(r block.Resolution) (block.Resolution, bool) {
	switch r {
	case block.Raw:
		return block.FiveMinutes, true
	case block.FiveMinutes:
		return block.OneHour, true
	case block.OneHour:
	}
	return 0, false
}

// Due returns the resolution that a block is to be downsampled to by its range,
// and false if it is too short for that, or as coarse as can be.
func Due(m *block.Meta) (block.Resolution, bool) {
	to, ok := Next(m.Resolution())
	if !ok {
		return 0, false
	}
	least := MinRange5m
	if to == block.OneHour {
		least = MinRange1h
	}
	// Unsigned, the length of a range is right however far its ends are apart.
	return to, m.MinTime < m.MaxTime && uint64(m.MaxTime-m.MinTime) >= uint64(least.Milliseconds())
}
