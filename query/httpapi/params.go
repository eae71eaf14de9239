package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
	"github.com/thanoskit/thanoskit/query"
	"github.com/thanoskit/thanoskit/store"
)

// The bounds of all time in seconds, as far as Prometheus has it.
const (
	minSeconds = math.MinInt64/1000 + 62135596801
	maxSeconds = math.MaxInt64/1000 - 62135596801
)

// minTime and maxTime are the range of series and label queries that give none.
func minTime() time.Time { return time.Unix(minSeconds, 0).UTC() }
func maxTime() time.Time { return time.Unix(maxSeconds, 999_999_999).UTC() }

// params are the parameters of a request.
type params struct{ values url.Values }

// invalid returns an error that names a parameter, in Prometheus' words.
func invalid(name string, err error) error {
	return badData("invalid parameter %q: %w", name, err)
}

// time returns a time, or the default if it is not given.
func (p params) time(name string, otherwise time.Time) (time.Time, error) {
	v := p.values.Get(name)
	if v == "" {
		return otherwise, nil
	}
	t, err := parseTime(v)
	if err != nil {
		return time.Time{}, invalid(name, err)
	}
	return t, nil
}

// span returns a range of time whose ends, if not given, are those of all time.
func (p params) span() (start, end time.Time, err error) {
	if start, err = p.time("start", minTime()); err != nil {
		return start, end, err
	}
	if end, err = p.time("end", maxTime()); err != nil {
		return start, end, err
	}
	if end.Before(start) {
		return start, end, invalid("end", errors.New("end timestamp must not be before start time"))
	}
	return start, end, nil
}

// duration returns a duration; given says whether there is one.
func (p params) duration(name string) (d time.Duration, given bool, err error) {
	v := p.values.Get(name)
	if v == "" {
		return 0, false, nil
	}
	if d, err = parseDuration(v); err == nil && d < 0 {
		err = fmt.Errorf("%s is negative", d)
	}
	if err != nil {
		return 0, false, invalid(name, err)
	}
	return d, true, nil
}

// bool returns a truth value, nil if it is not given.
func (p params) bool(name string) (*bool, error) {
	v := p.values.Get(name)
	if v == "" {
		return nil, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return nil, invalid(name, fmt.Errorf("cannot parse %q to a truth value", v))
	}
	return &b, nil
}

// limit returns the limit of results; 0 is none.
func (p params) limit() (int, error) {
	v := p.values.Get("limit")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err == nil && n < 0 {
		err = errors.New("limit must be non-negative")
	}
	if err != nil {
		return 0, invalid("limit", err)
	}
	return n, nil
}

// selectors returns the matchers of each value of a parameter.
func (p params) selectors(name string) ([][]*labels.Matcher, error) {
	var out [][]*labels.Matcher
	for _, s := range p.values[name] {
		ms, err := parse.MetricSelector(s)
		if err != nil {
			return nil, invalid(name, err)
		}
		out = append(out, ms)
	}
	return out, nil
}

// matches returns the matchers of each match[].
func (p params) matches() ([][]*labels.Matcher, error) {
	const name = "match[]"
	out, err := p.selectors(name)
	if err != nil {
		return nil, err
	}
	for _, ms := range out {
		if !selective(ms) {
			return nil, invalid(name, errors.New("match[] must contain at least one non-empty matcher"))
		}
	}
	return out, nil
}

// selective reports whether any of the matchers asks for a label to be there.
func selective(ms []*labels.Matcher) bool {
	for _, m := range ms {
		if !m.Matches("") {
			return true
		}
	}
	return false
}

// replicas sets what is said of deduplication.
func (p params) replicas(o *query.QueryOptions) (err error) {
	if o.Dedup, err = p.bool("dedup"); err != nil {
		return err
	}
	if given, ok := p.values["replicaLabels[]"]; ok {
		o.ReplicaLabels = []string{}
		for _, l := range given {
			if l != "" {
				o.ReplicaLabels = append(o.ReplicaLabels, l)
			}
		}
	}
	return nil
}

// partial sets which stores are to be asked, and what is to become of a partial
// answer.
func (p params) partial(o *query.QueryOptions) (err error) {
	if o.StoreMatch, err = p.selectors("storeMatch[]"); err != nil {
		return err
	}
	if o.Require, err = p.selectors("require[]"); err != nil {
		return err
	}
	b, err := p.bool("partial_response")
	switch {
	case err != nil:
		return err
	case b == nil:
	case *b:
		o.Strategy = new(store.Warn)
	default:
		o.Strategy = new(store.Abort)
	}
	return nil
}

// resolution sets the coarsest downsampled data to use.
func (p params) resolution(o *query.QueryOptions) error {
	const name = "max_source_resolution"
	if p.values.Get(name) == "auto" {
		o.MaxResolution = new(query.AutoResolution)
		return nil
	}
	d, given, err := p.duration(name)
	if given {
		o.MaxResolution = &d
	}
	return err
}

// shard sets the part of all series that is asked for.
func (p params) shard(o *query.QueryOptions) error {
	v := p.values.Get("shard_info")
	if v == "" {
		return nil
	}
	var s struct {
		Index  int64    `json:"shard_index"`
		Total  int64    `json:"total_shards"`
		By     bool     `json:"by"`
		Labels []string `json:"labels"`
	}
	if err := json.Unmarshal([]byte(v), &s); err != nil {
		return invalid("shard_info", err)
	}
	if s.Total >= 1 && (s.Index < 0 || s.Index >= s.Total) {
		return invalid("shard_info", fmt.Errorf("there is no shard %d of %d", s.Index, s.Total))
	}
	o.Shard = &store.Shard{Index: s.Index, Total: s.Total, By: s.By, Labels: s.Labels}
	return nil
}

// parseTime reads Unix seconds with fractions down to a millisecond, or RFC
// 3339.
func parseTime(s string) (time.Time, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if !(f >= minSeconds && f < maxSeconds) {
			return time.Time{}, fmt.Errorf("time %q is out of range", s)
		}
		sec, frac := math.Modf(f)
		return time.Unix(int64(sec), int64(math.Round(frac*1000))*int64(time.Millisecond)).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	// The years of the bounds have more than the four digits that time.Parse
	// takes, but clients send them.
	for _, t := range []time.Time{minTime(), maxTime()} {
		if s == t.Format(time.RFC3339Nano) {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("cannot parse %q to a valid timestamp", s)
}

// parseDuration reads seconds with fractions, or a duration as in PromQL.
func parseDuration(s string) (time.Duration, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		ns := f * float64(time.Second)
		if !(ns >= math.MinInt64 && ns < math.MaxInt64) {
			return 0, fmt.Errorf("cannot parse %q to a valid duration. It overflows int64", s)
		}
		return time.Duration(ns), nil
	}
	if d, err := model.ParseDuration(s); err == nil {
		return time.Duration(d), nil
	}
	return 0, fmt.Errorf("cannot parse %q to a valid duration", s)
}
