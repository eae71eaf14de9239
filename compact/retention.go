package compact

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/downsample"
)

// Retention is how long blocks are kept after the end of their range, by
// resolution. 0 is forever.
type Retention struct {
	Raw, FiveMinutes, OneHour time.Duration
}

// Of returns how long blocks of a resolution are kept.
func (r Retention) Of(res block.Resolution) time.Duration {
	switch res {
	case block.Raw:
		return r.Raw
	case block.FiveMinutes:
		return r.FiveMinutes
	case block.OneHour:
		return r.OneHour
	}
	return 0
}

// RetentionRule is a Retention for the blocks whose external labels all of the
// matchers match.
type RetentionRule struct {
	Matchers []*labels.Matcher
	Retention
}

// matches reports whether a rule is for blocks with those labels. A label that
// is missing is an empty one.
func (r *RetentionRule) matches(lset labels.Labels) bool {
	for _, m := range r.Matchers {
		if !m.Matches(lset.Get(m.Name)) {
			return false
		}
	}
	return true
}

// retention returns what holds for blocks with those external labels, without
// replica labels.
func (o *Options) retention(lset labels.Labels) Retention {
	for i := range o.RetentionRules {
		if r := &o.RetentionRules[i]; r.matches(lset) {
			return r.Retention
		}
	}
	return o.Retention
}

// validateRetention refuses what cannot be meant. Without the interlock that is,
// as for Thanos, what deletes blocks before they are large enough to be
// downsampled.
func (o *Options) validateRetention() []error {
	var errs []error
	check := func(name string, r Retention) {
		for _, res := range []block.Resolution{block.Raw, block.FiveMinutes, block.OneHour} {
			if d := r.Of(res); d < 0 {
				errs = append(errs, fmt.Errorf("option %s: %v of %s is negative", name, d, res))
			}
		}
		if o.Interlock == InterlockOn {
			return
		}
		if r.Raw > 0 && r.Raw < downsample.MinRange5m && o.Downsampling != DownsampleNone {
			errs = append(errs, fmt.Errorf("option %s: %v of raw is less than the %v from which on blocks are downsampled to 5m", name, r.Raw, downsample.MinRange5m))
		}
		if r.FiveMinutes > 0 && r.FiveMinutes < downsample.MinRange1h && o.Downsampling == DownsampleAll {
			errs = append(errs, fmt.Errorf("option %s: %v of 5m is less than the %v from which on blocks are downsampled to 1h", name, r.FiveMinutes, downsample.MinRange1h))
		}
	}
	check("Retention", o.Retention)
	for i, r := range o.RetentionRules {
		name := fmt.Sprintf("RetentionRules[%d]", i)
		if len(r.Matchers) == 0 {
			errs = append(errs, fmt.Errorf("option %s: no matchers", name))
		}
		check(name, r.Retention)
	}
	return errs
}
