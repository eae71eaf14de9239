package indexheader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/oklog/ulid/v2"
)

// The local file. Everything below is said in doc.go.
const (
	fileMagic   = "tkih"
	fileVersion = 1

	headSize  = 128
	nameSize  = 16
	valueSize = 16
	align     = 8
)

// errFile is what is wrong with a local file. It never leaves the package but
// through Open: whoever has the bucket builds the file anew.
var errFile = errors.New("not a sound index header")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// head is the fixed part at the beginning of the file.
type head struct {
	block        ulid.ULID
	indexVersion uint32
	symbols      uint32 // Of the index; strings below have names that are no symbols, too.
	strings      uint32
	names        uint32
	values       uint32
	allCount     uint32 // Entries of the list of all postings,
	allOff       uint64 // which lies there in the index.
	indexSize    uint64
	seriesStart  uint64 // Of the series section in the index.
	seriesEnd    uint64
	symbolsBase  uint64 // Of the first symbol in the index.
	stringsSize  uint64 // Of the strings in the file, without padding.
	bodyCRC      uint32
}

// sections returns where offsets, names and values begin, and how large the file
// is.
func (h *head) sections() (offsets, names, values, size uint64) {
	offsets = padded(headSize + h.stringsSize)
	names = padded(offsets + 4*uint64(h.strings))
	values = names + nameSize*(uint64(h.names)+1) // One more, which ends the last.
	return offsets, names, values, values + valueSize*uint64(h.values)
}

func padded(n uint64) uint64 { return (n + align - 1) / align * align }

// appendTo appends the head as it is in the file.
func (h *head) appendTo(b []byte) []byte {
	start := len(b)
	le := binary.LittleEndian
	b = append(b, fileMagic...)
	b = le.AppendUint32(b, fileVersion)
	b = append(b, h.block[:]...)
	for _, v := range []uint32{h.indexVersion, h.symbols, h.strings, h.names, h.values, h.allCount} {
		b = le.AppendUint32(b, v)
	}
	for _, v := range []uint64{h.allOff, h.indexSize, h.seriesStart, h.seriesEnd, h.symbolsBase, h.stringsSize} {
		b = le.AppendUint64(b, v)
	}
	b = le.AppendUint32(b, h.bodyCRC)
	b = append(b, make([]byte, headSize-4-(len(b)-start))...)
	return le.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseHead parses the beginning of a file. The body is not looked at.
func parseHead(b []byte) (head, error) {
	var h head
	if len(b) < headSize {
		return h, fmt.Errorf("%w: %d bytes", errFile, len(b))
	}
	le := binary.LittleEndian
	if string(b[:4]) != fileMagic {
		return h, fmt.Errorf("%w: magic %x", errFile, b[:4])
	}
	if v := le.Uint32(b[4:]); v != fileVersion {
		return h, fmt.Errorf("%w: version %d", errFile, v)
	}
	if le.Uint32(b[headSize-4:]) != crc32.Checksum(b[:headSize-4], castagnoli) {
		return h, fmt.Errorf("%w: checksum of its head", errFile)
	}
	copy(h.block[:], b[8:])
	for i, p := range []*uint32{&h.indexVersion, &h.symbols, &h.strings, &h.names, &h.values, &h.allCount} {
		*p = le.Uint32(b[24+4*i:])
	}
	for i, p := range []*uint64{&h.allOff, &h.indexSize, &h.seriesStart, &h.seriesEnd, &h.symbolsBase, &h.stringsSize} {
		*p = le.Uint64(b[48+8*i:])
	}
	h.bodyCRC = le.Uint32(b[96:])
	if h.stringsSize > 1<<34 || h.symbols > h.strings {
		return h, fmt.Errorf("%w: counts do not hold", errFile)
	}
	return h, nil
}
