package block

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/common/model"
)

// TimeBound is a point in time: a fixed one, or one that moves with the clock.
// The zero value is no bound.
type TimeBound struct {
	at      time.Time
	fromNow time.Duration
	kind    timeBoundKind
}

type timeBoundKind uint8

const (
	unbounded timeBoundKind = iota
	fixed
	moving
)

// TimeAt returns a fixed bound.
func TimeAt(t time.Time) TimeBound { return TimeBound{at: t, kind: fixed} }

// TimeFromNow returns a bound that is so far from now, in the past if d is
// negative, whenever now is.
func TimeFromNow(d time.Duration) TimeBound { return TimeBound{fromNow: d, kind: moving} }

// ParseTimeBound parses what Thanos' flags --min-time and --max-time take: RFC
// 3339, or a duration such as -2w or 1d12h that is added to now. "" is no bound.
//
// Errors: what is neither, with the text.
func ParseTimeBound(s string) (TimeBound, error) {
	if s == "" {
		return TimeBound{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return TimeAt(t), nil
	}
	digits, past := strings.CutPrefix(s, "-")
	d, err := model.ParseDuration(digits)
	if err != nil {
		return TimeBound{}, fmt.Errorf("parse %q: neither RFC 3339 nor a duration: %w", s, err)
	}
	if past {
		d = -d
	}
	return TimeFromNow(time.Duration(d)), nil
}

// IsZero reports whether b is no bound.
func (b TimeBound) IsZero() bool { return b.kind == unbounded }

// UnixMilli returns the time that b is when it is now, in ms. It is false if b is
// no bound.
func (b TimeBound) UnixMilli(now time.Time) (int64, bool) {
	switch b.kind {
	case fixed:
		return b.at.UnixMilli(), true
	case moving:
		return now.Add(b.fromNow).UnixMilli(), true
	default:
		return 0, false
	}
}

// String returns what ParseTimeBound takes.
func (b TimeBound) String() string {
	switch b.kind {
	case fixed:
		return b.at.Format(time.RFC3339)
	case moving:
		if b.fromNow < 0 {
			return "-" + model.Duration(-b.fromNow).String()
		}
		return model.Duration(b.fromNow).String()
	default:
		return ""
	}
}

// Set makes a TimeBound a flag.Value.
func (b *TimeBound) Set(s string) (err error) {
	*b, err = ParseTimeBound(s)
	return err
}

// TimePartition keeps blocks that have something in a range of time: MaxTime is
// not before minTime, and MinTime is not after maxTime. Bounds that move are
// worked out for each view. A block is kept as a whole.
//
// Source: Thanos' TimePartitionMetaFilter, which takes a block's MaxTime as
// inclusive, so that one which ends at minTime is kept.
func TimePartition(minTime, maxTime TimeBound) Filter {
	return FilterFunc(func(_ context.Context, v *View) error {
		now := time.Now()
		lo, hasLo := minTime.UnixMilli(now)
		hi, hasHi := maxTime.UnixMilli(now)
		for id, m := range v.Metas {
			if hasLo && m.MaxTime < lo || hasHi && m.MinTime > hi {
				v.Exclude(id, StateTimeExcluded)
			}
		}
		return nil
	})
}

// ConsistencyDelay takes out blocks that were uploaded less than delay ago, by
// upload_time, or made, by ULID, where there is none: a bucket may still show them
// to some and not to others. Blocks of the compactor and of repairs are exempt,
// because what they replace may be gone.
//
// Source: Thanos' ConsistencyDelayMetaFilter.
func ConsistencyDelay(delay time.Duration) Filter {
	exempt := []SourceType{SourceCompactor, SourceCompactorRepair, SourceBucketRepair}
	return FilterFunc(func(_ context.Context, v *View) error {
		now := time.Now()
		for id, m := range v.Metas {
			if slices.Contains(exempt, m.Thanos.Source) {
				continue
			}
			since := m.Thanos.UploadTime
			if since.IsZero() {
				since = ulid.Time(id.Time())
			}
			if now.Sub(since) < delay {
				v.Exclude(id, StateTooFresh)
			}
		}
		return nil
	})
}

// DeletionMarks takes out blocks that were marked for deletion longer than delay
// ago. The delay gives readers the time to turn to what replaces a block, and has
// to be shorter than that after which marked blocks are deleted. Blocks whose
// mark cannot be understood stay; see View.Marked.
//
// Source: Thanos' IgnoreDeletionMarkFilter.
func DeletionMarks(delay time.Duration) Filter {
	return FilterFunc(func(_ context.Context, v *View) error {
		now := time.Now()
		for id := range v.Metas {
			// What cannot be understood is no reason to take a block away.
			if mark, _ := v.Mark(id, DeletionMark); mark != nil && now.Sub(mark.Time) > delay {
				v.Exclude(id, StateMarked)
			}
		}
		return nil
	})
}
