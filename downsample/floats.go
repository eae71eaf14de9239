package downsample

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/value"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/internal/aggr"
	"github.com/thanoskit/thanoskit/internal/xor"
)

// decodeFloats appends the samples of an XOR chunk to ts and vs: without stale
// markers, and without samples that go back in time, also to before last. It
// returns the time of the last one with them.
//
// Source: Thanos v0.42.4, pkg/compact/downsample/downsample.go
// expandXorChunkIterator, but for negative times, which are lost there.
func decodeFloats(b []byte, last int64, ts []int64, vs []float64) ([]int64, []float64, int64, error) {
	n := len(ts)
	ts, vs, err := xor.Decode(b, math.MaxInt64, ts, vs)
	if err != nil {
		return ts, vs, last, err
	}
	kept, after := keepSamples(ts[n:], vs[n:], last)
	return ts[:n+kept], vs[:n+kept], after, nil
}

// keepSamples moves the samples that count to the front, and returns how many there
// are and the time of the last of them: last if there is none.
func keepSamples(ts []int64, vs []float64, last int64) (int, int64) {
	vs = vs[:len(ts)]
	n := len(ts) // nearly always
	for i, t := range ts {
		if t < last || value.IsStaleNaN(vs[i]) {
			n = i
			break
		}
		last = t
	}
	for i := n; i < len(ts); i++ {
		t, v := ts[i], vs[i]
		if t < last || value.IsStaleNaN(v) {
			continue
		}
		ts[n], vs[n] = t, v
		last = t
		n++
	}
	return n, last
}

// rawFloats downsamples chunks of raw floats.
//
// How they are cut into chunks depends on how many samples there are, NaN
// included and stale markers not.
func (d *Downsampler) rawFloats(r block.Resolution, chunks []block.Chunk) error {
	w := &d.floats
	n := 0
	for i := range chunks {
		samples, err := chunks[i].NumSamples()
		if err != nil {
			return chunkError(&chunks[i], err)
		}
		n += min(samples, 4*len(chunks[i].Data)) // the most that there can be, whatever it says
	}
	w.ts, w.vs = slices.Grow(w.ts[:0], n), slices.Grow(w.vs[:0], n)
	var err error
	for i := range chunks {
		w.ts, w.vs, d.last, err = decodeFloats(chunks[i].Data, d.last, w.ts, w.vs)
		if err != nil {
			return chunkError(&chunks[i], err)
		}
	}
	ts, vs := w.ts, w.vs
	if len(ts) == 0 {
		return nil
	}
	size := len(ts)/chunkCount(ts[0], ts[len(ts)-1], rawStep, r, len(ts)) + 1
	for len(ts) > 0 {
		n := min(size, len(ts))
		// A window is never told in two chunks.
		end := windowEnd(ts[n-1], int64(r))
		for n < len(ts) && ts[n] <= end {
			n++
		}
		if err := d.rawFloatChunk(int64(r), ts[:n], vs[:n]); err != nil {
			return chunkError(&chunks[0], err)
		}
		ts, vs = ts[n:], vs[n:]
	}
	return nil
}

// rawFloatChunk makes one chunk of samples, which ascend, or none if all of them
// are NaN.
func (d *Downsampler) rawFloatChunk(r int64, ts []int64, vs []float64) error {
	ts, vs = trimNaN(ts, vs)
	if len(ts) == 0 {
		return nil
	}
	last := len(ts) - 1
	c := &d.floats.columns
	for k := range c {
		c[k].resize(int(min(uint64(last), uint64(ts[last]-ts[0])/uint64(r)+1)) + 3)
	}
	c[aggr.CounterKind].set(0, ts[0], vs[0])
	var w floatWindow
	n, size := 0, 0
	for i := 0; i <= last; {
		if math.IsNaN(vs[i]) {
			i++
			continue
		}
		end := min(windowEnd(ts[i], r), ts[last])
		size = windowSize(ts[i:], end, size)
		w.next(vs[i:i+size], i == 0)
		i += size
		c[aggr.Count].set(n, end, float64(w.count))
		c[aggr.Sum].set(n, end, w.sum)
		c[aggr.Min].set(n, end, w.low)
		c[aggr.Max].set(n, end, w.high)
		n++
		c[aggr.CounterKind].set(n, end, w.counter)
	}
	c[aggr.CounterKind].set(n+1, ts[last], vs[last])
	for k := range aggr.CounterKind {
		c[k].resize(n)
	}
	c[aggr.CounterKind].resize(n + 2)
	before := len(d.out)
	err := d.emitColumns()
	if len(d.out) > before && !d.once {
		d.memo.add(&d.out[before], c)
	}
	return err
}

// trimNaN takes off what is NaN at both ends.
func trimNaN(ts []int64, vs []float64) ([]int64, []float64) {
	for len(vs) > 0 && math.IsNaN(vs[len(vs)-1]) {
		ts, vs = ts[:len(vs)-1], vs[:len(vs)-1]
	}
	for len(vs) > 0 && math.IsNaN(vs[0]) {
		ts, vs = ts[1:], vs[1:]
	}
	return ts, vs
}

// floatWindow is the aggregates of a window. The counter goes on from one to the
// next.
type floatWindow struct {
	count          int
	sum, low, high float64
	counter, prev  float64 // prev is the sample before
}

// windowSize returns how many times there are up to end, which the first one is not after.
// They ascend. guess is how many there may be, as in the window before.
func windowSize(ts []int64, end int64, guess int) int {
	n := min(guess, len(ts))
	for n < len(ts) && ts[n] <= end {
		n++
	}
	for n > 0 && ts[n-1] > end {
		n--
	}
	return n
}

// next reckons the window of some samples, the first of which is not NaN. first says
// that there is none before.
//
// Each operation is the one that Thanos does, in the same order: others would not
// give the same bits. What has risen is no new minimum, and what has fallen no new
// maximum: that is not asked.
func (w *floatWindow) next(vs []float64, first bool) {
	v := vs[0]
	counter, prev := w.counter, v
	switch {
	case first:
		counter = v
	case v < w.prev:
		counter += v
	default:
		counter += v - w.prev
	}
	count, sum := 1, 0+v // which is 0 if v is -0
	low, high := min(v, math.MaxFloat64), max(v, -math.MaxFloat64)
	for _, v := range vs[1:] {
		switch {
		case v >= prev:
			counter += v - prev
			if v > high {
				high = v
			}
		case v < prev:
			counter += v
			if v < low {
				low = v
			}
		default: // NaN
			continue
		}
		prev = v
		count++
		sum += v
	}
	*w = floatWindow{count: count, sum: sum, low: low, high: high, counter: counter, prev: prev}
}
