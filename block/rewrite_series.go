package block

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/recode"
)

// ctxEvery is after how many series a rewrite looks at its context.
const ctxEvery = 256

// deleted writes what deletions leave: series keep their order, and symbols
// theirs, so both stream.
func (w *rewriter) deleted() error {
	symbols := w.r.Symbols()
	used := make([]bool, symbols.Len())
	it := w.r.Series()
	for i := 0; it.Next(); i++ {
		if i%ctxEvery == 0 && w.ctx.Err() != nil {
			return w.ctx.Err()
		}
		if keep, cut := w.judge(it.Labels(&w.sb)); !keep || allDeleted(it.Chunks(), cut) {
			continue
		}
		for _, l := range it.LabelRefs() {
			used[l.Name], used[l.Value] = true, true
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	places := make([]uint32, len(used)) // in the new table
	n := uint32(0)
	for i, u := range used {
		if !u {
			continue
		}
		if err := w.w.AddSymbolBytes(symbols.Bytes(uint32(i))); err != nil {
			return err
		}
		places[i] = n
		n++
	}
	it = w.r.Series()
	for i := 0; it.Next(); i++ {
		if i%ctxEvery == 0 && w.ctx.Err() != nil {
			return w.ctx.Err()
		}
		if err := w.deletedSeries(it, places); err != nil {
			return err
		}
	}
	return it.Err()
}

func (w *rewriter) deletedSeries(it *SeriesIter, places []uint32) error {
	lset := it.Labels(&w.sb)
	keep, cut := w.judge(lset)
	if !keep || allDeleted(it.Chunks(), cut) {
		w.changed(lset, labels.EmptyLabels(), wholly(keep, cut))
		return nil
	}
	hit, err := w.read(it.Chunks(), cut)
	if err != nil {
		return fmt.Errorf("series %s: %w", lset, err)
	}
	if len(w.chunks) == 0 {
		w.changed(lset, labels.EmptyLabels(), cut)
		return nil
	}
	if hit {
		w.changed(lset, lset, cut)
	}
	w.refs = w.refs[:0]
	for _, l := range it.LabelRefs() {
		w.refs = append(w.refs, LabelRef{Name: places[l.Name], Value: places[l.Value]})
	}
	slices.SortFunc(w.refs, func(a, b LabelRef) int { return cmp.Compare(a.Name, b.Name) })
	return w.w.AddRefs(w.refs, w.chunks)
}

// wholly is what was deleted of a series that is gone: nothing in particular if
// it was dropped as a whole.
func wholly(keep bool, cut []Interval) []Interval {
	if keep {
		return cut
	}
	return nil
}

// allDeleted reports whether no chunk has a sample outside of the intervals.
func allDeleted(chunks []ChunkMeta, cut []Interval) bool {
	return len(cut) > 0 && !slices.ContainsFunc(chunks, func(c ChunkMeta) bool { return !coveredBy(c, cut) })
}

// coveredBy reports whether one of the joined intervals holds all of a chunk.
func coveredBy(c ChunkMeta, cut []Interval) bool {
	return slices.ContainsFunc(cut, func(i Interval) bool { return i.Mint <= c.MinTime && c.MaxTime <= i.Maxt })
}

func touched(c ChunkMeta, cut []Interval) bool {
	return slices.ContainsFunc(cut, func(i Interval) bool { return i.Mint <= c.MaxTime && c.MinTime <= i.Maxt })
}

func inside(t int64, cut []Interval) bool {
	return slices.ContainsFunc(cut, func(i Interval) bool { return i.Mint <= t && t <= i.Maxt })
}

// read reads what is left of the chunks of a series, and reports whether that is
// not all of them.
func (w *rewriter) read(metas []ChunkMeta, cut []Interval) (hit bool, err error) {
	w.chunks = w.chunks[:0]
	for _, m := range metas {
		if coveredBy(m, cut) {
			hit = true
			continue
		}
		c, err := w.r.Chunk(m)
		if err != nil {
			return hit, err
		}
		if !touched(m, cut) {
			w.chunks = append(w.chunks, c)
			continue
		}
		left, err := w.without(c, cut)
		if err != nil {
			return hit, err
		}
		hit = true
		w.chunks = append(w.chunks, left...)
	}
	return hit, nil
}

// without encodes the samples of a chunk anew but those in intervals.
func (w *rewriter) without(c Chunk, cut []Interval) ([]Chunk, error) {
	if c.Encoding == EncodingAggregates {
		return nil, &UnsupportedError{
			Block: w.r.Meta().ULID, File: ChunksDir,
			What: fmt.Sprintf("deletion of a part of the aggregate chunk of [%d, %d]", c.MinTime, c.MaxTime),
		}
	}
	chunks, err := c.Plain()
	if err != nil {
		return nil, &CorruptError{Block: w.r.Meta().ULID, File: ChunksDir, Err: err}
	}
	e := ChunkEncoder{PerChunk: math.MaxUint16} // no more than there were
	err = recode.Safely(func() error {
		it := chunks[0].Iterator(nil)
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			if inside(it.AtT(), cut) {
				continue
			}
			if err := e.Sample(vt, it); err != nil {
				return err
			}
		}
		return it.Err()
	})
	if err != nil {
		return nil, &CorruptError{Block: w.r.Meta().ULID, File: ChunksDir, Err: fmt.Errorf("chunk of [%d, %d]: %w", c.MinTime, c.MaxTime, err)}
	}
	return e.Chunks(), nil
}

// planned is a series by what it will be called.
type planned struct {
	offset uint64
	labels []LabelRef // of the new table; until that is known, of strings as found
}

// relabelled writes what relabelling leaves, in its new order.
func (w *rewriter) relabelled() error {
	plan, err := w.plan()
	if err != nil {
		return err
	}
	it := w.r.Series()
	for i := 0; i < len(plan); {
		if w.ctx.Err() != nil {
			return w.ctx.Err()
		}
		n := 1
		for i+n < len(plan) && compareRefs(plan[i].labels, plan[i+n].labels) == 0 {
			n++
		}
		if err := w.merged(it, plan[i:i+n]); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// plan finds out what stays and what it will be called, and writes the symbols.
func (w *rewriter) plan() ([]planned, error) {
	var plan []planned
	var found []string
	numbers := map[string]uint32{}
	number := func(s string) uint32 {
		n, ok := numbers[s]
		if !ok {
			n = uint32(len(found))
			numbers[s] = n
			found = append(found, s)
		}
		return n
	}
	lb := labels.NewBuilder(labels.EmptyLabels())
	it := w.r.Series()
	for i := 0; it.Next(); i++ {
		if i%ctxEvery == 0 && w.ctx.Err() != nil {
			return nil, w.ctx.Err()
		}
		before := it.Labels(&w.sb)
		keep, cut := w.judge(before)
		after := labels.EmptyLabels()
		if keep && !allDeleted(it.Chunks(), cut) {
			lb.Reset(before)
			if keep = relabel.ProcessBuilder(lb, w.relabel...); keep {
				after = lb.Labels()
			}
		}
		if !keep || after.IsEmpty() {
			w.changed(before, labels.EmptyLabels(), wholly(keep, cut))
			continue
		}
		if !labels.Equal(before, after) || slices.ContainsFunc(it.Chunks(), func(c ChunkMeta) bool { return touched(c, cut) }) {
			w.changed(before, after, cut)
		}
		p := planned{offset: it.Offset(), labels: make([]LabelRef, 0, after.Len())}
		after.Range(func(l labels.Label) {
			p.labels = append(p.labels, LabelRef{Name: number(l.Name), Value: number(l.Value)})
		})
		plan = append(plan, p)
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	return plan, w.sortPlan(plan, found)
}

// sortPlan writes the symbols and sorts the series by them.
func (w *rewriter) sortPlan(plan []planned, found []string) error {
	order := make([]uint32, len(found))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return cmp.Compare(found[a], found[b]) })
	places := make([]uint32, len(found))
	for place, i := range order {
		if err := w.w.AddSymbol(found[i]); err != nil {
			return err
		}
		places[i] = uint32(place)
	}
	for _, p := range plan {
		for i, l := range p.labels {
			p.labels[i] = LabelRef{Name: places[l.Name], Value: places[l.Value]}
		}
	}
	slices.SortStableFunc(plan, func(a, b planned) int { return compareRefs(a.labels, b.labels) })
	return nil
}

// merged writes one series from all that are called the same.
func (w *rewriter) merged(it *SeriesIter, from []planned) error {
	var chunks []Chunk
	for _, p := range from {
		if it.next = p.offset; !it.Next() {
			return cmp.Or(it.Err(), w.r.index.corrupt(p.offset, errShort))
		}
		_, cut := w.judge(it.Labels(&w.sb))
		if _, err := w.read(it.Chunks(), cut); err != nil {
			return fmt.Errorf("series %s: %w", it.Labels(&w.sb), err)
		}
		chunks = append(chunks, w.chunks...)
	}
	if len(from) > 1 {
		slices.SortStableFunc(chunks, func(a, b Chunk) int {
			return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), cmp.Compare(a.MaxTime, b.MaxTime))
		})
		chunks = slices.CompactFunc(chunks, sameChunk)
	}
	if len(chunks) == 0 {
		return nil
	}
	return w.w.AddRefs(from[0].labels, chunks)
}

func sameChunk(a, b Chunk) bool {
	return a.MinTime == b.MinTime && a.MaxTime == b.MaxTime && a.Encoding == b.Encoding && string(a.Data) == string(b.Data)
}
