package indexheader_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/thanoskit/thanoskit/internal/indexheader"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FuzzParse parses local files, with checksums that hold: whatever is in them, no
// method panics.
func FuzzParse(f *testing.F) {
	for _, idx := range [][]byte{readV1(f), writeIndex(f, lsets(20))} {
		toc := idx[len(idx)-52:]
		b, err := indexheader.Encode(
			idx[:binary.BigEndian.Uint64(toc[8:])], idx[binary.BigEndian.Uint64(toc[40:]):len(idx)-52], toc, int64(len(idx)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		if len(b) >= 128 {
			binary.LittleEndian.PutUint32(b[96:], crc32.Checksum(b[128:], castagnoli))
			binary.LittleEndian.PutUint32(b[124:], crc32.Checksum(b[:124], castagnoli))
		}
		h, err := indexheader.Parse(b)
		if err != nil {
			return
		}
		use(h)
	})
}

// use calls everything that a header has.
func use(h *indexheader.Header) {
	for i := range h.Names() {
		v, _ := h.Values(string(h.Name(i)))
		for j := range v.Len() {
			_ = v.At(j)
			_ = v.Postings(j).Range()
		}
		_, _ = v.Search("m")
		_, _ = v.Prefixed("m")
	}
	for ref := range uint32(100) {
		_, _ = h.Symbol(ref)
	}
	_, _, _ = h.All(), h.Series(), h.SeriesCount()
}

// FuzzEncode reads indexes in which anything may be, with checksums that hold:
// what it makes of them is a sound file.
func FuzzEncode(f *testing.F) {
	for _, idx := range [][]byte{readV1(f), writeIndex(f, lsets(20))} {
		toc := idx[len(idx)-52:]
		f.Add(idx[:binary.BigEndian.Uint64(toc[8:])], idx[binary.BigEndian.Uint64(toc[40:]):len(idx)-52], toc[:48], int64(len(idx)))
	}
	f.Fuzz(func(t *testing.T, head, table, toc []byte, size int64) {
		if size > 1<<40 || size < 52 {
			return
		}
		head, table = bytes.Clone(head), bytes.Clone(table)
		fix := func(b []byte) {
			if len(b) >= 8 {
				binary.BigEndian.PutUint32(b, uint32(len(b)-8))
				binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b[4:len(b)-4], castagnoli))
			}
		}
		fix(table)
		if len(head) > 5 {
			fix(head[5:])
		}
		toc = binary.BigEndian.AppendUint32(bytes.Clone(toc), crc32.Checksum(toc, castagnoli))
		b, err := indexheader.Encode(head, table, toc, size)
		if err != nil {
			return
		}
		h, err := indexheader.Parse(b)
		if err != nil {
			t.Fatalf("own file: %v", err)
		}
		use(h)
	})
}
