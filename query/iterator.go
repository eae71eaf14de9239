package query

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/promcompat"
	"github.com/thanoskit/thanoskit/internal/xor"
	"github.com/thanoskit/thanoskit/store"
)

// iterator goes through the samples of a track: chunks in order of time, of
// which each gives what is later than the chunks before it, within the bounds of
// the querier; or, if the track says so, all samples of chunks that overlap.
//
// Floats are decoded a chunk at a time, so that a step from one to the next is
// an index and no call. Histograms are left to chunkenc.
type iterator struct {
	track *track
	// next is the index of the chunk to open next.
	next int
	// from is the time in ms of the first sample that is wanted of the chunks
	// that are still to be opened.
	from int64

	// ts and vs are the floats that are wanted of the open chunk, and pos the
	// current one. They are empty if it holds histograms.
	ts  []int64
	vs  []float64
	pos int

	// hist is the open chunk if it holds histograms, on a sample of type kind.
	hist chunkenc.Iterator
	kind chunkenc.ValueType
	// spliced says that this sample is not the first in its chunk, and that the
	// last one returned is not in the chunk; emitted that there is a last one.
	spliced, emitted bool

	counter aggr.Counter
	level   *levelledTrack // that it is of, if it is
	err     error
	recycled
}

var (
	_ dedup.FloatRunner = (*iterator)(nil)
	_ dedup.Credited    = (*iterator)(nil)
)

// recycled is what an iterator keeps for its next series.
type recycled struct {
	buf, counts samples
	// rest is what is still to come of overlapping chunks that were opened.
	rest samples
	hist [2]chunkenc.Iterator // with integer, with floating-point counts
	// kept is an iterator over several tracks, of an earlier series, of which this
	// one is a part.
	kept chunkenc.Iterator
}

// samples are what a chunk of floats is decoded into.
type samples struct {
	ts []int64
	vs []float64
}

// reset points it before the first sample of t.
func (it *iterator) reset(t *track) {
	*it = iterator{track: t, from: t.series.sel.minTime, recycled: it.recycled}
	it.rest.reset()
}

// Next implements chunkenc.Iterator.
func (it *iterator) Next() chunkenc.ValueType {
	if it.pos+1 < len(it.ts) {
		it.pos++
		return chunkenc.ValFloat
	}
	if it.hist != nil {
		it.spliced = false
		if it.histogram(it.hist.Next()) {
			return it.kind
		}
	}
	return it.open()
}

// Seek implements chunkenc.Iterator.
func (it *iterator) Seek(t int64) chunkenc.ValueType {
	for ; it.pos < len(it.ts); it.pos++ {
		if it.ts[it.pos] >= t {
			return chunkenc.ValFloat
		}
	}
	if it.hist != nil && it.hist.AtT() >= t {
		return it.kind
	}
	it.from = max(it.from, t)
	if it.hist != nil {
		it.spliced = false
		if it.track.series.counter { // has to see every sample
			if it.histogram(it.hist.Next()) {
				return it.kind
			}
		} else if it.histogram(it.hist.Seek(it.from)) {
			return it.kind
		}
	}
	return it.open()
}

// open moves to the first sample that is wanted of the chunks to come.
func (it *iterator) open() chunkenc.ValueType {
	it.ts, it.vs, it.pos = nil, nil, 0
	for it.err == nil && it.next < len(it.track.chunks) {
		c := &it.track.chunks[it.next]
		it.next++
		switch {
		case c.minTime > it.track.series.sel.maxTime:
			it.end()
		case c.maxTime < it.from && !it.track.series.counter: // a counter has to see every sample
		case it.track.all:
			if it.openAll(c) {
				return chunkenc.ValFloat
			}
		case c.encoding == chunkenc.EncXOR:
			if it.openFloats(c) {
				return chunkenc.ValFloat
			}
		default:
			if it.openHistograms(c) {
				return it.kind
			}
		}
	}
	if it.err == nil && len(it.rest.ts) > 0 {
		it.buf, it.rest = it.rest, it.buf
		it.rest.reset()
		if it.emit(it.buf.ts, it.buf.vs) {
			return chunkenc.ValFloat
		}
	}
	return chunkenc.ValNone
}

// end makes the open chunk the last one.
func (it *iterator) end() { it.next = len(it.track.chunks) }

func (it *iterator) openFloats(c *chunk) bool {
	maxTime := it.track.series.sel.maxTime
	if !it.decode(&it.buf, c.data, maxTime, c) {
		return false
	}
	ts, vs := it.buf.ts, it.buf.vs
	if c.counts != nil {
		if !it.decode(&it.counts, c.counts, maxTime, c) {
			return false
		}
		if err := aggr.Averages(ts, vs, it.counts.ts, it.counts.vs); err != nil {
			it.fail(c, err)
			return false
		}
	}
	if len(ts) < int(binary.BigEndian.Uint16(c.data)) { // there is more, but too late
		it.end()
	}
	return it.emit(ts, vs)
}

// emit makes floats the current ones, as far as they are wanted, and reports
// whether any are.
func (it *iterator) emit(ts []int64, vs []float64) bool {
	if it.track.series.counter {
		n := it.counter.Floats(ts, vs)
		ts, vs = ts[:n], vs[:n]
	}
	for len(ts) > 0 && ts[0] < it.from {
		ts, vs = ts[1:], vs[1:]
	}
	if len(ts) == 0 {
		return false
	}
	it.ts, it.vs, it.pos, it.emitted = ts, vs, 0, true
	it.passed(ts[len(ts)-1])
	if it.track.lone {
		it.Credit(len(ts))
	}
	return true
}

