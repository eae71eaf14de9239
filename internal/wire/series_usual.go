package wire

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/encoded"
)

// This file decodes a series in the one form in which every StoreAPI server
// writes it: canonical labels, then chunks, all tags of one byte, lengths that
// fit, nothing unknown. It never reports an error: on whatever it does not
// expect it gives up, and anySeries decides.

// Tags of the fields.
const (
	tagLabel = 1<<3 | 2 // Series.labels
	tagChunk = 2<<3 | 2 // Series.chunks

	tagName  = 1<<3 | 2 // Label.name
	tagValue = 2<<3 | 2 // Label.value

	tagMinTime = 1 << 3   // AggrChunk.min_time
	tagMaxTime = 2 << 3   // AggrChunk.max_time
	tagRaw     = 3<<3 | 2 // AggrChunk.raw
	tagCount   = 4<<3 | 2 // AggrChunk.count
	tagSum     = 5<<3 | 2 // AggrChunk.sum
	tagMin     = 6<<3 | 2 // AggrChunk.min
	tagMax     = 7<<3 | 2 // AggrChunk.max
	tagCounter = 8<<3 | 2 // AggrChunk.counter

	tagType = 1 << 3   // Chunk.type
	tagData = 2<<3 | 2 // Chunk.data
	tagHash = 3 << 3   // Chunk.hash
)

// usualSeries decodes the body of a Series into s. False means that nothing is
// known about it; chunks may have been added.
func (d *Decoder) usualSeries(b []byte, s *encoded.Series) (ok bool, err error) {
	p := canonicalLabels(b)
	s.Labels = b[:p:p]
	for p < len(b) {
		if b[p] != tagChunk {
			return false, nil
		}
		body, next := lengthDelimited(b, p+1)
		if next < 0 {
			return false, nil
		}
		c, err := d.addChunk(body)
		if err != nil {
			return false, err
		}
		if !d.usualChunk(body, c) {
			return false, nil
		}
		p = next
	}
	s.Chunks = d.seriesChunks()
	return true, nil
}

// What a label entry looks like whose lengths take one byte: tag, length, tag,
// length, name; tag, length, value. The highest bit of a length is not set.
const (
	entryMask, entryWant = 0x80ff80ff, tagName<<16 | tagLabel
	valueMask, valueWant = 0x80ff, tagValue
)

// canonicalLabels returns the length of the longest run of label entries at the
// start of b that is a label set in canonical form, as package encoded defines
// it. It does not recognise entries of 16 KiB and more.
func canonicalLabels(b []byte) int {
	var prevKey uint64
	prevFrom, prevTo := 0, 0
	p := 0
	for p+6 <= len(b) { // the shortest entry has no name and no value
		// That the entry's own length says where the next begins, and the rest
		// is only checked, lets the processor begin with the next meanwhile.
		head := binary.LittleEndian.Uint32(b[p:])
		from, next := p+4, p+2+int(head>>8&0xff)
		to := from + int(head>>24)
		ok := false
		if head&entryMask == entryWant && next <= len(b) && to+2 <= next {
			value := binary.LittleEndian.Uint16(b[to:])
			ok = value&valueMask == valueWant && to+2+int(value>>8) == next
		}
		if !ok {
			if from, to, next = longEntry(b, p); next < 0 {
				return p
			}
		}
		// Names ascend. The first eight bytes mostly tell.
		key := firstEight(b[from:], to-from)
		if key <= prevKey && p > 0 && (key < prevKey || bytes.Compare(b[prevFrom:prevTo], b[from:to]) >= 0) {
			return p
		}
		prevFrom, prevTo, prevKey, p = from, to, key, next
	}
	return p
}

// longEntry returns where the name of the label entry at p is, and where the
// entry ends; -1 if it is not in canonical form, or has 16 KiB and more. There
// are six bytes at p.
func longEntry(b []byte, p int) (from, to, next int) {
	n, body := shortLen(b, p+1)
	if next = body + n; b[p] != tagLabel || n < 4 || next > len(b) || b[body] != tagName {
		return 0, 0, -1
	}
	e := b[:next]
	n, from = shortLen(e, body+1)
	if to = from + n; n < 0 || to+2 > len(e) || e[to] != tagValue {
		return 0, 0, -1
	}
	if n, value := shortLen(e, to+1); n < 0 || value+n != len(e) {
		return 0, 0, -1
	}
	return from, to, next
}

