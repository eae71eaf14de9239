package downsample

import (
	"math"

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
	for i := n; i < len(ts); i++ {
		t, v := ts[i], vs[i]
		if t < last || value.IsStaleNaN(v) {
			continue
		}
		ts[n], vs[n] = t, v
		last = t
		n++
	}
	return ts[:n], vs[:n], last, nil
}

// rawFloats downsamples chunks of raw floats.
//
// How they are cut into chunks depends on how many samples there are, NaN
// included and stale markers not.
func (d *Downsampler) rawFloats(r block.Resolution, chunks []block.Chunk) error {
	w := &d.floats
	w.ts, w.vs = w.ts[:0], w.vs[:0]
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
			return err
		}
		ts, vs = ts[n:], vs[n:]
	}
	return nil
}

// rawFloatChunk makes one chunk of samples, which ascend, or none if all of them
// are NaN.
func (d *Downsampler) rawFloatChunk(r int64, ts []int64, vs []float64) error {
	for len(vs) > 0 && vs[len(vs)-1] != vs[len(vs)-1] {
		ts, vs = ts[:len(vs)-1], vs[:len(vs)-1]
	}
	for len(vs) > 0 && vs[0] != vs[0] {
		ts, vs = ts[1:], vs[1:]
	}
	if len(ts) == 0 {
		return nil
	}
	c := &d.floats.columns
	for k := range c {
		c[k].reset()
	}
	lastT, lastV := ts[len(ts)-1], vs[len(vs)-1]
	c[aggr.CounterKind].add(ts[0], vs[0])
	var counter, prev float64
	for i := 0; i < len(ts); {
		end := min(windowEnd(ts[i], r), lastT)
		v := vs[i]
		switch {
		case v != v:
			i++
			continue
		case i == 0:
			counter = v
		case v < prev:
			counter += v
		default:
			counter += v - prev
		}
		prev = v
		n, sum := 1, 0+v
		low, high := math.MaxFloat64, -math.MaxFloat64
		if v < low {
			low = v
		}
		if v > high {
			high = v
		}
		for i++; i < len(ts) && ts[i] <= end; i++ {
			v := vs[i]
			if v != v {
				continue
			}
			if v < prev {
				counter += v
			} else {
				counter += v - prev
			}
			prev = v
			n++
			sum += v
			if v < low {
				low = v
			}
			if v > high {
				high = v
			}
		}
		c[aggr.Count].add(end, float64(n))
		c[aggr.Sum].add(end, sum)
		c[aggr.Min].add(end, low)
		c[aggr.Max].add(end, high)
		c[aggr.CounterKind].add(end, counter)
	}
	c[aggr.CounterKind].add(lastT, lastV)
	return d.emitColumns()
}
