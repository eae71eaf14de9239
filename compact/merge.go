package compact

import (
	"context"
	"errors"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/dedup"
)

// ctxEvery is how many steps of a loop are made between two looks at the context.
const ctxEvery = 1024

// merge goes through the series of several blocks, in their order, and gathers what
// each block has of one.
//
// Memory: a few buffers for each block, of the size of its largest series. Neither
// how many series, samples and symbols there are matters, nor whether a block has
// labels of its own.
type merge struct {
	sources []*source
	symbols *symbolMerge
	tree    *tournament
	key     []block.LabelRef
}

// openSources opens the blocks of a job, and tells their replicas apart.
//
// Errors: SourceError, and those of the file system. No block stays open then.
func openSources(ctx context.Context, job *Job, dirs []string, o *Options) (_ []*source, err error) {
	var sources []*source
	defer func() {
		if err != nil {
			err = errors.Join(err, closeSources(sources))
		}
	}()
	if len(dirs) != len(job.Sources) {
		return nil, errors.New("as many directories are needed as there are sources")
	}
	for i, m := range job.Sources {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := openSource(dirs[i], m.ULID)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
		if err := s.belongs(m); err != nil {
			return nil, err
		}
	}
	replicas := &dedup.Replicas{Labels: o.ReplicaLabels, Prefer: o.PreferReplicas}
	rankReplicas(sources, replicas)
	return sources, nil
}

func closeSources(sources []*source) error {
	errs := make([]error, len(sources))
	for i, s := range sources {
		errs[i] = s.r.Close()
	}
	return errors.Join(errs...)
}

// newMerge hands the symbols of all blocks to add, and stands before the first
// series. Places of symbols are kept in a file below dir until close.
func newMerge(ctx context.Context, dir string, sources []*source, add func(symbol []byte) error) (_ *merge, err error) {
	m := &merge{sources: sources}
	if m.symbols, err = mergeSymbols(ctx, dir, sources, add); err != nil {
		return nil, err
	}
	for _, s := range sources {
		s.it = s.r.Series()
		if err := s.next(); err != nil {
			return nil, errors.Join(err, m.close())
		}
	}
	m.tree = newTournament(len(sources), m.before)
	return m, nil
}

func (m *merge) close() error { return m.symbols.close() }

// before orders sources by the series that they stand on.
func (m *merge) before(a, b int) bool {
	x, y := m.sources[a], m.sources[b]
	if x.ended || y.ended {
		return !x.ended
	}
	c := compareRefs(x.labels, y.labels)
	return c < 0 || c == 0 && a < b
}

// next adds the next series to a batch: what all sources have of it. It is false
// at the end.
func (m *merge) next(b *batch) (bool, error) {
	i := m.tree.first()
	if m.sources[i].ended {
		return false, nil
	}
	m.key = append(m.key[:0], m.sources[i].labels...)
	b.begin(m.key)
	for s := m.sources[i]; !s.ended && compareRefs(s.labels, m.key) == 0; s = m.sources[m.tree.first()] {
		b.addPart(s)
		if err := s.next(); err != nil {
			return false, err
		}
		m.tree.moved()
	}
	b.end()
	return true, nil
}
