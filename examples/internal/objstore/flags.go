package objstore

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/thanoskit/thanoskit/block"
)

// TimeBound declares a flag that bounds the time of blocks.
func TimeBound(flags *flag.FlagSet, bound *block.TimeBound, name, usage string) {
	flags.Func(name, usage+": RFC 3339 time, or a duration from now, such as -2w (default none)", func(s string) error {
		b, err := block.ParseTimeBound(s)
		if err != nil {
			return errors.New("neither a time in RFC 3339 nor a duration, such as -2w")
		}
		*bound = b
		return nil
	})
}

// CheckTimes returns an error if nothing lies between --min-time and --max-time.
func CheckTimes(least, most block.TimeBound) error {
	now := time.Now()
	from, bounded := least.UnixMilli(now)
	to, alsoBounded := most.UnixMilli(now)
	if bounded && alsoBounded && from > to {
		return fmt.Errorf("--min-time=%s is after --max-time=%s", least, most)
	}
	return nil
}
