package query

import (
	"math"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/promcompat"
)

// levelled merges replicas of a counter that are raised over their resets, as
// downsampled counters have to be. Each is raised by the resets that it has shown,
// so that one which began later, or missed a reset, lies below the others for good.
// Where what comes out changes to such a replica it would fall, and PromQL would
// take that for a reset; so from there on, that replica is raised to where the
// counter was.
//
// Which replica a sample is of is known from what the algorithm says of it to the
// replicas' iterators, in the order in which samples come out.
type levelled struct {
	chunkenc.Iterator // over all replicas, as they are
	replicas          []levelledTrack
	merges            []chunkenc.Iterable

	// came are the replicas of the samples to come, and next the first of them.
	came []came
	next int

	// The current sample's type, and the latest float, as it was returned; before the
	// first one v is below all others.
	t  int64
	v  float64
	vt chunkenc.ValueType
}

// came is so many samples of a replica.
type came struct{ replica, n int }

// levelledTrack is a replica of levelled.
type levelledTrack struct {
	track *track
	level *levelled
	index int
	raise float64
}

// levelledIterator returns an iterator over a series of several tracks.
func (s *series) levelledIterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	l, ok := reuse.(*levelled)
	if !ok {
		l = &levelled{Iterator: reuse}
	}
	*l = levelled{Iterator: l.Iterator, replicas: l.replicas[:0], merges: l.merges[:0], came: l.came[:0], v: math.Inf(-1)}
	for i := range s.tracks {
		l.replicas = append(l.replicas, levelledTrack{track: &s.tracks[i], level: l, index: i})
	}
	for i := range l.replicas {
		l.merges = append(l.merges, &l.replicas[i])
	}
	l.Iterator = s.sel.algorithm.Merge(l.Iterator, s.sel.values, l.merges...)
	return l
}

// Iterator implements chunkenc.Iterable.
func (t *levelledTrack) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	it := t.track.Iterator(reuse)
	switch own := it.(type) {
	case *iterator:
		own.level = t
	case *unionIterator:
		own.level = t
	}
	return it
}

// credit takes note that n more samples come out.
func (t *levelledTrack) credit(n int) { t.level.came = append(t.level.came, came{t.index, n}) }

// Next implements chunkenc.Iterator. A replica by itself never falls, so that one
// which does is another than before.
func (l *levelled) Next() chunkenc.ValueType {
	l.vt = l.Iterator.Next()
	of := l.source()
	if l.vt != chunkenc.ValFloat {
		return l.vt
	}
	t, v := l.Iterator.At()
	if of >= 0 {
		r := &l.replicas[of]
		if v+r.raise < l.v {
			r.raise = l.v - v
		}
		v += r.raise
	}
	l.t, l.v = t, v
	return l.vt
}

// source returns whose the sample is that has come out; -1 if that is not known.
func (l *levelled) source() int {
	if l.next == len(l.came) {
		return -1
	}
	c := &l.came[l.next]
	if c.n--; c.n == 0 {
		if l.next++; l.next == len(l.came) {
			l.came, l.next = l.came[:0], 0
		}
	}
	return c.replica
}

// Seek implements chunkenc.Iterator. It steps, since each sample may raise those
// after it.
func (l *levelled) Seek(t int64) chunkenc.ValueType {
	for l.vt == chunkenc.ValNone || l.AtT() < t {
		if l.Next() == chunkenc.ValNone {
			return chunkenc.ValNone
		}
	}
	return l.vt
}

// At implements chunkenc.Iterator.
func (l *levelled) At() (int64, float64) { return l.t, l.v }

// AtST returns the current sample's start timestamp in ms, 0 if it has none.
// chunkenc.Iterator has it since Prometheus v0.310.
func (l *levelled) AtST() int64 { return promcompat.StartTimestamp(l.Iterator) }
