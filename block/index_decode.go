package block

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// errShort says that a structure is cut off or says wrong lengths.
var errShort = errors.New("ends too early")

// decoder takes numbers from the front of bytes. After the first that is not
// there, all are 0 and bad is set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() {
	d.b, d.bad = nil, true
}

func (d *decoder) uvarint() uint64 {
	x, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return x
}

func (d *decoder) varint() int64 {
	x, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return x
}

func (d *decoder) be32() uint32 {
	if len(d.b) < 4 {
		d.fail()
		return 0
	}
	x := binary.BigEndian.Uint32(d.b)
	d.b = d.b[4:]
	return x
}

// bytes takes what has its length before it.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

// section returns what begins at off with 4 bytes of length and ends with its
// checksum.
func section(b []byte, off uint64) ([]byte, error) {
	if off > uint64(len(b)) || uint64(len(b))-off < 4+crc32.Size {
		return nil, errShort
	}
	b = b[off:]
	size := uint64(binary.BigEndian.Uint32(b))
	if size > uint64(len(b)-4-crc32.Size) {
		return nil, errShort
	}
	content, sum := b[4:4+size:4+size], b[4+size:]
	if crc32.Checksum(content, castagnoli) != binary.BigEndian.Uint32(sum) {
		return nil, errChecksum
	}
	return content, nil
}
