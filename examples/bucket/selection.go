package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/examples/internal/objstore"
	"github.com/thanoskit/thanoskit/internal/promcompat/parse"
)

// newSelector declares the flags that say which blocks are meant. What it returns
// is filled in when they are read.
func newSelector(flags *flag.FlagSet) *block.Selector {
	s := &block.Selector{}
	declareIDs(flags, &s.IDs, "only the block of this ULID")
	matcher := func(v string) error {
		ms, err := parse.MetricSelector("{" + v + "}")
		s.Matchers = append(s.Matchers, ms...)
		return err
	}
	flags.Func("selector", `only blocks with this external label: NAME="VALUE", or with another operator of PromQL (repeatable)`, matcher)
	flags.Func("l", "short for --selector", matcher)
	flags.Func("matcher", "another name of --selector", matcher)
	flags.Func("resolution", "only blocks of this resolution: 0s, 5m or 1h (repeatable)", func(v string) error {
		r, ok := map[string]block.Resolution{"0s": block.Raw, "raw": block.Raw, "5m": block.FiveMinutes, "1h": block.OneHour}[v]
		if !ok {
			return errors.New("not one of 0s, 5m, 1h")
		}
		s.Resolutions = append(s.Resolutions, r)
		return nil
	})
	flags.Func("compaction", "only blocks of this compaction level (repeatable)", func(v string) error {
		level, err := strconv.Atoi(v)
		if err != nil {
			return errors.New("not a number")
		}
		s.Levels = append(s.Levels, level)
		return nil
	})
	objstore.TimeBound(flags, &s.MinTime, "min-time", "only blocks that have something at or after")
	objstore.TimeBound(flags, &s.MaxTime, "max-time", "only blocks that have something at or before")
	return s
}

func declareIDs(flags *flag.FlagSet, ids *[]ulid.ULID, usage string) {
	flags.Func("id", usage+" (repeatable)", func(v string) error {
		id, err := ulid.ParseStrict(v)
		if err != nil {
			return errors.New("not a ULID")
		}
		*ids = append(*ids, id)
		return nil
	})
}

// selected returns the blocks of a view that are meant, by MinTime and then ULID.
// Blocks that are named and not there are an error besides.
func selected(v *block.View, sel *block.Selector) ([]*block.Meta, error) {
	var errs []error
	for _, id := range sel.IDs {
		if _, ok := v.Metas[id]; !ok {
			errs = append(errs, fmt.Errorf("find block %s: %w", id, cmp.Or(v.Partial[id], block.ErrNotFound)))
		}
	}
	var out []*block.Meta
	for _, m := range v.Metas {
		if sel.Matches(m) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *block.Meta) int {
		return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), a.ULID.Compare(b.ULID))
	})
	return out, errors.Join(errs...)
}
