package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"text/template"
	"time"

	"github.com/thanoskit/thanoskit/block"
)

// ls prints one block after the other.
func ls(flags *flag.FlagSet) func(context.Context, *tool) error {
	sel := newSelector(flags)
	output := flags.String("output", "", "how to print them: wide, json, table, or a Go template of meta.json's fields (default ULIDs alone)")
	flags.StringVar(output, "o", "", "short for --output")
	unmarked := flags.Bool("exclude-delete", false, "leave out blocks that are marked for deletion")
	return func(ctx context.Context, t *tool) error {
		show, err := blockPrinter(t.out, *output)
		if err != nil {
			return err
		}
		v, err := t.view(ctx, false)
		if err != nil {
			return err
		}
		metas, notFound := selected(v, sel)
		if *unmarked {
			metas = without(metas, func(m *block.Meta) bool { return v.Marked(m.ULID, block.DeletionMark) })
		}
		if *output == "table" {
			if err := printTable(t.out, inspectTable(v, metas)); err != nil {
				return err
			}
			return notFound
		}
		for _, m := range metas {
			if err := show(m); err != nil {
				return err
			}
		}
		return notFound
	}
}

func blockPrinter(w io.Writer, output string) (func(*block.Meta) error, error) {
	switch output {
	case "", "table":
		return func(m *block.Meta) error {
			_, err := fmt.Fprintln(w, m.ULID)
			return err
		}, nil
	case "wide":
		return func(m *block.Meta) error {
			from, until := time.UnixMilli(m.MinTime).UTC(), time.UnixMilli(m.MaxTime).UTC()
			_, err := fmt.Fprintf(w, "%s -- %s - %s Diff: %s, Compaction: %d, Downsample: %d, Source: %s\n",
				m.ULID, from.Format(time.RFC3339), until.Format(time.RFC3339), until.Sub(from),
				m.Compaction.Level, m.Resolution(), m.Thanos.Source)
			return err
		}, nil
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "\t")
		return func(m *block.Meta) error { return enc.Encode(m) }, nil
	}
	tmpl, err := template.New("output").Parse(output)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("--output: %v", err)}
	}
	return func(m *block.Meta) error {
		if err := tmpl.Execute(w, m); err != nil {
			return err
		}
		_, err := fmt.Fprintln(w)
		return err
	}, nil
}

func without(metas []*block.Meta, drop func(*block.Meta) bool) []*block.Meta {
	var out []*block.Meta
	for _, m := range metas {
		if !drop(m) {
			out = append(out, m)
		}
	}
	return out
}
