package block

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/efficientgo/core/errcapture"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/index"
	"github.com/thanos-io/objstore"
)

// objectFiles returns the files of a block in a bucket, without meta.json and
// marks, sorted: those that meta.json names, or, where it names no index or no
// segments, those that are there. Sizes are 0 where only the object says.
//
// Errors: the bucket's.
func objectFiles(ctx context.Context, bkt objstore.BucketReader, m *Meta) ([]File, error) {
	files := m.Segments()
	if len(files) == 0 {
		var err error
		if files, err = listSegments(ctx, bkt, m); err != nil {
			return nil, err
		}
	}
	segments := fileMap(files)
	for _, f := range m.Thanos.Files {
		_, mark := markOf(f.RelPath)
		_, segment := segments[f.RelPath]
		if !mark && !segment && f.RelPath != MetaFile {
			files = append(files, f)
		}
	}
	if _, ok := m.File(IndexFile); !ok {
		files = append(files, File{RelPath: IndexFile})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.RelPath, b.RelPath) })
	return files, nil
}

// listSegments returns the segments that are in a bucket.
func listSegments(ctx context.Context, bkt objstore.BucketReader, m *Meta) ([]File, error) {
	var files []File
	dir := ObjectName(m.ULID, ChunksDir)
	err := bkt.Iter(ctx, dir, func(name string) error {
		if _, file := cutObject(name); isSegment(file) {
			files = append(files, File{RelPath: file})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return files, nil
}

// hasFile reports whether a local file is there and has the size and hash that it
// is to have.
func hasFile(path string, want File) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() || want.SizeBytes != 0 && info.Size() != want.SizeBytes {
		return false, nil
	}
	if want.Hash == nil || want.Hash.Func != HashSHA256 {
		return true, nil
	}
	h, err := hashFile(path, HashSHA256)
	if err != nil {
		return false, err
	}
	return h.Value == want.Hash.Value, nil
}

// fetchFile fetches a file unless it is there.
func (d *download) fetchFile(ctx context.Context, file File) (err error) {
	name := ObjectName(d.id, file.RelPath)
	size, err := d.sizeOf(ctx, name, file)
	if err != nil {
		return err
	}
	file.SizeBytes = size
	path := filepath.Join(d.to.root.Name(), filepath.FromSlash(file.RelPath))
	if there, err := hasFile(path, file); there || err != nil {
		return err
	}
	r, err := d.bkt.Get(ctx, name)
	if err != nil {
		return objectError(d.bkt, "get", name, err)
	}
	defer errcapture.Do(&err, r.Close, "close %s", name)
	objectSize, sizeErr := objstore.TryToGetSize(r)
	if sizeErr == nil && objectSize != size {
		return d.corrupt(file, fmt.Errorf("%d bytes instead of %d", objectSize, size))
	}
	return d.to.write(file.RelPath, func(w io.Writer) error { return d.copy(w, r, file) })
}

// sizeOf returns the size that a file is to have: what meta.json says, or what
// the bucket does.
func (d *download) sizeOf(ctx context.Context, name string, file File) (int64, error) {
	if file.SizeBytes > 0 {
		return file.SizeBytes, nil
	}
	attrs, err := d.bkt.Attributes(ctx, name)
	if err != nil {
		return 0, objectError(d.bkt, "look at", name, err)
	}
	return attrs.Size, nil
}

// copy copies a file, and fails unless it is what it is to be.
func (d *download) copy(w io.Writer, r io.Reader, file File) error {
	check := &checkWriter{}
	if file.Hash != nil && file.Hash.Func == HashSHA256 {
		check.sum = sha256.New()
	}
	buf := make([]byte, max(min(copyBuffer, file.SizeBytes), 1)) // meta.json can say what it likes
	// One more byte, to see whether there are more.
	n, err := io.CopyBuffer(io.MultiWriter(w, check), io.LimitReader(r, file.SizeBytes+1), buf)
	switch {
	case err != nil:
		return fmt.Errorf("copy %s: %w", file.RelPath, err)
	case n < file.SizeBytes:
		// The object has the right size, or none that is known: this is a connection
		// that ended early rather than a block that is corrupt.
		return fmt.Errorf("copy %s: %d bytes of %d: %w", file.RelPath, n, file.SizeBytes, io.ErrUnexpectedEOF)
	case n > file.SizeBytes:
		return d.corrupt(file, fmt.Errorf("more than %d bytes", file.SizeBytes))
	case check.sum != nil && hex.EncodeToString(check.sum.Sum(nil)) != file.Hash.Value:
		return d.corrupt(file, fmt.Errorf("SHA256 is %x instead of %s", check.sum.Sum(nil), file.Hash.Value))
	}
	what, err := checkHead(file.RelPath, check.head)
	if what != "" {
		return &UnsupportedError{Block: d.id, File: file.RelPath, What: what}
	}
	if err != nil {
		return d.corrupt(file, err)
	}
	return nil
}

func (d *download) corrupt(file File, err error) error {
	return &CorruptError{Block: d.id, File: file.RelPath, Err: err}
}

// copyBuffer is how many bytes of a file are read and written at a time.
const copyBuffer = 256 << 10

// headSize is the bytes of magic and version in an index and in a segment.
const headSize = 5

// checkWriter keeps the first bytes that pass, and hashes all.
type checkWriter struct {
	head []byte
	sum  hash.Hash
}

func (c *checkWriter) Write(p []byte) (int, error) {
	if n := headSize - len(c.head); n > 0 {
		c.head = append(c.head, p[:min(n, len(p))]...)
	}
	if c.sum != nil {
		return c.sum.Write(p)
	}
	return len(p), nil
}

// checkHead checks magic and version of an index or a segment. What has a version
// that is not known is named.
func checkHead(file string, head []byte) (unsupported string, err error) {
	var (
		magic    uint32
		versions []byte
	)
	switch {
	case file == IndexFile:
		magic, versions = index.MagicIndex, []byte{index.FormatV1, index.FormatV2}
	case isSegment(file):
		magic, versions = chunks.MagicChunks, []byte{1}
	default:
		return "", nil
	}
	if len(head) < headSize {
		return "", fmt.Errorf("%d bytes are no header", len(head))
	}
	if got := binary.BigEndian.Uint32(head); got != magic {
		return "", fmt.Errorf("magic number is %x instead of %x", got, magic)
	}
	if v := head[4]; !slices.Contains(versions, v) {
		return fmt.Sprintf("version %d", v), nil
	}
	return "", nil
}
