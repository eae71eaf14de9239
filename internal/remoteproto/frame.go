package remoteproto

import (
	"encoding/binary"
	"hash/crc32"
)

// MaxFrameBytes is the size of a frame above which a stream is taken for
// garbage, as by Prometheus' own client. Prometheus sends about 1 MiB at most.
const MaxFrameBytes = 50_000_000

// NewCRC returns the polynomial of the checksums of frames.
func NewCRC() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// AppendFrameHeader appends what precedes the body of a frame: the uvarint
// length of the body and its big-endian CRC-32 (Castagnoli).
//
// Source: ChunkedWriter in Prometheus' storage/remote/chunked.go.
func AppendFrameHeader(b, body []byte, crc *crc32.Table) []byte {
	b = binary.AppendUvarint(b, uint64(len(body)))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(body, crc))
}
