package query

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/store"
)

// selection is what all series of a select have in common.
type selection struct {
	// minTime and maxTime bound the samples, in ms, both inclusive: those of the
	// querier, as in Thanos, for what a merge gives depends on where it begins.
	minTime, maxTime int64
	aggregates       store.Aggregates
	values           dedup.Values
	// merged says that replica labels are gone, so that one series may be
	// several replicas, to be merged by algorithm.
	merged    bool
	algorithm dedup.Algorithm
	// raised says that counters of several tracks are put through aggr.Counter
	// before they are merged.
	raised bool
}

// series is a storage.Series. It does not change once it is arranged, so that it
// may be iterated over by many at a time.
type series struct {
	lset labels.Labels
	sel  *selection
	// whole has all chunks of the series, in order of time; tracks has them
	// again if they overlap, split into some that do not.
	whole  track
	tracks []chunkenc.Iterable
	only   [1]chunkenc.Iterable // whole
	// counter says that the samples of each track are put through aggr.Counter.
	counter bool
}

// track is chunks of a series of which none is read where it overlaps one before
// it.
type track struct {
	series *series
	chunks []chunk
}

// Labels implements storage.Series.
func (s *series) Labels() labels.Labels { return s.lset }

// Iterator implements storage.Series.
func (s *series) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	own, _ := reuse.(*iterator)
	if len(s.tracks) == 0 {
		if own != nil || reuse == nil {
			return s.whole.Iterator(reuse)
		}
		it := s.sel.algorithm.Merge(reuse, s.sel.values, s.only[:]...)
		if own, ok := it.(*iterator); ok {
			own.merged = reuse
		}
		return it
	}
	if own != nil && own.merged != nil {
		reuse = own.merged
		own.merged = nil
	}
	return s.sel.algorithm.Merge(reuse, s.sel.values, s.tracks...)
}

// Iterator implements chunkenc.Iterable.
func (t *track) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	it, ok := reuse.(*iterator)
	if !ok {
		it = &iterator{}
	}
	it.reset(t)
	return it
}

// arrange makes a series of chunks that were sent for it, in any order; they may
// be sorted in place.
//
// Where chunks overlap and replicas are merged, or all are raw, they are split
// into tracks. What overlaps otherwise is data in several resolutions, from
// stores that have the same series: there the chunk that begins first counts, as
// samples of different resolutions cannot stand side by side.
//
// Counters are raised over their resets where downsampled data is among them, and
// where the algorithm needs that to compare replicas. Else the engine gets to
// see raw data as it is.
func (s *series) arrange(chunks []chunk) {
	chunks, overlap := tidy(chunks)
	s.whole = track{series: s, chunks: chunks}
	s.only[0] = &s.whole
	aggregated := false
	for i := range chunks {
		aggregated = aggregated || chunks[i].aggregated
	}
	if overlap && (s.sel.merged || !aggregated) {
		s.split(chunks)
	}
	s.counter = s.sel.aggregates == store.AggregateCounter &&
		(aggregated || s.sel.raised && len(s.tracks) > 1)
}

func (s *series) split(chunks []chunk) {
	parts := dedup.Tracks(chunks, span)
	tracks := make([]track, len(parts))
	s.tracks = make([]chunkenc.Iterable, len(parts))
	for i, p := range parts {
		tracks[i] = track{series: s, chunks: p}
		s.tracks[i] = &tracks[i]
	}
}
