package block

import (
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
)

// Selector says which blocks are meant. The zero value and nil mean all.
type Selector struct {
	// IDs are the blocks; if there are any, nothing else counts, as with Thanos.
	IDs []ulid.ULID
	// Matchers must all match the external labels.
	Matchers []*labels.Matcher
	// Resolutions and Levels are the resolutions and compaction levels wanted;
	// none means all.
	Resolutions []Resolution
	Levels      []int
	// MinTime and MaxTime bound the blocks as TimePartition does.
	MinTime, MaxTime TimeBound
}

// Matches reports whether a block is meant.
func (s *Selector) Matches(m *Meta) bool {
	if s == nil {
		return true
	}
	if len(s.IDs) > 0 {
		return slices.Contains(s.IDs, m.ULID)
	}
	now := time.Now()
	if lo, ok := s.MinTime.UnixMilli(now); ok && m.MaxTime < lo {
		return false
	}
	if hi, ok := s.MaxTime.UnixMilli(now); ok && m.MinTime > hi {
		return false
	}
	if len(s.Resolutions) > 0 && !slices.Contains(s.Resolutions, m.Resolution()) {
		return false
	}
	if len(s.Levels) > 0 && !slices.Contains(s.Levels, m.Compaction.Level) {
		return false
	}
	for _, matcher := range s.Matchers {
		if !matcher.Matches(m.Thanos.Labels[matcher.Name]) {
			return false
		}
	}
	return true
}
