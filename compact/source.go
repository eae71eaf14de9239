package compact

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/dedup"
)

// SourceError is a block that a job cannot read, or that is not what a block must
// be. The job's other blocks are not to blame.
type SourceError struct {
	Block ulid.ULID
	// Err says what is wrong: a block.CorruptError, UnsupportedError or SeriesError
	// among others.
	Err error
}

// Error returns "source ULID: cause".
func (e *SourceError) Error() string { return fmt.Sprintf("source %s: %v", e.Block, e.Err) }

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// source is a block that is merged. It stands before the first series, on one, or
// after the last.
type source struct {
	meta    *block.Meta // as it is in the bucket, replica labels among its labels
	replica int         // place among those that are told apart; the same for the same replica
	r       *block.Reader
	it      *block.SeriesIter
	place   places
	nothing bool // the output's first symbol is empty, and no label may be that

	labels []block.LabelRef // of the current series, by the output's symbols
	before []block.LabelRef // of the one before
	begun  bool
	ended  bool
}

// openSource opens a block.
//
// Errors: SourceError for what is wrong with it, and those of the file system.
func openSource(dir string, id ulid.ULID) (*source, error) {
	r, err := block.Open(dir)
	if err != nil {
		return nil, sourceError(id, err)
	}
	if got := r.Meta().ULID; got != id {
		err := &block.MetaError{Block: id, File: block.MetaFile, Field: "ulid", Err: fmt.Errorf("it is %s", got)}
		return nil, errors.Join(&SourceError{Block: id, Err: err}, r.Close())
	}
	return &source{meta: r.Meta(), r: r}, nil
}

// sourceError blames a block for an error of reading it that it is to blame for.
func sourceError(id ulid.ULID, err error) error {
	if errors.Is(err, block.ErrCorrupt) || errors.Is(err, block.ErrUnsupported) ||
		errors.Is(err, block.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return &SourceError{Block: id, Err: err}
	}
	if _, ok := errors.AsType[*block.SeriesError](err); ok {
		return &SourceError{Block: id, Err: err}
	}
	return fmt.Errorf("read block %s: %w", id, err)
}

// next goes to the next series, or to the end.
func (s *source) next() error {
	if !s.it.Next() {
		s.ended = true
		if err := s.it.Err(); err != nil {
			return sourceError(s.meta.ULID, err)
		}
		return nil
	}
	s.labels, s.before = s.before[:0], s.labels
	for i, l := range s.it.LabelRefs() {
		l = block.LabelRef{Name: s.place.of(l.Name), Value: s.place.of(l.Value)}
		if s.nothing && (l.Name == 0 || l.Value == 0) {
			return s.wrong(block.InvalidLabels, "")
		}
		if i > 0 && l.Name <= s.labels[i-1].Name {
			if l.Name == s.labels[i-1].Name {
				return s.wrong(block.InvalidLabels, "")
			}
			return s.wrong(block.UnsortedLabels, "")
		}
		s.labels = append(s.labels, l)
	}
	if len(s.labels) == 0 {
		return s.wrong(block.InvalidLabels, "")
	}
	if s.begun {
		switch c := compareRefs(s.before, s.labels); {
		case c == 0:
			return s.wrong(block.DuplicateSeries, "")
		case c > 0:
			return s.wrong(block.UnsortedSeries, "")
		}
	}
	s.begun = true
	return s.checkChunks()
}

// checkChunks looks at the chunks of the current series as the index has them:
// they ascend, do not overlap, and lie in the block's range, in which as in Thanos
// its very end is. That there are none does no harm.
func (s *source) checkChunks() error {
	chunks := s.it.Chunks()
	for i, c := range chunks {
		if c.MaxTime < c.MinTime {
			return s.wrong(block.ChunkTimes, fmt.Sprintf("[%d, %d]", c.MinTime, c.MaxTime))
		}
		if c.MinTime < s.meta.MinTime || c.MaxTime > s.meta.MaxTime {
			return s.outside(c)
		}
		if i > 0 && c.MinTime <= chunks[i-1].MaxTime {
			return s.disorder(chunks[i-1], c)
		}
	}
	return nil
}