func (it *iterator) decode(to *samples, b []byte, maxTime int64, c *chunk) bool {
	var err error
	to.ts, to.vs, err = xor.Decode(b, maxTime, to.ts[:0], to.vs[:0])
	if err != nil {
		it.fail(c, fmt.Errorf("%w: %w", store.ErrMalformed, err))
	}
	return err == nil
}

// passed says that samples up to t, and none after, are those of chunks opened
// so far.
func (it *iterator) passed(t int64) {
	if t >= it.track.series.sel.maxTime {
		it.end()
		return
	}
	it.from = t + 1
}

// histogramHeader is the size of a histogram chunk's number of samples and
// flags, which chunkenc relies on.
const histogramHeader = 3

func (it *iterator) openHistograms(c *chunk) bool {
	if len(c.data) < histogramHeader {
		it.fail(c, fmt.Errorf("%w: histogram chunk is truncated", store.ErrMalformed))
		return false
	}
	ch, err := chunkenc.FromData(c.encoding, c.data)
	if err != nil {
		it.fail(c, err)
		return false
	}
	keep := &it.recycled.hist[0]
	if c.encoding == chunkenc.EncFloatHistogram {
		keep = &it.recycled.hist[1]
	}
	*keep = ch.Iterator(*keep)
	it.hist = *keep
	if c.counts != nil {
		counts, err := chunkenc.FromData(chunkenc.EncXOR, c.counts)
		if err != nil || len(c.counts) < 2 {
			it.fail(c, fmt.Errorf("%w: counts of histograms are truncated", store.ErrMalformed))
			return false
		}
		it.hist = aggr.NewHistogramAverages(it.hist, counts.Iterator(nil))
	}
	had := it.emitted
	vt := it.hist.Next()
	if vt != chunkenc.ValNone && !it.track.series.counter && it.hist.AtT() < it.from {
		vt = it.hist.Seek(it.from)
		it.spliced = had
	}
	if !it.histogram(vt) {
		return false
	}
	it.spliced = it.spliced && had
	return true
}

// histogram makes the sample of type vt that hist has moved to the current one,
// or the first one after it that is wanted. If there is none, hist is closed.
func (it *iterator) histogram(vt chunkenc.ValueType) bool {
	for ; vt != chunkenc.ValNone; vt = it.hist.Next() {
		t := it.hist.AtT()
		if t > it.track.series.sel.maxTime {
			it.end()
			break
		}
		if it.track.series.counter && !it.counter.Histogram(t) || t < it.from {
			it.spliced = true
			continue
		}
		it.kind, it.emitted = vt, true
		it.passed(t)
		if it.track.lone {
			it.Credit(1)
		}
		return true
	}
	if err := it.hist.Err(); err != nil {
		it.fail(&it.track.chunks[it.next-1], fmt.Errorf("%w: %w", store.ErrMalformed, err))
	}
	it.hist, it.kind, it.spliced = nil, chunkenc.ValNone, false
	return false
}

func (it *iterator) fail(c *chunk, err error) {
	it.err = fmt.Errorf("read chunk from %d to %d of series %s: %w", c.minTime, c.maxTime, it.track.series.lset, err)
}

// At implements chunkenc.Iterator.
func (it *iterator) At() (int64, float64) { return it.ts[it.pos], it.vs[it.pos] }

// FloatRun implements dedup.FloatRunner.
func (it *iterator) FloatRun() ([]int64, []float64) {
	from := it.pos
	it.pos = len(it.ts) - 1
	return it.ts[from:], it.vs[from:]
}

// Credit implements dedup.Credited.
func (it *iterator) Credit(n int) {
	it.track.credits.Add(int64(n))
	if it.level != nil {
		it.level.credit(n)
	}
}

// AtHistogram implements chunkenc.Iterator.
func (it *iterator) AtHistogram(h *histogram.Histogram) (int64, *histogram.Histogram) {
	t, h := it.hist.AtHistogram(h)
	if it.spliced && h.CounterResetHint == histogram.NotCounterReset {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	return t, h
}

// AtFloatHistogram implements chunkenc.Iterator.
func (it *iterator) AtFloatHistogram(h *histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	t, h := it.hist.AtFloatHistogram(h)
	if it.spliced && h.CounterResetHint == histogram.NotCounterReset {
		h.CounterResetHint = histogram.UnknownCounterReset
	}
	return t, h
}

// AtT implements chunkenc.Iterator. Before the first sample it is earlier than
// any, after the last one later than any that was returned.
func (it *iterator) AtT() int64 {
	switch {
	case it.pos < len(it.ts):
		return it.ts[it.pos]
	case it.hist != nil:
		return it.hist.AtT()
	case !it.emitted:
		return math.MinInt64
	}
	return it.from
}

// AtST returns the start timestamp of the current sample in ms, 0 if it has
// none. chunkenc.Iterator has it since Prometheus v0.310.
func (it *iterator) AtST() int64 {
	if it.hist != nil {
		return promcompat.StartTimestamp(it.hist)
	}
	return 0
}

// Err implements chunkenc.Iterator.
func (it *iterator) Err() error { return it.err }
