package block

import (
	"errors"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// WriteBlock writes a block of series that are in memory, and returns its
// meta.json. It is NewWriter, AddSymbol, Add and Commit in one.
//
// Input: dir, meta and opts as for NewWriter, series as for Add; they are sorted
// in place unless opts say Unchecked.
// Errors: those of the Writer, SeriesError among them; there is no block then.
func WriteBlock(dir string, meta *Meta, series []Series, opts *WriterOptions) (_ *Meta, err error) {
	w, err := NewWriter(dir, meta, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if !w.opts.Unchecked {
		slices.SortStableFunc(series, func(a, b Series) int { return labels.Compare(a.Labels, b.Labels) })
	}
	for _, s := range symbolsOf(series) {
		if err := w.AddSymbol(s); err != nil {
			return nil, err
		}
	}
	for _, s := range series {
		if err := w.Add(s.Labels, s.Chunks); err != nil {
			return nil, err
		}
	}
	return w.Commit()
}

// symbolsOf returns all names and values, ascending, each once.
func symbolsOf(series []Series) []string {
	seen := map[string]struct{}{}
	var symbols []string
	add := func(s string) {
		if _, ok := seen[s]; !ok {
			seen[s] = struct{}{}
			symbols = append(symbols, s)
		}
	}
	for _, s := range series {
		s.Labels.Range(func(l labels.Label) {
			add(l.Name)
			add(l.Value)
		})
	}
	slices.Sort(symbols)
	return symbols
}