// shortLen reads a length of one or two bytes, in its shortest form, at p, which
// is inside b. Any other is -1.
func shortLen(b []byte, p int) (n, next int) {
	n = int(b[p])
	if n < 0x80 {
		return n, p + 1
	}
	if p+1 < len(b) {
		if hi := int(b[p+1]); hi > 0 && hi < 0x80 {
			return n&0x7f | hi<<7, p + 2
		}
	}
	return -1, p
}

// firstEight returns the first n bytes of b, at most eight, as a number that
// sorts as they do: padded with zeros.
func firstEight(b []byte, n int) uint64 {
	if len(b) < 8 {
		var x uint64
		for i := range min(n, len(b)) {
			x |= uint64(b[i]) << (56 - 8*i)
		}
		return x
	}
	x := binary.BigEndian.Uint64(b)
	if n < 8 {
		x &^= ^uint64(0) >> (8 * n)
	}
	return x
}

// usualChunk decodes the body of an AggrChunk into c.
func (d *Decoder) usualChunk(b []byte, c *encoded.Chunk) bool {
	for p := 0; p < len(b); {
		tag := b[p]
		switch tag {
		case tagMinTime, tagMaxTime:
			x, next := uvarint(b, p+1)
			if next < 0 {
				return false
			}
			if p = next; tag == tagMinTime {
				c.MinTime = int64(x)
			} else {
				c.MaxTime = int64(x)
			}
		case tagRaw, tagCount, tagSum, tagMin, tagMax, tagCounter:
			body, next := lengthDelimited(b, p+1)
			if next < 0 || !usualData(body, d.dataOf(c, protowire.Number(tag>>3))) {
				return false
			}
			p = next
		default:
			return false
		}
	}
	return true
}

// usualData decodes the body of a Chunk.
func usualData(b []byte, into *encoded.Data) bool {
	if into.Encoding == chunkenc.EncNone {
		into.Encoding = chunkenc.EncXOR
	}
	for p := 0; p < len(b); {
		switch b[p] {
		case tagData:
			body, next := lengthDelimited(b, p+1)
			if next < 0 {
				return false
			}
			into.Bytes = body
			p = next
		case tagType:
			if p+1 == len(b) || b[p+1] >= byte(lastEncoding) {
				return false
			}
			into.Encoding = chunkenc.Encoding(b[p+1] + 1)
			p += 2
		case tagHash:
			_, next := uvarint(b, p+1)
			if next < 0 {
				return false
			}
			p = next
		default:
			return false
		}
	}
	return true
}

// lengthDelimited reads a length at p, at most len(b), and returns what it
// spans, and where that ends; -1 if it is damaged.
func lengthDelimited(b []byte, p int) (body []byte, next int) {
	var n uint64
	if len(b)-p >= 2 && b[p+1] < 0x80 && b[p] >= 0x80 {
		n, p = uint64(b[p]&0x7f)|uint64(b[p+1])<<7, p+2
	} else if n, p = uvarint(b, p); p < 0 {
		return nil, -1
	}
	if n > uint64(len(b)-p) {
		return nil, -1
	}
	next = p + int(n)
	return b[p:next:next], next
}

// uvarint reads a varint at p, at most len(b), and returns where it ends; -1 if
// it is damaged.
func uvarint(b []byte, p int) (x uint64, next int) {
	if len(b)-p < 8 {
		return anyVarint(b, p)
	}
	x = binary.LittleEndian.Uint64(b[p:])
	ends := ^x & 0x8080808080808080 // the highest bit of the last byte is not set
	if ends == 0 {
		return anyVarint(b, p)
	}
	x &= ends ^ (ends - 1) // up to the last byte
	// Close the gaps between 8 groups of 7 bits, then 4 of 14, then 2 of 28.
	x = x&0x007f007f007f007f | x&0x7f007f007f007f00>>1
	x = x&0x00003fff00003fff | x&0x3fff00003fff0000>>2
	x = x&0x000000000fffffff | x&0x0fffffff00000000>>4
	return x, p + (bits.TrailingZeros64(ends)+1)/8
}

func anyVarint(b []byte, p int) (x uint64, next int) {
	x, n := protowire.ConsumeVarint(b[p:])
	if n < 0 {
		return 0, -1
	}
	return x, p + n
}
