package program

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/common/model"
)

// Strings declares a flag that may be given many times, or with many values
// between commas.
func (p *Program) Strings(name, usage string) *[]string { return stringList(p.Flags, name, usage) }

func stringList(flags *flag.FlagSet, name, usage string) *[]string {
	var out []string
	flags.Func(name, usage+" (repeatable)", func(s string) error {
		out = append(out, strings.Split(s, ",")...)
		return nil
	})
	return &out
}

// Duration declares a flag that takes a duration as Go writes it, or as
// Prometheus does (2d).
func (p *Program) Duration(to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	p.Flags.Func(name, fmt.Sprintf("%s (default %s)", usage, value), func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			var days model.Duration
			days, err = model.ParseDuration(s)
			d = time.Duration(days)
		}
		if err != nil || d < 0 {
			return errors.New("not a duration")
		}
		*to = d
		return nil
	})
}

// Bytes declares a flag that takes a number of bytes, with a unit (250MB); KB is
// 1024, as for Thanos.
func (p *Program) Bytes(name string, value int64, usage string) *int64 {
	out := value
	p.Flags.Func(name, fmt.Sprintf("%s (default %s)", usage, units.Base2Bytes(value)), func(s string) error {
		b, err := units.ParseBase2Bytes(s)
		if n, plain := strconv.ParseInt(s, 10, 64); plain == nil {
			b, err = units.Base2Bytes(n), nil
		}
		if err != nil || b < 0 {
			return errors.New("not a number of bytes")
		}
		out = int64(b)
		return nil
	})
	return &out
}

// Enum declares a flag that takes one of the values; the first is the default.
func (p *Program) Enum(name, usage string, values ...string) *string {
	return enum(p.Flags, name, usage, values...)
}

func enum(flags *flag.FlagSet, name, usage string, values ...string) *string {
	out := values[0]
	flags.Func(name, fmt.Sprintf("%s: %s (default %s)", usage, strings.Join(values, " or "), values[0]), func(s string) error {
		if !slices.Contains(values, s) {
			return fmt.Errorf("not one of %s", strings.Join(values, ", "))
		}
		out = s
		return nil
	})
	return &out
}

// TimeOrAge is a point in time: fixed, or a constant age.
type TimeOrAge struct {
	Time time.Time     // zero if it is an age
	Age  time.Duration // 0 if it is a time
}

// TimeOrAge declares a flag that takes a time in RFC 3339, or a negative
// duration (-6h) that says how long ago.
func (p *Program) TimeOrAge(name, usage string) *TimeOrAge {
	var out TimeOrAge
	p.Flags.Func(name, usage+": RFC 3339 time, or a negative duration", func(s string) error {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			out = TimeOrAge{Time: t}
			return nil
		}
		d, err := time.ParseDuration(s)
		switch {
		case err != nil:
			return errors.New("neither a time in RFC 3339 nor a duration")
		case d > 0:
			return errors.New("duration lies in the future")
		}
		out = TimeOrAge{Age: -d}
		return nil
	})
	return &out
}
