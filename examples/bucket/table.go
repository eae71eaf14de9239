package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// tablePrinters are the ways in which a table can be printed whose first row is its
// header.
func tablePrinters() map[string]func(io.Writer, [][]string) error {
	separated := func(comma rune) func(io.Writer, [][]string) error {
		return func(w io.Writer, table [][]string) error {
			c := csv.NewWriter(w)
			c.Comma = comma
			return c.WriteAll(table)
		}
	}
	return map[string]func(io.Writer, [][]string) error{
		"table": printTable,
		"csv":   separated(','),
		"tsv":   separated('\t'),
	}
}

func printTable(w io.Writer, table [][]string) error {
	widths := make([]int, len(table[0]))
	for _, row := range table {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range table {
		for i, cell := range row {
			if _, err := fmt.Fprintf(w, "| %-*s ", widths[i], cell); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w, "|"); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		for _, width := range widths {
			if _, err := fmt.Fprint(w, "|", strings.Repeat("-", width+2)); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(w, "|"); err != nil {
			return err
		}
	}
	return nil
}
