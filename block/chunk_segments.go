package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/fileutil"
)

// The format of a segment: a header, then one record after the other, each
// uvarint length, encoding, data, CRC-32C of encoding and data.
//
// Source: prometheus/tsdb/docs/format/chunks.md.
const (
	segmentVersion = 1
	segmentHeader  = chunks.SegmentHeaderSize
	maxLengthSize  = chunks.MaxChunkLengthFieldSize
)

// castagnoli is the polynomial of every checksum in a block.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mapped is a file in memory that is not to be written to.
type mapped struct {
	io.Closer
	b []byte
}

// mapFile maps a file. What is empty has no bytes, and is none that a system
// would map.
func mapFile(name string) (mapped, error) {
	info, err := os.Stat(name)
	if err != nil {
		return mapped{}, err
	}
	if !info.Mode().IsRegular() {
		return mapped{}, fmt.Errorf("%s is no regular file", name)
	}
	if info.Size() == 0 {
		return mapped{Closer: io.NopCloser(nil)}, nil
	}
	f, err := fileutil.OpenMmapFile(name)
	if err != nil {
		return mapped{}, err
	}
	return mapped{Closer: f, b: f.Bytes()}, nil
}

// segments are the files with a block's chunks.
type segments struct {
	block ulid.ULID
	all   []segment
}

type segment struct {
	file string // relative to the block
	mapped
	err error // why nothing can be read from it
}

// openSegments maps the segments of a block. What is wrong with one of them is
// what reading from it says.
func openSegments(dir string, meta *Meta) (*segments, error) {
	names, err := segmentNames(dir, meta)
	if err != nil {
		return nil, err
	}
	s := &segments{block: meta.ULID, all: make([]segment, len(names))}
	for i, name := range names {
		s.all[i] = segment{file: name}
		s.all[i].mapped, err = mapFile(filepath.Join(dir, filepath.FromSlash(name)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			s.all[i].err = &CorruptError{Block: meta.ULID, File: name, Err: errSegmentMissing}
		case err != nil:
			return nil, errors.Join(fmt.Errorf("open block %s: %w", meta.ULID, err), s.Close())
		default:
			s.all[i].err = s.checkHeader(&s.all[i])
		}
	}
	return s, nil
}

// errSegmentMissing says that a segment that must be there is not.
var errSegmentMissing = errors.New("missing")

// segmentNames returns the files of segments, one for each number: those that
// meta.json names, else those that there are, with what is missing in between.
func segmentNames(dir string, meta *Meta) ([]string, error) {
	var names []string
	for _, f := range meta.Segments() {
		names = append(names, f.RelPath)
	}
	if names != nil {
		return names, nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, ChunksDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open block %s: %w", meta.ULID, err)
	}
	last := 0
	for _, e := range entries {
		if n, ok := segmentNumber(e.Name()); ok {
			last = max(last, n)
		}
	}
	for i := range last {
		names = append(names, SegmentName(i))
	}
	return names, nil
}

// segmentNumber returns the number in a segment's name, counted from 1. One so
// large that it cannot be the name of a segment is none.
func segmentNumber(name string) (int, bool) {
	n := 0
	for _, c := range []byte(name) {
		if c < '0' || c > '9' || n > 1<<20 {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, n > 0 && SegmentName(n-1) == ChunksDir+"/"+name
}

func (s *segments) checkHeader(g *segment) error {
	switch {
	case len(g.b) < segmentHeader:
		return s.corrupt(g, 0, "%d bytes, a header has %d", len(g.b), segmentHeader)
	case binary.BigEndian.Uint32(g.b) != chunks.MagicChunks:
		return s.corrupt(g, 0, "magic number %#x", binary.BigEndian.Uint32(g.b))
	case g.b[4] != segmentVersion:
		return &UnsupportedError{Block: s.block, File: g.file, What: fmt.Sprintf("segment version %d", g.b[4])}
	}
	return nil
}

func (s *segments) corrupt(g *segment, offset uint32, format string, args ...any) error {
	return &CorruptError{Block: s.block, File: g.file, Err: &OffsetError{Offset: int64(offset), Err: fmt.Errorf(format, args...)}}
}

// OffsetError is the cause of a CorruptError that has a place in its file.
type OffsetError struct {
	// Offset is in bytes from the start of the file.
	Offset int64
	Err    error
}

// Error returns "at OFFSET: cause".
func (e *OffsetError) Error() string { return fmt.Sprintf("at %d: %v", e.Offset, e.Err) }

// Unwrap returns the cause.
func (e *OffsetError) Unwrap() error { return e.Err }

// errChecksum says that bytes are not those that were written.
var errChecksum = errors.New("checksum mismatch")

// chunk reads and checks one chunk.
func (s *segments) chunk(m ChunkMeta) (Chunk, error) {
	number, off := m.Ref.Segment(), m.Ref.Offset()
	if number >= len(s.all) {
		return Chunk{}, &CorruptError{Block: s.block, File: SegmentName(number), Err: errSegmentMissing}
	}
	g := &s.all[number]
	if g.err != nil {
		return Chunk{}, g.err
	}
	if off < segmentHeader || uint64(off) >= uint64(len(g.b)) {
		return Chunk{}, s.corrupt(g, off, "no chunk can be there in %d bytes", len(g.b))
	}
	b := g.b[off:]
	size, n := binary.Uvarint(b[:min(len(b), maxLengthSize)])
	if n <= 0 {
		return Chunk{}, s.corrupt(g, off, "no length of a chunk")
	}
	if rest := len(b) - n - 1 - crc32.Size; rest < 0 || size > uint64(rest) {
		return Chunk{}, s.corrupt(g, off, "chunk of %d bytes, the segment ends after %d", size, len(b)-n)
	}
	end := n + 1 + int(size)
	if crc32.Checksum(b[n:end], castagnoli) != binary.BigEndian.Uint32(b[end:]) {
		return Chunk{}, s.corrupt(g, off, "chunk of %d bytes: %w", size, errChecksum)
	}
	c := Chunk{
		MinTime: m.MinTime, MaxTime: m.MaxTime,
		Encoding: chunkenc.Encoding(b[n]), Data: b[n+1 : end : end],
		Record: b[: end+crc32.Size : end+crc32.Size],
	}
	if !knownEncoding(c.Encoding) {
		return c, &UnsupportedError{Block: s.block, File: g.file, What: fmt.Sprintf("chunk encoding %d at %d", c.Encoding, off)}
	}
	return c, nil
}

// size returns the bytes of all segments that are there.
func (s *segments) size() (n int64) {
	for _, g := range s.all {
		n += int64(len(g.b))
	}
	return n
}

// Close unmaps the segments.
func (s *segments) Close() error {
	var errs []error
	for _, g := range slices.All(s.all) {
		if g.Closer != nil {
			errs = append(errs, g.Close())
		}
	}
	s.all = nil
	return errors.Join(errs...)
}
