package block

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// check tells whether a series may come next.
func (w *Writer) check(lset []LabelRef, chunks []Chunk) error {
	if kind, ok := labelOrder(w.index.symbols, lset); !ok {
		return w.seriesError(lset, kind, "")
	}
	if w.stats.NumSeries > 0 {
		switch c := compareRefs(w.last, lset); {
		case c == 0:
			return w.seriesError(lset, DuplicateSeries, "")
		case c > 0:
			return w.seriesError(lset, UnsortedSeries, fmt.Sprintf("it follows %s", w.labels(w.last)))
		}
	}
	if len(chunks) == 0 {
		return w.seriesError(lset, NoChunks, "")
	}
	var (
		prev *ChunkMeta
		two  [2]ChunkMeta // the current one and the one before, in turn
	)
	for i := range chunks {
		two[i%2] = ChunkMeta{MinTime: chunks[i].MinTime, MaxTime: chunks[i].MaxTime}
		c := two[i%2]
		if kind, ok := chunkOrder(prev, c); !ok {
			return w.seriesError(lset, kind, describeChunk(prev, c))
		}
		if w.meta.MinTime != 0 || w.meta.MaxTime != 0 {
			if kind, ok := chunkRange(c, w.meta.MinTime, w.meta.MaxTime); !ok {
				return w.seriesError(lset, kind, fmt.Sprintf("[%d, %d] in a block of [%d, %d)", c.MinTime, c.MaxTime, w.meta.MinTime, w.meta.MaxTime))
			}
		}
		prev = &two[i%2]
	}
	return nil
}

// count counts a series, and checks what its chunks say.
func (w *Writer) count(lset []LabelRef, chunks []Chunk) error {
	w.stats.NumSeries++
	for i := range chunks {
		c := &chunks[i]
		if c.Record != nil {
			if err := checkRecord(c); err != nil {
				return fmt.Errorf("series %s: %w", w.labels(lset), err)
			}
		}
		n, err := c.NumSamples()
		switch {
		case err != nil && !w.opts.Unchecked:
			return fmt.Errorf("series %s: chunk of [%d, %d]: %w", w.labels(lset), c.MinTime, c.MaxTime, err)
		case n == 0 && !w.opts.Unchecked:
			return w.seriesError(lset, EmptyChunk, fmt.Sprintf("[%d, %d]", c.MinTime, c.MaxTime))
		}
		w.stats.addChunk(c.Encoding, n)
	}
	return nil
}

func describeChunk(prev *ChunkMeta, c ChunkMeta) string {
	if prev == nil {
		return fmt.Sprintf("[%d, %d]", c.MinTime, c.MaxTime)
	}
	return fmt.Sprintf("[%d, %d] follows [%d, %d]", c.MinTime, c.MaxTime, prev.MinTime, prev.MaxTime)
}

func (w *Writer) seriesError(lset []LabelRef, kind ProblemKind, detail string) error {
	return &SeriesError{Labels: w.labels(lset), Kind: kind, Detail: detail}
}

// labels makes labels of references, for a message.
func (w *Writer) labels(lset []LabelRef) labels.Labels { return refLabels(w.index.symbols, lset) }

func refLabels(symbols *Symbols, lset []LabelRef) labels.Labels {
	b := labels.NewScratchBuilder(len(lset))
	for _, l := range lset {
		b.Add(string(symbols.Bytes(l.Name)), string(symbols.Bytes(l.Value)))
	}
	b.Sort()
	return b.Labels()
}

// labelOrder judges the labels of one series.
func labelOrder(symbols *Symbols, lset []LabelRef) (ProblemKind, bool) {
	if len(lset) == 0 {
		return InvalidLabels, false
	}
	for i, l := range lset {
		switch {
		case len(symbols.Bytes(l.Name)) == 0 || len(symbols.Bytes(l.Value)) == 0:
			return InvalidLabels, false
		case i == 0 || lset[i-1].Name < l.Name:
		case lset[i-1].Name == l.Name:
			return InvalidLabels, false
		default:
			return UnsortedLabels, false
		}
	}
	return "", true
}

// compareRefs orders series as labels.Compare does: places in a table that
// ascends are ordered as what is there.
func compareRefs(a, b []LabelRef) int {
	return slices.CompareFunc(a, b, func(a, b LabelRef) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	})
}
