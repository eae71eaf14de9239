package objstore

import (
	"flag"

	"github.com/thanoskit/thanoskit/block"
)

// TimeBound declares a flag that bounds the time of blocks.
func TimeBound(flags *flag.FlagSet, bound *block.TimeBound, name, usage string) {
	flags.Func(name, usage+": RFC 3339 time, or a duration from now, as -2w", func(s string) error {
		var err error
		*bound, err = block.ParseTimeBound(s)
		return err
	})
}
