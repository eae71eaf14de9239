package xor

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// MaxSamples is how many samples a chunk can count.
const MaxSamples = math.MaxUint16

// Encode appends the XOR chunk of samples to dst, header included, and returns
// it.
//
// Input: times in ms, in ascending order as in every chunk, though any order is
// encoded; as many values, whose bits are kept; at most MaxSamples: the caller
// cuts chunks, beyond that the count overflows. dst may be nil.
// Output: the bytes that chunkenc's appender makes of the same samples.
// Cost: no allocation but that of dst when it grows.
// Source: Prometheus, tsdb/docs/format/chunks.md, "XOR chunk data", and
// tsdb/chunkenc/xor.go.
func Encode(dst []byte, ts []int64, vs []float64) []byte {
	vs = vs[:len(ts)]
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(ts)))
	if len(ts) == 0 {
		return dst
	}
	t, v := ts[0], math.Float64bits(vs[0])
	dst = binary.AppendVarint(dst, t)
	dst = binary.BigEndian.AppendUint64(dst, v)
	if len(ts) == 1 {
		return dst
	}
	delta := uint64(ts[1] - t)
	w := writer{b: binary.AppendUvarint(dst, delta)}
	window := window{lead: noWindow}
	for i := 1; i < len(ts); i++ {
		if i > 1 {
			d := uint64(ts[i] - t)
			w.distance(int64(d - delta))
			delta = d
		}
		t = ts[i]
		next := math.Float64bits(vs[i])
		w.change(v^next, &window)
		v = next
	}
	return w.finish()
}

// window is which bits of the last value that changed outside of the window
// before it did: all but lead at the top and trail at the bottom.
type window struct{ lead, trail uint }

const noWindow = 64 // more than any value has

// writer appends bits, the highest of each byte first. Those that are not in b
// yet are the highest n, fewer than 64, of acc, of which the others are zero.
type writer struct {
	b   []byte
	acc uint64
	n   uint
}

// bits appends the lowest n bits of u, 1 to 64, of which the others are zero.
func (w *writer) bits(u uint64, n uint) {
	free := 64 - w.n
	if n < free {
		w.acc |= u << (free - n)
		w.n += n
		return
	}
	w.b = binary.BigEndian.AppendUint64(w.b, w.acc|u>>(n-free))
	w.n = n - free
	w.acc = u << (64 - w.n) // nothing, if there is none left
}

// finish returns the bytes, the last filled up with zeros.
func (w *writer) finish() []byte {
	b := slices.Grow(w.b, 8)
	binary.BigEndian.PutUint64(b[len(b):len(b)+8], w.acc)
	return b[:len(b)+int(w.n+7)/8]
}

// distance appends by how much the distance of two samples differs from that of
// the two before.
func (w *writer) distance(d int64) {
	switch {
	case d == 0:
		w.bits(0, 1)
	case fits(d, 14):
		w.bits(0b10<<14|uint64(d)&(1<<14-1), 16)
	case fits(d, 17):
		w.bits(0b110<<17|uint64(d)&(1<<17-1), 20)
	case fits(d, 20):
		w.bits(0b1110<<20|uint64(d)&(1<<20-1), 24)
	default:
		w.bits(0b1111, 4)
		w.bits(uint64(d), 64)
	}
}

// fits reports whether signed reads d back from n bits.
func fits(d int64, n uint) bool { return -(1<<(n-1))+1 <= d && d <= 1<<(n-1) }

// change appends which bits of a value changed.
func (w *writer) change(x uint64, last *window) {
	if x == 0 {
		w.bits(0, 1)
		return
	}
	lead := min(uint(bits.LeadingZeros64(x)), 31) // there are 5 bits for it
	trail := uint(bits.TrailingZeros64(x))
	if lead >= last.lead && trail >= last.trail {
		n := 64 - last.lead - last.trail
		w.bits(0b10, 2)
		w.bits(x>>last.trail, n)
		return
	}
	*last = window{lead, trail}
	n := 64 - lead - trail
	w.bits(0b11<<11|uint64(lead)<<6|uint64(n)&63, 13) // all 64 are written as 0
	w.bits(x>>trail, n)
}
