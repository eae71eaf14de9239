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
// Output: the bytes that chunkenc's appender makes of the same samples. What is behind
// them, up to the capacity of dst, may be overwritten, too.
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
	dst = binary.AppendUvarint(dst, uint64(ts[1]-t))
	e := encoder{p: len(dst), outside: math.MaxUint64}
	b := dst[:cap(dst)]
	for i := 1; ; {
		if len(b)-e.p < mostBytes {
			b = slices.Grow(b[:e.p], 2*mostBytes)
			b = b[:cap(b)]
		}
		if i > 1 {
			e.distance(b, ts[i]-2*ts[i-1]+ts[i-2])
		}
		if i = e.run(b, i, ts, vs); i == len(ts) {
			return b[:e.p+int(e.n+7)/8]
		}
	}
}

// encoder appends bits, the highest of each byte first. There are p whole bytes, and
// the highest n bits, fewer than 8, of acc, of which the others are zero; all of acc
// is written behind the p bytes each time, and counts as far as it is whole.
type encoder struct {
	p   int
	acc uint64
	n   uint
	// The bits that changed in the last value that had bits outside of the window of
	// those before it: sig of them, above trail that did not. At first all bits are
	// outside.
	outside    uint64
	trail, sig uint
}

// run encodes samples from number i on, the first of them without its distance, and
// returns the number of the next one: len(ts), or one with a distance that is seldom,
// or for which there may be no room in b. There are mostBytes for the first.
func (e *encoder) run(b []byte, i int, ts []int64, vs []float64) int {
	var (
		p, acc, n   = e.p, e.acc, e.n
		outside     = e.outside
		trail, sig  = e.trail, e.sig
		v, t, delta = math.Float64bits(vs[i-1]), ts[i-1], ts[i] - ts[i-1]
	)
	vs = vs[:len(ts)]
	for {
		t += delta
		now := math.Float64bits(vs[i])
		x := v ^ now
		v = now
		if x == 0 {
			n++
		} else {
			if x&outside == 0 {
				acc |= 1 << 63 >> (n & 63)
				n += 2
			} else {
				lead := min(uint(bits.LeadingZeros64(x)), 31) // there are 5 bits for it
				trail = uint(bits.TrailingZeros64(x))
				sig = 64 - lead - trail
				outside = ^(math.MaxUint64 >> (64 - sig) << trail)
				acc |= uint64(0b11<<11|lead<<6|sig&63) << ((51 - n) & 63) // all 64 are written as 0
				n += 13
			}
			binary.BigEndian.PutUint64(b[p:p+8:p+8], acc)
			p, acc, n = p+int(n/8), acc<<(n&56), n%8
			x >>= trail & 63
			if sig > mostPut {
				acc |= x >> 32 << ((96 - sig - n) & 63)
				n += sig - 32
				binary.BigEndian.PutUint64(b[p:p+8:p+8], acc)
				p, acc, n = p+int(n/8), acc<<(n&56), n%8
				acc |= x << 32 >> n
				n += 32
			} else {
				acc |= x << ((64 - sig - n) & 63)
				n += sig
			}
		}
		binary.BigEndian.PutUint64(b[p:p+8:p+8], acc)
		p, acc, n = p+int(n/8), acc<<(n&56), n%8
		i++
		if i >= len(ts) || len(b)-p < mostBytes {
			break
		}
		d := ts[i] - t
		change := d - delta
		if !fits(change, 14) {
			break
		}
		if change == 0 {
			n++
		} else {
			acc |= (0b10<<14 | uint64(change)&(1<<14-1)) << ((48 - n) & 63)
			n += 16
		}
		delta = d
	}
	e.p, e.acc, e.n, e.outside, e.trail, e.sig = p, acc, n, outside, trail, sig
	return i
}

// mostPut is how many bits there is room for behind those of a byte that is not
// whole.
const mostPut = 56

// fits reports whether signed reads d back from n bits.
func fits(d int64, n uint) bool { return uint64(d+1<<(n-1)-1) < 1<<n }

// distance appends by how much the distance of two samples differs from that of
// the two before.
func (e *encoder) distance(b []byte, d int64) {
	switch {
	case d == 0:
		e.put(b, 0, 1)
	case fits(d, 14):
		e.put(b, 0b10<<14|uint64(d)&(1<<14-1), 16)
	case fits(d, 17):
		e.put(b, 0b110<<17|uint64(d)&(1<<17-1), 20)
	case fits(d, 20):
		e.put(b, 0b1110<<20|uint64(d)&(1<<20-1), 24)
	default:
		e.put(b, 0b1111<<32|uint64(d)>>32, 36)
		e.put(b, uint64(d)&math.MaxUint32, 32)
	}
}

// put appends the lowest n bits of u, mostPut at most, of which the others are zero.
func (e *encoder) put(b []byte, u uint64, n uint) {
	n += e.n
	acc := e.acc | u<<(64-n)
	binary.BigEndian.PutUint64(b[e.p:], acc)
	e.p, e.acc, e.n = e.p+int(n/8), acc<<(n&56), n%8
}
