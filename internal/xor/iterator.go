package xor

import (
	"math"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Iterator is a chunkenc.Iterator over an XOR chunk that is decoded as a whole
// when it is first needed. The zero value has no samples; Reset gives it a chunk,
// also to use it again. It is not safe for concurrent use.
type Iterator struct {
	b   []byte // nil once decoded
	ts  []int64
	vs  []float64
	pos int // of the current sample; -1 before the first
	end bool
	err error
}

var _ chunkenc.Iterator = (*Iterator)(nil)

// Reset goes to the start of the chunk whose bytes, header included, b is. They
// are read until the first call of Next or Seek has returned.
func (it *Iterator) Reset(b []byte) {
	*it = Iterator{b: b, ts: it.ts[:0], vs: it.vs[:0], pos: -1}
}

// Next implements chunkenc.Iterator.
func (it *Iterator) Next() chunkenc.ValueType {
	it.decode()
	if it.pos+1 >= len(it.ts) {
		it.end = true
		return chunkenc.ValNone
	}
	it.pos++
	return chunkenc.ValFloat
}

// Seek implements chunkenc.Iterator.
func (it *Iterator) Seek(t int64) chunkenc.ValueType {
	it.decode()
	if it.end && it.err != nil {
		return chunkenc.ValNone
	}
	for it.pos < 0 || it.ts[it.pos] < t {
		if it.Next() == chunkenc.ValNone {
			return chunkenc.ValNone
		}
	}
	return chunkenc.ValFloat
}

func (it *Iterator) decode() {
	if len(it.ts) == 0 {
		it.pos = -1 // also in the zero value
	}
	if it.b == nil {
		return
	}
	it.ts, it.vs, it.err = Decode(it.b, math.MaxInt64, it.ts, it.vs)
	it.b = nil
}

// At implements chunkenc.Iterator.
func (it *Iterator) At() (int64, float64) { return it.ts[it.pos], it.vs[it.pos] }

// AtT implements chunkenc.Iterator.
func (it *Iterator) AtT() int64 {
	if it.pos < 0 || it.pos >= len(it.ts) {
		return math.MinInt64
	}
	return it.ts[it.pos]
}

// AtST returns 0: XOR chunks hold no start timestamps.
func (*Iterator) AtST() int64 { return 0 }

// Err implements chunkenc.Iterator. It is ErrTruncated, after the samples that
// are whole.
func (it *Iterator) Err() error {
	if !it.end {
		return nil
	}
	return it.err
}

// AtHistogram implements chunkenc.Iterator. There are no histograms.
func (*Iterator) AtHistogram(*histogram.Histogram) (int64, *histogram.Histogram) { return 0, nil }

// AtFloatHistogram implements chunkenc.Iterator. There are no histograms.
func (*Iterator) AtFloatHistogram(*histogram.FloatHistogram) (int64, *histogram.FloatHistogram) {
	return 0, nil
}
