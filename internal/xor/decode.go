package xor

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
)

// ErrTruncated says that a chunk ends before its last sample.
var ErrTruncated = errors.New("XOR chunk is truncated")

const headerSize = 2 // the number of samples, big endian

// Decode appends the samples of an XOR chunk to ts, times in ms, and vs, values
// bit for bit, and returns both. It stops before the first sample later than
// maxTime.
//
// Input: the bytes of the chunk, header included; they are only read.
// Errors: ErrTruncated, with the samples before the one that is not whole. Bytes
// that are no chunk decode to some samples or other, as there is no checksum in
// them.
// Cost: room for the samples is made first, for no more than four per byte of
// input; no other allocation.
// Source: Prometheus, tsdb/docs/format/chunks.md, "XOR chunk data", and
// tsdb/chunkenc/xor.go.
func Decode(b []byte, maxTime int64, ts []int64, vs []float64) ([]int64, []float64, error) {
	if len(b) < headerSize {
		return ts, vs, ErrTruncated
	}
	total := int(binary.BigEndian.Uint16(b))
	if total == 0 {
		return ts, vs, nil
	}
	b = b[headerSize:]
	// The first sample and the distance to the second are aligned to bytes.
	t, n := binary.Varint(b)
	if n <= 0 || n+8 > len(b) {
		return ts, vs, ErrTruncated
	}
	v := binary.BigEndian.Uint64(b[n:])
	b = b[n+8:]
	if t > maxTime {
		return ts, vs, nil
	}
	// Every sample but the first takes two bits at least.
	room := min(total, 1+4*len(b))
	ts, vs = append(slices.Grow(ts, room), t), append(slices.Grow(vs, room), math.Float64frombits(v))
	if total == 1 {
		return ts, vs, nil
	}
	delta, n := binary.Uvarint(b)
	if n <= 0 {
		return ts, vs, ErrTruncated
	}
	s := state{t: t, delta: int64(delta), v: v}
	k, err := s.decode(b[n:], total-1, maxTime, ts[len(ts):len(ts)+room-1], vs[len(vs):len(vs)+room-1])
	return ts[:len(ts)+k], vs[:len(vs)+k], err
}

// state is what a sample is decoded relative to.
type state struct {
	t, delta int64
	v        uint64
}

// decode reads n samples from bits, the highest of each byte first, into ts and
// vs, and returns how many there are. The time of the first of them is
// s.t+s.delta. A chunk that does not fit into ts is truncated.
//
// All state is in local variables, to be kept in registers. acc holds the next
// bits, left-aligned. Only the first have of them count; what follows them is
// zero, or the bits that come next anyway. have falls below 0 when more was
// taken than there is. It is 56 at least after bits were loaded where enough are
// left, which does for all of a sample but distances and values in many bits.
func (s state) decode(b []byte, n int, maxTime int64, ts []int64, vs []float64) (int, error) {
	var (
		t, delta, v = s.t, s.delta, s.v
		acc         uint64
		have        int
		p           int // of the next byte to load
		// The bits that changed in the last value that brought its own window:
		// sig of them, above trail that did not. A window that sticks out of the
		// value, in bytes that are no chunk, changes nothing.
		sig, trail = 64, uint8(0)
	)
	for i := range n {
		if p+8 <= len(b) {
			acc |= binary.BigEndian.Uint64(b[p:]) >> (uint(have) & 63)
			p += (63 - have) >> 3
			have |= 56
		} else {
			acc, have, p = loadTail(b, acc, have, p)
		}
		if i > 0 {
			switch bits.LeadingZeros64(^acc) { // the number of ones
			case 0:
				acc <<= 1
				have--
			case 1:
				delta += signed(acc<<2>>50, 14)
				acc <<= 16
				have -= 16
			case 2:
				delta += signed(acc<<3>>47, 17)
				acc <<= 20
				have -= 20
			case 3:
				delta += signed(acc<<4>>44, 20)
				acc <<= 24
				have -= 24
			default:
				var dod uint64
				dod, acc, have, p = take(b, acc<<4, have-4, p, 64)
				delta += int64(dod)
				acc, have, p = loadTail(b, acc, have, p)
			}
		}
		t += delta
		if acc>>63 == 0 {
			acc <<= 1
			have--
		} else {
			if acc>>62 == 0b11 { // 2 bits control, 5 leading zeros, 6 significant bits
				lead := uint8(acc>>57) & 31
				sig = int(acc>>51) & 63
				if sig == 0 {
					sig = 64
				}
				trail = 64 - lead - uint8(sig)
				acc <<= 13
				have -= 13
			} else {
				acc <<= 2
				have -= 2
			}
			if sig > have && p+8 <= len(b) {
				acc |= binary.BigEndian.Uint64(b[p:]) >> (uint(have) & 63)
				p += (63 - have) >> 3
				have |= 56
			}
			if sig <= have {
				v ^= acc >> (uint(64-sig) & 63) << trail
				acc <<= uint(sig)
				have -= sig
			} else {
				var changed uint64
				changed, acc, have, p = take(b, acc, have, p, sig)
				v ^= changed << trail
			}
		}
		if have < 0 || i >= len(ts) || i >= len(vs) {
			return i, ErrTruncated
		}
		if t > maxTime {
			return i, nil
		}
		ts[i], vs[i] = t, math.Float64frombits(v)
	}
	return n, nil
}

// signed reads an n-bit number of which the values above 1<<(n-1) stand for
// negative ones.
func signed(u uint64, n uint) int64 {
	if u > 1<<(n-1) {
		return int64(u) - 1<<n
	}
	return int64(u)
}

// loadTail loads what fits into acc byte by byte, to the end of b. It does
// nothing once more was taken than there is.
func loadTail(b []byte, acc uint64, have, p int) (uint64, int, int) {
	for have >= 0 && have <= 56 && p < len(b) {
		acc |= uint64(b[p]) << (56 - uint(have))
		p++
		have += 8
	}
	return acc, have, p
}

// take takes n bits, up to 64, of which acc need not have all.
func take(b []byte, acc uint64, have, p, n int) (x, accAfter uint64, haveAfter, pAfter int) {
	if have >= 32 && n > 32 && p+8 <= len(b) { // in two halves
		x = acc >> 32
		acc, have, n = acc<<32, have-32, n-32
		acc |= binary.BigEndian.Uint64(b[p:]) >> (uint(have) & 63)
		p += (63 - have) >> 3
		have |= 56
		return x<<uint(n) | acc>>uint(64-n), acc << uint(n), have - n, p
	}
	for n > 0 && have >= 0 {
		if have == 0 || have < min(n, 8) {
			acc, have, p = loadTail(b, acc, have, p)
		}
		k := min(n, max(have, 1), 56)
		x = x<<uint(k) | acc>>uint(64-k)
		acc <<= uint(k)
		have -= k
		n -= k
	}
	return x, acc, have, p
}
