package query

import (
	"math"
	"sync/atomic"

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
	// replicaLabels are removed from all series; where there are any, series of
	// the same labels are merged by algorithm.
	replicaLabels []string
	algorithm     dedup.Algorithm
	// identified says that the stores were asked to leave the replica labels, so
	// that they tell who is who. Otherwise tracks have to do.
	identified bool
	prefer     []*labels.Matcher
	// dropsCopies says that replicas that are the same as one before them make no
	// difference to the algorithm.
	dropsCopies bool
	// raised says that counters of several tracks are put through aggr.Counter
	// before they are merged, downsampled or not.
	raised bool
	// silent says that the algorithm credits nobody (see dedup.Credited), so that it
	// would be in vain to bring what it merges to one level.
	silent bool
}

// merged reports whether there are replicas to be merged.
func (s *selection) merged() bool { return len(s.replicaLabels) > 0 }

// series is a storage.Series. But for credits it does not change once it is made,
// so that it may be iterated over by many at a time.
type series struct {
	lset labels.Labels
	sel  *selection
	// whole has all that there is, or if that is to be merged, tracks has what it
	// is merged of.
	whole  track
	only   [1]chunkenc.Iterable // whole
	tracks []track
	merges []chunkenc.Iterable // tracks
	// counter says that the samples of each track are put through aggr.Counter.
	counter bool
	// levelled says that they are then brought to one level where they are merged.
	levelled bool
}

// track is chunks of one replica of a series.
type track struct {
	series *series
	// chunks are in order of time. None is read where it overlaps one before it,
	// unless all says that all samples count; then all chunks are of floats.
	chunks []chunk
	all    bool
	// union has the chunks again if all samples count of those that overlap, and
	// they are of histograms, too.
	union []chunkenc.Iterable
	// lone says that the track is all that there is of the series.
	lone    bool
	replica int32
	// credits are how many of its samples came out, if it is identified.
	credits atomic.Int64
}

// Labels implements storage.Series.
func (s *series) Labels() labels.Labels { return s.lset }

// Iterator implements storage.Series.
func (s *series) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	kept := reuse
	if l, ok := reuse.(*levelled); ok && !s.levelled {
		reuse = l.Iterator
	}
	own, _ := reuse.(*iterator)
	if len(s.tracks) == 0 {
		if own != nil || reuse == nil || !s.sel.merged() {
			return s.whole.Iterator(reuse)
		}
		it := s.sel.algorithm.Merge(reuse, s.sel.values, s.only[:]...)
		if own, ok := it.(*iterator); ok {
			own.kept = kept
		}
		return it
	}
	if own != nil && own.kept != nil {
		reuse = own.kept
		own.kept = nil
		if l, ok := reuse.(*levelled); ok && !s.levelled {
			reuse = l.Iterator
		}
	}
	if s.levelled {
		return s.levelledIterator(reuse)
	}
	return s.sel.algorithm.Merge(reuse, s.sel.values, s.merges...)
}

// Iterator implements chunkenc.Iterable.
func (t *track) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	if len(t.union) > 0 {
		return t.unionIterator(reuse)
	}
	it, ok := reuse.(*iterator)
	if !ok {
		it = &iterator{}
		if u, ok := reuse.(*unionIterator); ok {
			it.kept = u
		}
	}
	it.reset(t)
	return it
}

// unionIterator goes through all samples of a track whose chunks overlap.
type unionIterator struct {
	chunkenc.Iterator
	track *track
	level *levelledTrack
	// at is the time of the sample that was counted last, math.MinInt64 before.
	at int64
}

var _ dedup.Credited = (*unionIterator)(nil)

func (t *track) unionIterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	if own, ok := reuse.(*iterator); ok && own.kept != nil {
		reuse = own.kept
		own.kept = nil
	}
	u, ok := reuse.(*unionIterator)
	if !ok {
		u = &unionIterator{Iterator: reuse}
	}
	u.track, u.level, u.at = t, nil, math.MinInt64
	u.Iterator = dedup.Chain{}.Merge(u.Iterator, dedup.Untyped, t.union...)
	return u
}

// Next implements chunkenc.Iterator.
func (u *unionIterator) Next() chunkenc.ValueType { return u.count(u.Iterator.Next()) }

// Seek implements chunkenc.Iterator.
func (u *unionIterator) Seek(t int64) chunkenc.ValueType { return u.count(u.Iterator.Seek(t)) }

// count counts samples that nothing is merged with.
func (u *unionIterator) count(vt chunkenc.ValueType) chunkenc.ValueType {
	if u.track.lone && vt != chunkenc.ValNone && u.AtT() > u.at {
		u.at = u.AtT()
		u.Credit(1)
	}
	return vt
}

// Credit implements dedup.Credited.
func (u *unionIterator) Credit(n int) {
	u.track.credits.Add(int64(n))
	if u.level != nil {
		u.level.credit(n)
	}
}
