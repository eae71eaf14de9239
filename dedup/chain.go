package dedup

import (
	"errors"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

const chainName = "chain"

// Chain merges the samples of all replicas by time and returns each time once.
// It is right for identical copies, such as those that replicated receivers
// hold; of replicas that scrape on their own it returns every sample of each.
//
// Which replica's sample is returned where several have one at the same time is
// the same choice that Prometheus makes: it depends on the replicas' order and
// on the samples before. A histogram whose predecessor came from another replica
// has its counter reset hint set to unknown, gauge histograms excepted. Values
// are never altered, so the Values argument makes no difference.
//
// The first error of a replica ends the iterator.
//
// Source: Prometheus v0.309.1, storage.ChainedSeriesMerge. A lone replica is
// iterated as it is, its first hint included, as Prometheus' and Thanos' series
// sets do.
type Chain struct{}

// String returns "chain".
func (Chain) String() string { return chainName }

// Merge implements Algorithm.
func (Chain) Merge(reuse chunkenc.Iterator, _ Values, replicas ...chunkenc.Iterable) chunkenc.Iterator {
	if len(replicas) < 2 {
		return mergeFew(reuse, replicas)
	}
	it, ok := reuse.(*chainIterator)
	if !ok {
		it = &chainIterator{}
	}
	it.cursors = openCursors(reuse, replicas)
	it.cur = &it.cursors[0]
	it.others = it.others[:0]
	it.last = math.MinInt64
	it.state = chainUnstarted
	it.consecutive = false
	return it
}

type chainIterator struct {
	cursors
	// cur is where the iterator is, or the first replica before it has moved.
	cur *cursor
	// others are the replicas that have samples left, cur excepted.
	others cursorHeap
	// last is the time of the current sample, math.MinInt64 before the first.
	last  int64
	state chainState
	// consecutive is whether the current sample and the one before it are
	// neighbours in one replica.
	consecutive bool
}

type chainState uint8

const (
	chainUnstarted chainState = iota
	chainRunning
	chainExhausted // Whether by the last sample or by an error.
)

// Next implements chunkenc.Iterator.
func (it *chainIterator) Next() chunkenc.ValueType {
	switch it.state {
	case chainExhausted:
		return chunkenc.ValNone
	case chainUnstarted:
		it.state = chainRunning
		for i := 1; i < len(it.cursors); i++ {
			it.cursors[i].next()
			if !it.join(&it.cursors[i]) {
				return it.end()
			}
		}
		it.consecutive = false
	default:
		it.consecutive = true
	}
	for {
		c := it.cur
		c.next()
		if c.vt == chunkenc.ValNone {
			if len(it.others) == 0 || c.it.Err() != nil {
				return it.end()
			}
			it.cur = it.others.pop()
		} else {
			if c.t == it.last {
				continue
			}
			if len(it.others) == 0 || c.t < it.others[0].t {
				break
			}
			it.cur = it.others.swap(c)
		}
		it.consecutive = false
		if it.cur.t != it.last {
			break
		}
	}
	it.last = it.cur.t
	return it.cur.vt
}

// Seek implements chunkenc.Iterator.
func (it *chainIterator) Seek(t int64) chunkenc.ValueType {
	switch {
	case it.state == chainExhausted:
		return chunkenc.ValNone
	case it.state == chainRunning && it.last >= t:
		return it.cur.vt
	}
	unstarted := it.state == chainUnstarted
	it.state = chainRunning
	it.consecutive = false
	it.others = it.others[:0]
	for i := range it.cursors {
		c := &it.cursors[i]
		if unstarted || (c.vt != chunkenc.ValNone && c.t < t) {
			c.seek(t)
		}
		if !it.join(c) {
			return it.end()
		}
	}
	if len(it.others) == 0 {
		return it.end()
	}
	it.cur = it.others.pop()
	it.last = it.cur.t
	return it.cur.vt
}

// join adds c to the others if it has a sample. It reports false if c has an
// error instead.
func (it *chainIterator) join(c *cursor) bool {
	if c.vt == chunkenc.ValNone {
		return c.it.Err() == nil
	}
	it.others.push(c)
	return true
}

func (it *chainIterator) end() chunkenc.ValueType {
	it.state = chainExhausted
	return chunkenc.ValNone
}

// At implements chunkenc.Iterator.
func (it *chainIterator) At() (int64, float64) { return it.cur.t, it.cur.v }

// AtHistogram implements chunkenc.Iterator.
func (it *chainIterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	t, h := it.cur.it.AtHistogram(h)
	if !it.consecutive && h.CounterResetHint != histogram.GaugeType {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	return t, h
}

// AtFloatHistogram implements chunkenc.Iterator.
func (it *chainIterator) AtFloatHistogram(fh *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	t, fh := it.cur.it.AtFloatHistogram(fh)
	if !it.consecutive && fh.CounterResetHint != histogram.GaugeType {
		fh.CounterResetHint = histogram.UnknownCounterReset
	}
	return t, fh
}

// AtT implements chunkenc.Iterator.
func (it *chainIterator) AtT() int64 { return it.cur.t }

// AtST returns the current sample's start timestamp in ms, 0 if unknown.
// chunkenc.Iterator has it since Prometheus v0.310.
func (it *chainIterator) AtST() int64 { return it.cur.startTime() }

// Err implements chunkenc.Iterator. It joins the errors of all replicas.
func (it *chainIterator) Err() error {
	var errs []error
	for i := range it.cursors {
		if err := it.cursors[i].it.Err(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// cursorHeap is a binary heap by time. It moves elements exactly as
// container/heap would, so that equal times come out in the order in which
// Prometheus' iterator has them, without calls through an interface.
type cursorHeap []*cursor

func (h *cursorHeap) push(c *cursor) {
	s := append(*h, c)
	*h = s
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if s[i].t >= s[parent].t {
			break
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
}

func (h *cursorHeap) pop() *cursor {
	s := *h
	n := len(s) - 1
	s[0], s[n] = s[n], s[0]
	*h = s[:n]
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			break
		}
		if right := child + 1; right < n && s[right].t < s[child].t {
			child = right
		}
		if s[child].t >= s[i].t {
			break
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
	return s[n]
}

// swap pushes c, which lies not before the earliest, and pops that.
func (h *cursorHeap) swap(c *cursor) *cursor {
	if s := *h; len(s) == 1 {
		first := s[0]
		s[0] = c
		return first
	}
	h.push(c)
	return h.pop()
}
