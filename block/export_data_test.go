package block

// WithSteps has a writer ask before each operation that changes the disk.
func (o WriterOptions) WithSteps(step func(op, file string) error) *WriterOptions {
	o.step = step
	return &o
}

// WithPostingsBatch has a writer sort so many postings at once.
func (o WriterOptions) WithPostingsBatch(n int) *WriterOptions {
	o.postingsBatch = n
	return &o
}

// Layout is where the sections of an index begin.
type Layout struct{ Symbols, Series, LabelIndices, Postings, PostingsTable uint64 }

// Layout returns where the sections of the index begin.
func (r *Reader) Layout() Layout {
	t := r.index.toc
	return Layout{t.Symbols, t.Series, t.LabelIndices, t.Postings, t.PostingsTable}
}
