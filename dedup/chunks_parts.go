package dedup

import (
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/recode"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// aggregateChunk is a chunk of windows, decoded. Its windows are those of its count.
type aggregateChunk struct {
	parts    [aggr.Kinds]part
	from, to int // its windows
	// counts is whether its counter is of floats. Then firstT and firstV are the first
	// raw sample, and lastV is the last raw value; first and last are the same, and
	// what is the nearest to them if they are no number.
	counts        bool
	firstT        int64
	firstV, lastV float64
	first, last   float64
	rise          float64 // the counter at first, with the resets before undone
}

// part is the samples of one aggregate: floats or histograms, of the counter without
// the first and the last raw one of floats.
type part struct {
	encoding chunkenc.Encoding // EncNone if it is absent
	ts       []int64
	vs       []float64
	hs       []*histogram.FloatHistogram
}

// aggregateWindow is one window.
//
// There is one sample of each aggregate for it, at its own time, but for counters. That
// of histograms may have the first raw one besides, and what is no number is left out
// of counters of 1h: they are samples up to the window's time, and none for some.
type aggregateWindow struct {
	t     int64
	chunk int
	to    int // samples of the counter up to here
	// counter is that of floats up to here, as it is in the chunk, and total the same
	// with all resets of the track undone. Samples that are no number, infinities
	// among them, count for nothing: nothing could be reckoned from them on.
	counter, total float64
}

// decode decodes chunk i of the track.
func (t *track) decode(i int) error {
	c := &t.source[i]
	subs, err := aggr.Parse(c.Data)
	if err != nil {
		return err
	}
	a := aggregateChunk{from: len(t.windows)}
	for kind, sub := range subs {
		if err := a.parts[kind].decode(aggr.Kind(kind), sub); err != nil {
			return fmt.Errorf("%s: %w", aggr.Kind(kind), err)
		}
	}
	count := &a.parts[aggr.Count]
	if len(count.vs) == 0 && count.encoding != chunkenc.EncXOR {
		return fmt.Errorf("%w: count is %s", ErrMalformedChunk, count.encoding)
	}
	if err := checkTimes(count.ts, c); err != nil {
		return err
	}
	for _, at := range count.ts {
		t.windows = append(t.windows, aggregateWindow{t: at, chunk: i})
	}
	a.to = len(t.windows)
	for kind := range a.parts {
		if err := t.place(&a, aggr.Kind(kind)); err != nil {
			return fmt.Errorf("%s: %w", aggr.Kind(kind), err)
		}
	}
	t.chunks = append(t.chunks, a)
	return nil
}

// decode decodes the samples of an aggregate.
func (p *part) decode(kind aggr.Kind, sub aggr.Sub) (err error) {
	p.encoding = sub.Encoding
	switch {
	case sub.Encoding == chunkenc.EncNone:
		return nil
	case sub.Encoding == chunkenc.EncXOR:
		p.ts, p.vs, err = xor.Decode(sub.Data, math.MaxInt64, nil, nil)
		return err
	case kind != aggr.Sum && kind != aggr.CounterKind:
		return fmt.Errorf("%w: it is %s", ErrMalformedChunk, sub.Encoding)
	}
	chunk, err := recode.Open(sub.Encoding, sub.Data)
	if err != nil {
		return err
	}
	return recode.Safely(func() error {
		it := chunk.Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			at, h := it.AtFloatHistogram(&histogram.FloatHistogram{})
			p.ts, p.hs = append(p.ts, at), append(p.hs, h)
		}
		return it.Err()
	})
}

// place finds the samples of a chunk's windows.
func (t *track) place(a *aggregateChunk, kind aggr.Kind) error {
	p := &a.parts[kind]
	windows := t.windows[a.from:a.to]
	switch {
	case p.encoding == chunkenc.EncNone || kind == aggr.Count:
		return nil
	case kind == aggr.CounterKind:
		if p.encoding == chunkenc.EncXOR {
			a.takeEnds()
		}
		if err := p.placeCounter(windows); err != nil {
			return err
		}
		if p.encoding == chunkenc.EncXOR && len(windows) > 0 {
			t.total(a)
		}
		return nil
	case len(p.ts) != len(windows):
		return fmt.Errorf("%w: %d windows, count has %d", ErrMalformedChunk, len(p.ts), len(windows))
	}
	for i, at := range p.ts {
		if at != windows[i].t {
			return fmt.Errorf("%w: a window at %d, in count at %d", ErrMalformedChunk, at, windows[i].t)
		}
	}
	return nil
}

// takeEnds takes the first and the last raw value off a counter of floats. The last
// one is at the time of the one before it again. There may be neither in chunks of
// old: then there is a first one if it has no window.
func (a *aggregateChunk) takeEnds() {
	p := &a.parts[aggr.CounterKind]
	n := len(p.ts)
	if n == 0 {
		return
	}
	a.counts = true
	a.firstT, a.firstV, a.lastV = p.ts[0], p.vs[0], p.vs[n-1]
	ended := n > 2 && p.ts[n-1] == p.ts[n-2]
	if ended {
		p.ts, p.vs = p.ts[:n-1], p.vs[:n-1]
	}
	if ended || n > a.to-a.from {
		p.ts, p.vs = p.ts[1:], p.vs[1:]
	}
}

// errWindows says that a sample of a counter belongs nowhere.
var errWindows = errors.New("counter does not ascend within its windows")

// placeCounter tells windows which samples of a counter are theirs.
func (p *part) placeCounter(windows []aggregateWindow) error {
	n := 0
	for i := range windows {
		for n < len(p.ts) && p.ts[n] <= windows[i].t {
			if n > 0 && p.ts[n] <= p.ts[n-1] {
				return fmt.Errorf("%w: %w", ErrMalformedChunk, errWindows)
			}
			n++
		}
		windows[i].to = n
	}
	if n < len(p.ts) {
		return fmt.Errorf("%w: %w", ErrMalformedChunk, errWindows)
	}
	return nil
}

// total undoes resets for the windows of a chunk whose counter is of floats.
func (t *track) total(a *aggregateChunk) {
	p := &a.parts[aggr.CounterKind]
	var before *aggregateChunk
	for k := len(t.chunks) - 1; k >= 0 && before == nil; k-- {
		if b := &t.chunks[k]; b.counts && b.to > b.from {
			before = b
		}
	}
	for _, v := range append([]float64{a.firstV}, p.vs...) {
		if a.first = v; isNumber(v) {
			break
		}
	}
	if !isNumber(a.first) {
		if a.first = 0; before != nil {
			a.first = before.last
		}
	}
	total := a.first
	if before != nil {
		total = t.windows[before.to-1].total + risen(before.last, a.first)
	}
	a.rise = total
	was, n := a.first, 0
	for i := a.from; i < a.to; i++ {
		w := &t.windows[i]
		for ; n < w.to; n++ {
			if v := p.vs[n]; isNumber(v) {
				total += risen(was, v)
				was = v
			}
		}
		w.counter, w.total = was, total
	}
	if a.last = was; isNumber(a.lastV) {
		a.last = a.lastV
	}
}

func isNumber(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// risen is by how much a counter rose from one value to another, of which it may
// have been reset in between.
func risen(from, to float64) float64 {
	if to < from {
		return to
	}
	return to - from
}
