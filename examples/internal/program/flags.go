package program

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/units"
	"github.com/prometheus/common/model"
)

// ParseFlags reads a command line, and returns what in it is no flag. Flags may stand
// behind that, too. Asked for help, it prints the usage, which says how the program is
// called, and the flags to out.
//
// Errors: flag.ErrHelp; else one line that names the flag.
func ParseFlags(flags *flag.FlagSet, args []string, out io.Writer, usage string) (operands []string, err error) {
	flags.SetOutput(io.Discard) // what is wrong is returned
	for {
		err := flags.Parse(args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			flags.SetOutput(out)
			if _, err := fmt.Fprintf(out, "Usage: %s\n\n", usage); err != nil {
				return nil, err
			}
			flags.PrintDefaults()
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("%w; see --help", err)
		case flags.NArg() == 0:
			return operands, nil
		}
		operands = append(operands, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// NoOperands returns an error if there are any. What is passed over in silence may
// be the value of a flag that takes none.
func NoOperands(operands []string) error {
	if len(operands) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q, since it is no flag; see --help", operands[0])
}

// Strings declares a flag that may be given many times, or with many values
// between commas.
func (p *Program) Strings(name, usage string) *[]string { return stringList(p.Flags, name, usage) }

func stringList(flags *flag.FlagSet, name, usage string) *[]string {
	var out []string
	flags.Func(name, usage+" (repeatable, or several between commas)", func(s string) error {
		out = append(out, strings.Split(s, ",")...)
		return nil
	})
	return &out
}

// Duration declares a flag that takes a duration as Go writes it, or as
// Prometheus does (2d).
func (p *Program) Duration(to *time.Duration, name string, value time.Duration, usage string) {
	Duration(p.Flags, to, name, value, usage)
}

// Duration is the Duration of a Program.
func Duration(flags *flag.FlagSet, to *time.Duration, name string, value time.Duration, usage string) {
	*to = value
	flags.Func(name, fmt.Sprintf("%s (default %s)", usage, model.Duration(value)), func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			var days model.Duration
			days, err = model.ParseDuration(s)
			d = time.Duration(days)
		}
		if err != nil || d < 0 {
			return errors.New("not a duration, such as 90s or 2d")
		}
		*to = d
		return nil
	})
}

// Count declares a flag that takes a number which is not less than least.
func Count[T int | int64](flags *flag.FlagSet, to *T, name string, value, least T, usage string) {
	*to = value
	flags.Func(name, fmt.Sprintf("%s (default %d)", usage, value), func(s string) error {
		n, err := strconv.ParseInt(s, 10, strconv.IntSize)
		switch {
		case err != nil:
			return errors.New("not a number")
		case T(n) < least:
			return fmt.Errorf("less than %d", least)
		}
		*to = T(n)
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
			return errors.New("not a number of bytes, such as 250MB")
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
	shown := make([]string, 0, len(values))
	for _, v := range values {
		if v == "" {
			v = `""`
		}
		shown = append(shown, v)
	}
	last := len(shown) - 1
	flags.Func(name, fmt.Sprintf("%s: %s or %s (default %s)", usage, strings.Join(shown[:last], ", "), shown[last], shown[0]), func(s string) error {
		if !slices.Contains(values, s) {
			return fmt.Errorf("not one of %s", strings.Join(shown, ", "))
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
// duration (-6h, -2w) that says how long ago.
func (p *Program) TimeOrAge(name, usage string) *TimeOrAge {
	var out TimeOrAge
	p.Flags.Func(name, usage+": RFC 3339 time, or a negative duration, such as -2w (default none)", func(s string) error {
		if t, err := time.Parse(time.RFC3339, s); err == nil {
			out = TimeOrAge{Time: t}
			return nil
		}
		d, err := time.ParseDuration(s)
		if digits, past := strings.CutPrefix(s, "-"); err != nil && past {
			var days model.Duration
			days, err = model.ParseDuration(digits)
			d = -time.Duration(days)
		}
		if err != nil || d > 0 {
			return errors.New("neither a time in RFC 3339 nor a negative duration, such as -6h or -2w")
		}
		out = TimeOrAge{Age: -d}
		return nil
	})
	return &out
}
