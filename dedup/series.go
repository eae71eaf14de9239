package dedup

import (
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"
)

// NewSeries returns the series with the given labels that merges replicas by
// alg whenever it is iterated.
//
// Input: as for Algorithm.Merge; replicas is retained. A storage.Series is a
// replica, and so is a chunk.
// Output: a series whose Iterator reuses what it is given, as Algorithm.Merge
// does. It may be iterated any number of times, at the same time too if its
// replicas may.
func NewSeries(lset labels.Labels, alg Algorithm, values Values, replicas ...chunkenc.Iterable) storage.Series {
	return &mergedSeries{lset: lset, alg: alg, values: values, replicas: replicas}
}

type mergedSeries struct {
	lset     labels.Labels
	alg      Algorithm
	values   Values
	replicas []chunkenc.Iterable
	// pair is where a series set keeps the usual number of replicas.
	pair [2]chunkenc.Iterable
}

// Labels implements storage.Series.
func (s *mergedSeries) Labels() labels.Labels { return s.lset }

// Iterator implements storage.Series.
func (s *mergedSeries) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	return s.alg.Merge(reuse, s.values, s.replicas...)
}

// NewSeriesSet returns the series of set with the replicas of each merged into
// one.
//
// Input: set ascends by labels, from which the replica labels are gone, so that
// the replicas of a series have equal labels and follow one another; their order
// is the one that alg gets. The returned set owns it.
// Output: each label set once, in the order of set. A series with one replica is
// passed on as it is. Series stay valid after Next, as those of set do.
// Errors: Err and Warnings are those of set. Once Err is not nil, a series of
// which replicas may be missing is not returned.
// Concurrency: the set is not safe for concurrent use, its series are as far as
// those of set are. Cost: one allocation per series with more than one replica,
// and reading one series ahead.
func NewSeriesSet(set storage.SeriesSet, alg Algorithm, values Values) storage.SeriesSet {
	return &seriesSet{set: set, alg: alg, values: values}
}

type seriesSet struct {
	set    storage.SeriesSet
	alg    Algorithm
	values Values

	cur storage.Series
	// ahead is the first replica of the series after cur, nil if there is none.
	ahead   storage.Series
	started bool
}

// Next implements storage.SeriesSet.
func (s *seriesSet) Next() bool {
	if !s.started {
		s.started = true
		s.advance()
	}
	if s.ahead == nil {
		s.cur = nil
		return false
	}
	first := s.ahead
	s.cur = first
	lset := first.Labels()

	var merged *mergedSeries
	for s.advance() && labels.Equal(lset, s.ahead.Labels()) {
		if merged == nil {
			merged = &mergedSeries{lset: lset, alg: s.alg, values: s.values}
			merged.replicas = append(merged.pair[:0], first)
			s.cur = merged
		}
		merged.replicas = append(merged.replicas, s.ahead)
	}
	return s.ahead != nil || s.set.Err() == nil
}

// advance reads the next replica into ahead.
func (s *seriesSet) advance() bool {
	s.ahead = nil
	if s.set.Next() {
		s.ahead = s.set.At()
	}
	return s.ahead != nil
}

// At implements storage.SeriesSet.
func (s *seriesSet) At() storage.Series { return s.cur }

// Err implements storage.SeriesSet.
func (s *seriesSet) Err() error { return s.set.Err() }

// Warnings implements storage.SeriesSet.
func (s *seriesSet) Warnings() annotations.Annotations { return s.set.Warnings() }
