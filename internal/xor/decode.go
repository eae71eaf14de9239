package xor

import (
	"encoding/binary"
	"errors"
	"math"
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
// input; no other allocation. All samples are decoded, whatever maxTime is.
// Source: Prometheus, tsdb/docs/format/chunks.md, "XOR chunk data", and
// tsdb/chunkenc/xor.go.
func Decode(b []byte, maxTime int64, ts []int64, vs []float64) (_ []int64, _ []float64, err error) {
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
	from := len(ts)
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
	d := decoder{t: t, delta: int64(delta), v: v, sig: 64}
	k := 1 + d.decode(b[n:], ts[from+1:from+room], vs[from+1:from+room])
	if maxTime < math.MaxInt64 {
		for i, t := range ts[from : from+k] {
			if t > maxTime {
				return ts[:from+i], vs[:from+i], nil
			}
		}
	}
	if k < total {
		err = ErrTruncated
	}
	return ts[:from+k], vs[:from+k], err
}

// decoder is what the next sample is decoded relative to.
type decoder struct {
	t     int64 // of the sample before
	delta int64 // to the next
	v     uint64
	// The bits that changed in the last value that brought its own window: sig of
	// them, above trail that did not. A window that sticks out of the value, in
	// bytes that are no chunk, changes nothing: trail is 64 or more then.
	sig, trail uint
}

const (
	// mostBytes is how many bytes are looked at for a value and the distance after it,
	// or written for a distance and its value, at most, whatever bit of the first they
	// begin at: they have 13+64 and 4+64 bits, and are loaded and stored 8 bytes at a
	// time.
	mostBytes = 19 + 8
	// tailBytes is how many bytes may be left to the copy of a chunk's end.
	tailBytes = 64 - mostBytes
)

// decode reads samples until ts and vs, which are as long, are full or there are no
// more, and returns how many there are.
func (d *decoder) decode(b []byte, ts []int64, vs []float64) int {
	n, pos := 0, uint(0)
	if len(b) > tailBytes {
		n, pos = d.run(b, 0, 8*uint(len(b)-mostBytes), ts, vs)
		if n == len(ts) {
			return n
		}
		change, next := distance(b, pos)
		d.delta += change
		b, pos = b[next/8:], next%8
	}
	// What is left is decoded with as many bytes behind it as are looked at.
	var tail [tailBytes + mostBytes]byte
	end := 8 * uint(copy(tail[:tailBytes], b))
	k, pos := d.run(tail[:], pos, end, ts[n:], vs[n:])
	if pos > end {
		k-- // the last one is not whole
	}
	return n + k
}

// run reads samples from the bits of b, the highest of each byte first: the value of
// the first one is at pos. It stops behind a value that ends after end, from where on
// there are mostBytes bytes, and returns how many samples there are and where the
// last one ends.
//
// Where a bit is follows from the lengths of what is before it, which are constants
// but for that of a value: a processor that guesses branches does not wait for what
// it has loaded before it loads the next. What is seldom is not done here, so that
// all state is in registers.
func (d *decoder) run(b []byte, pos, end uint, ts []int64, vs []float64) (int, uint) {
	var (
		t, delta, v = d.t, d.delta, d.v
		sig, trail  = d.sig, d.trail
		n           = 0
	)
	vs = vs[:len(ts)]
	w := int64(load(b, pos)) // a bit is set if it is negative
	for n < len(ts) {
		t += delta
		if w >= 0 {
			pos++
		} else {
			if w<<1 >= 0 {
				pos += 2
			} else { // 5 bits of leading zeros and 6 of significant bits follow
				sig = (uint(w>>51)-1)&63 + 1 // 64 are written as 0
				trail = 64 - uint(w>>57)&31 - sig
				pos += 13
			}
			var x uint64
			if sig <= leastLoaded {
				x = load(b, pos)
			} else {
				x = load64(b, pos)
			}
			if trail < 64 {
				v ^= x >> ((64 - sig) & 63) << trail
			}
			pos += sig
		}
		ts[n], vs[n] = t, math.Float64frombits(v)
		n++
		if pos > end || n == len(ts) {
			break
		}
		switch w = int64(load(b, pos)); {
		case w >= 0:
			w <<= 1
			pos++
		case w<<1 >= 0:
			delta += signed(uint64(w)<<2, 14)
			w <<= 16
			pos += 16
		default:
			var change int64
			change, pos = distance(b, pos)
			delta += change
			w = int64(load(b, pos))
		}
	}
	d.t, d.delta, d.v, d.sig, d.trail = t, delta, v, sig, trail
	return n, pos
}

// distance reads by how much the distance of two samples differs from that of the
// two before, and returns what is behind it as well.
func distance(b []byte, pos uint) (change int64, next uint) {
	switch w := load(b, pos); {
	case w < 0b10<<62:
		return 0, pos + 1
	case w < 0b110<<61:
		return signed(w<<2, 14), pos + 16
	case w < 0b1110<<60:
		return signed(w<<3, 17), pos + 20
	case w < 0b1111<<60:
		return signed(w<<4, 20), pos + 24
	default:
		return int64(load64(b, pos+4)), pos + 68
	}
}

// leastLoaded is how many bits load returns at least.
const leastLoaded = 57

// load returns the bits of b from pos on, the first at the top.
func load(b []byte, pos uint) uint64 {
	p := pos / 8
	return binary.BigEndian.Uint64(b[p:p+8:p+8]) << (pos % 8)
}

// load64 is load of 64 bits.
func load64(b []byte, pos uint) uint64 {
	return load(b, pos) | uint64(b[pos/8+8])>>(8-pos%8)
}

// signed reads the number in the highest n bits, in which 1<<(n-1) is the greatest
// and not the least.
func signed(w uint64, n uint) int64 { return int64(w-1<<(64-n))>>(64-n) + 1 }
