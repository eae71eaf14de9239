package promapi

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/store"
)

// LabelSets collects label sets in canonical form.
type LabelSets struct {
	arena []byte
	ends  []int
}

// DecodeJSON adds an array of objects, or none of null.
func (l *LabelSets) DecodeJSON(dec *json.Decoder) error {
	if tok, err := dec.Token(); err != nil || tok == nil {
		return err
	} else if tok != json.Delim('[') {
		return fmt.Errorf("%v instead of an array", tok)
	}
	lset := map[string]string{}
	var pairs []encoded.Pair[string]
	for dec.More() {
		clear(lset)
		if err := dec.Decode(&lset); err != nil {
			return err
		}
		pairs = pairs[:0]
		for n, v := range lset {
			pairs = append(pairs, encoded.Pair[string]{Name: n, Value: v})
		}
		arena, err := encoded.AppendUnsorted(l.arena, pairs)
		if err != nil {
			return fmt.Errorf("%w: %w", store.ErrMalformed, err)
		}
		l.arena, l.ends = arena, append(l.ends, len(arena))
	}
	return Expect(dec, ']')
}

// Sorted returns the label sets in order, without duplicates.
func (l *LabelSets) Sorted() [][]byte {
	sets := make([][]byte, len(l.ends))
	from := 0
	for i, end := range l.ends {
		sets[i] = l.arena[from:end:end]
		from = end
	}
	slices.SortFunc(sets, encoded.CompareLabels)
	return slices.CompactFunc(sets, func(a, b []byte) bool { return string(a) == string(b) })
}

// maxFrameSeries is how many label sets a frame has at most.
const maxFrameSeries = 256

// Frames ranges over the label sets as series without chunks, in order, at most
// limit of them if that is not 0. Frames are borrowed for the loop's body.
func (l *LabelSets) Frames(limit int) iter.Seq[*encoded.Frame] {
	return func(yield func(*encoded.Frame) bool) {
		sets := l.Sorted()
		if limit > 0 && len(sets) > limit {
			sets = sets[:limit]
		}
		for run := range slices.Chunk(sets, maxFrameSeries) {
			f := encoded.NewFrame(nil)
			f.Series = make([]encoded.Series, len(run))
			for i, lset := range run {
				f.Series[i].Labels = lset
				f.Size += f.Series[i].Size()
			}
			more := yield(f)
			f.Release()
			if !more {
				return
			}
		}
	}
}
