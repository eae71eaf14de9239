package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/thanoskit/thanoskit/block"
)

// From which range on Thanos downsamples, by resolution.
const (
	downsampleFirst = 40 * time.Hour      // Raw to 5m.
	downsampleAgain = 10 * 24 * time.Hour // 5m to 1h.
)

// column is one of inspect's.
type column struct {
	name string
	text func(*block.View, *block.Meta) string
	less func(a, b *block.Meta) int // nil = by text.
}

// columns are Thanos', and MARKS.
func columns() []column {
	number := func(name string, of func(*block.Meta) uint64) column {
		return column{
			name,
			func(_ *block.View, m *block.Meta) string { return grouped(of(m)) },
			func(a, b *block.Meta) int { return cmp.Compare(of(a), of(b)) },
		}
	}
	at := func(name string, of func(*block.Meta) int64) column {
		return column{
			name,
			func(_ *block.View, m *block.Meta) string { return time.UnixMilli(of(m)).UTC().Format(time.RFC3339) },
			func(a, b *block.Meta) int { return cmp.Compare(of(a), of(b)) },
		}
	}
	span := func(m *block.Meta) time.Duration { return time.Duration(m.MaxTime-m.MinTime) * time.Millisecond }
	text := func(name string, of func(*block.Meta) string) column {
		return column{name, func(_ *block.View, m *block.Meta) string { return of(m) }, nil}
	}
	return []column{
		text("ULID", func(m *block.Meta) string { return m.ULID.String() }),
		at("FROM", func(m *block.Meta) int64 { return m.MinTime }),
		at("UNTIL", func(m *block.Meta) int64 { return m.MaxTime }),
		{"RANGE", func(_ *block.View, m *block.Meta) string { return span(m).String() }, func(a, b *block.Meta) int { return cmp.Compare(span(a), span(b)) }},
		text("UNTIL-DOWN", func(m *block.Meta) string { return untilDownsampled(m.Resolution(), span(m)) }),
		number("#SERIES", func(m *block.Meta) uint64 { return m.Stats.NumSeries }),
		number("#SAMPLES", func(m *block.Meta) uint64 { return m.Stats.NumSamples }),
		number("#CHUNKS", func(m *block.Meta) uint64 { return m.Stats.NumChunks }),
		number("COMP-LEVEL", func(m *block.Meta) uint64 { return uint64(max(m.Compaction.Level, 0)) }),
		text("COMP-FAILED", func(m *block.Meta) string { return strconv.FormatBool(m.Compaction.Failed) }),
		text("LABELS", labelText),
		{
			"RESOLUTION",
			func(_ *block.View, m *block.Meta) string {
				return (time.Duration(m.Resolution()) * time.Millisecond).String()
			},
			func(a, b *block.Meta) int { return cmp.Compare(a.Resolution(), b.Resolution()) },
		},
		text("SOURCE", func(m *block.Meta) string { return string(m.Thanos.Source) }),
		{"MARKS", markText, nil},
	}
}

// inspect prints a table of blocks.
func inspect(flags *flag.FlagSet) func(context.Context, *tool) error {
	sel := newSelector(flags)
	var order []column
	flags.Func("sort-by", "column to sort by, then by the next (repeatable; default FROM and UNTIL)", func(v string) error {
		for _, c := range columns() {
			if c.name == v {
				order = append(order, c)
				return nil
			}
		}
		return fmt.Errorf("no column is called %s", v)
	})
	output := flags.String("output", "table", "how to print the table: table, csv or tsv")
	return func(ctx context.Context, t *tool) error {
		show, ok := tablePrinters()[*output]
		if !ok {
			return &usageError{"--output: not one of table, csv, tsv"}
		}
		v, err := t.view(ctx, false)
		if err != nil {
			return err
		}
		metas, notFound := selected(v, sel)
		slices.SortStableFunc(metas, func(a, b *block.Meta) int {
			for _, c := range order {
				by := cmp.Compare(c.text(v, a), c.text(v, b))
				if c.less != nil {
					by = c.less(a, b)
				}
				if by != 0 {
					return by
				}
			}
			return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.MaxTime, b.MaxTime))
		})
		if err := show(t.out, inspectTable(v, metas)); err != nil {
			return err
		}
		return notFound
	}
}

func inspectTable(v *block.View, metas []*block.Meta) [][]string {
	cols := columns()
	table := make([][]string, 1, len(metas)+1)
	for _, c := range cols {
		table[0] = append(table[0], c.name)
	}
	for _, m := range metas {
		var row []string
		for _, c := range cols {
			row = append(row, c.text(v, m))
		}
		table = append(table, row)
	}
	return table
}

// untilDownsampled says by how much a block is too short to be downsampled.
func untilDownsampled(r block.Resolution, span time.Duration) string {
	switch r {
	case block.Raw:
		return (downsampleFirst - span).String()
	case block.FiveMinutes:
		return (downsampleAgain - span).String()
	case block.OneHour:
	}
	return "-"
}

func labelText(m *block.Meta) string {
	var out []string
	for name, value := range m.Thanos.Labels {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

func markText(v *block.View, m *block.Meta) string {
	var out []string
	for _, kind := range []block.MarkKind{block.DeletionMark, block.NoCompactMark, block.NoDownsampleMark} {
		if v.Marked(m.ULID, kind) {
			out = append(out, kind.String())
		}
	}
	return strings.Join(out, ",")
}

// grouped writes a number with a comma before every three digits.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
