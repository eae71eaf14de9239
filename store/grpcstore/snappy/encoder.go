package snappy

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"
)

// The framed stream format: chunks of a type byte, a length of three bytes
// (little endian), and for data a checksum of four bytes before the data.
const (
	streamIdentifier = "\xff\x06\x00\x00sNaPpY"
	chunkCompressed  = 0x00
	chunkPlain       = 0x01
	chunkHeader      = 4
	checksumSize     = 4

	// blockSize is the most data of one chunk, uncompressed.
	blockSize = 64 << 10
	// pieceSize is the most that is written at once: gRPC copies every write to a
	// buffer of its pool, which has none between 32 KiB and 1 MiB.
	pieceSize = 32 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encoder writes one stream after another. s2.Writer does the same with three
// writes and as many allocations for each message.
type encoder struct {
	dst io.Writer
	in  []byte // less than a block, not yet written
	out []byte // the chunk being made
	// begun says that the stream identifier was written.
	begun bool
}

func newEncoder() *encoder {
	return &encoder{
		in:  make([]byte, 0, blockSize),
		out: make([]byte, 0, len(streamIdentifier)+chunkHeader+checksumSize+s2.MaxEncodedLen(blockSize)),
	}
}

// reset makes the encoder ready for a stream to dst.
func (e *encoder) reset(dst io.Writer) { e.dst, e.in, e.begun = dst, e.in[:0], false }

// Write takes data, of which whole blocks are written on at once.
func (e *encoder) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if len(e.in) == 0 && len(p) >= blockSize { // no need to gather it
			if err := e.block(p[:blockSize]); err != nil {
				return 0, err
			}
			p = p[blockSize:]
			continue
		}
		n := copy(e.in[len(e.in):blockSize], p)
		e.in, p = e.in[:len(e.in)+n], p[n:]
		if len(e.in) == blockSize {
			if err := e.flush(); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

// flush writes what was gathered.
func (e *encoder) flush() error {
	if len(e.in) == 0 {
		return nil
	}
	err := e.block(e.in)
	e.in = e.in[:0]
	return err
}

// block writes one chunk, with the stream identifier before the first.
func (e *encoder) block(b []byte) error {
	out := e.out[:0]
	if !e.begun {
		out = append(out, streamIdentifier...)
		e.begun = true
	}
	const head = chunkHeader + checksumSize
	at := len(out)
	body := s2.EncodeSnappy(out[at+head:cap(out)], b) // cap was made large enough
	kind := byte(chunkCompressed)
	if len(body) >= len(b)-len(b)/8 { // not worth decompressing
		kind = chunkPlain
		body = out[at+head : at+head+copy(out[at+head:cap(out)], b)]
	}
	out = out[:at+head+len(body)]
	binary.LittleEndian.PutUint32(out[at:], uint32(checksumSize+len(body))<<8|uint32(kind))
	crc := crc32.Checksum(b, castagnoli)
	binary.LittleEndian.PutUint32(out[at+chunkHeader:], (crc>>15|crc<<17)+0xa282ead8)
	for len(out) > 0 {
		n := min(len(out), pieceSize)
		if _, err := e.dst.Write(out[:n]); err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}