// outside says how a chunk is outside of the block's range.
func (s *source) outside(c block.ChunkMeta) error {
	kind := block.OutsideChunks
	switch {
	case c.MinTime > s.meta.MaxTime || c.MaxTime < s.meta.MinTime:
		kind = block.CompletelyOutsideChunks
	case c.MinTime == s.meta.MaxTime:
		kind = block.BoundaryChunks
	}
	return s.wrong(kind, fmt.Sprintf("[%d, %d] in a block of [%d, %d)", c.MinTime, c.MaxTime, s.meta.MinTime, s.meta.MaxTime))
}

// disorder says how a chunk does not follow the one before it.
func (s *source) disorder(prev, c block.ChunkMeta) error {
	kind := block.OverlappingChunks
	switch {
	case c.MinTime == prev.MinTime && c.MaxTime == prev.MaxTime:
		kind = block.DuplicateChunks
	case c.MaxTime < prev.MinTime:
		kind = block.UnsortedChunks
	}
	return s.wrong(kind, fmt.Sprintf("[%d, %d] follows [%d, %d]", c.MinTime, c.MaxTime, prev.MinTime, prev.MaxTime))
}

// wrong blames the block for its current series.
func (s *source) wrong(kind block.ProblemKind, detail string) error {
	sb := labels.NewScratchBuilder(0)
	return &SourceError{Block: s.meta.ULID, Err: &block.SeriesError{Labels: s.it.Labels(&sb), Kind: kind, Detail: detail}}
}

// compareRefs orders series as their labels are ordered: places in a table that
// ascends are ordered as what is there.
func compareRefs(a, b []block.LabelRef) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return cmp.Or(cmp.Compare(a[i].Name, b[i].Name), cmp.Compare(a[i].Value, b[i].Value))
		}
	}
	return cmp.Compare(len(a), len(b))
}

// belongs tells whether a block is what meta.json in the bucket said.
func (s *source) belongs(m *block.Meta) error {
	got := s.meta
	switch {
	case got.Resolution() != m.Resolution():
		return s.differs("thanos.downsample.resolution", fmt.Sprintf("%s, not %s", got.Resolution(), m.Resolution()))
	case got.MinTime != m.MinTime:
		return s.differs("minTime", fmt.Sprintf("%d, not %d", got.MinTime, m.MinTime))
	case got.MaxTime != m.MaxTime:
		return s.differs("maxTime", fmt.Sprintf("%d, not %d", got.MaxTime, m.MaxTime))
	}
	return nil
}

func (s *source) differs(field, how string) error {
	err := &block.MetaError{Block: s.meta.ULID, File: block.MetaFile, Field: field, Err: errors.New(how)}
	return &SourceError{Block: s.meta.ULID, Err: err}
}

// rankReplicas numbers sources by the replica that they are of, in the order in
// which an algorithm is to have them.
func rankReplicas(sources []*source, replicas *dedup.Replicas) {
	lsets := make([]labels.Labels, len(sources))
	order := make([]int, len(sources))
	for i, s := range sources {
		lsets[i], order[i] = s.meta.Labels(), i
	}
	slices.SortStableFunc(order, func(a, b int) int { return replicas.Compare(lsets[a], lsets[b]) })
	rank := 0
	for i, n := range order {
		if i > 0 && replicas.Compare(lsets[order[i-1]], lsets[n]) != 0 {
			rank++
		}
		sources[n].replica = rank
	}
}

// lset returns labels that the source has, by the output's symbols. It is safe for
// concurrent use.
func (s *source) lset(refs []block.LabelRef) labels.Labels {
	symbols := s.r.Symbols()
	sb := labels.NewScratchBuilder(0)
	for _, l := range refs {
		sb.Add(symbols.String(s.place.back(l.Name)), symbols.String(s.place.back(l.Value)))
	}
	return sb.Labels()
}
