package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"

	"github.com/prometheus/prometheus/tsdb/chunks"
)

// segmentWriter writes chunks into segments.
type segmentWriter struct {
	dir  string // of the block
	size uint64 // that a segment does not pass, unless by a single chunk
	step stepFunc
	cur  *fileWriter
	done []File
	head [maxLengthSize + 1]byte
	sum  [crc32.Size]byte
}

func (w *segmentWriter) write(c *Chunk) (ChunkRef, error) {
	if uint64(len(c.Data)) > math.MaxUint32/2 {
		return 0, fmt.Errorf("chunk of %d bytes is too large for a segment", len(c.Data))
	}
	most := uint64(maxLengthSize + 1 + len(c.Data) + crc32.Size)
	if w.cur == nil || (w.cur.pos+most > w.size && w.cur.pos > segmentHeader) {
		if err := w.cut(); err != nil {
			return 0, err
		}
	}
	ref := ChunkRef(uint64(len(w.done))<<32 | w.cur.pos)
	if c.Record != nil {
		_, err := w.cur.Write(c.Record)
		return ref, err
	}
	n := binary.PutUvarint(w.head[:], uint64(len(c.Data)))
	w.head[n] = byte(c.Encoding)
	sum := crc32.Update(crc32.Checksum(w.head[n:n+1], castagnoli), castagnoli, c.Data)
	binary.BigEndian.PutUint32(w.sum[:], sum)
	for _, b := range [][]byte{w.head[:n+1], c.Data, w.sum[:]} {
		if _, err := w.cur.Write(b); err != nil {
			return 0, err
		}
	}
	return ref, nil
}

// cut ends a segment and begins the next one.
func (w *segmentWriter) cut() error {
	if err := w.finishSegment(); err != nil {
		return err
	}
	dir := filepath.Join(w.dir, ChunksDir)
	if len(w.done) == 0 {
		if err := w.step.do("mkdir", dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o777); err != nil { //nolint:gosec // As Prometheus writes blocks: who may read them is the umask's to say.
			return err
		}
	}
	f, err := createFile(filepath.Join(w.dir, filepath.FromSlash(SegmentName(len(w.done)))), 1<<20, w.step)
	if err != nil {
		return err
	}
	w.cur = f
	header := binary.BigEndian.AppendUint32(nil, chunks.MagicChunks)
	header = append(header, segmentVersion, 0, 0, 0)
	_, err = f.Write(header)
	return err
}

func (w *segmentWriter) finishSegment() error {
	if w.cur == nil {
		return nil
	}
	w.end()
	err := w.cur.finish()
	w.cur = nil
	return err
}

// end notes the last segment, to which nothing is written from then on.
func (w *segmentWriter) end() {
	if w.cur != nil {
		w.done = append(w.done, File{RelPath: SegmentName(len(w.done)), SizeBytes: int64(w.cur.pos)})
	}
}

// finish puts the last segment on disk, after end.
func (w *segmentWriter) finish() error {
	if w.cur == nil {
		return nil
	}
	err := w.cur.finish()
	if w.cur = nil; err != nil {
		return err
	}
	return syncPath(filepath.Join(w.dir, ChunksDir), w.step)
}

// abort closes what is open.
func (w *segmentWriter) abort() error {
	return w.cur.close()
}

// errRecord says that a Record is not what it says.
var errRecord = errors.New("record is not that of the chunk")

// checkRecord tells whether a Record holds the chunk's data.
func checkRecord(c *Chunk) error {
	size, n := binary.Uvarint(c.Record)
	if n <= 0 || size != uint64(len(c.Data)) || len(c.Record) != n+1+len(c.Data)+crc32.Size || c.Record[n] != byte(c.Encoding) {
		return errRecord
	}
	return nil
}
