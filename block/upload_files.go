package block

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/efficientgo/core/errcapture"
)

// ListFiles returns what the files of the block in dir are to be called in
// meta.json: segments, index and meta.json, which has no size, sorted by path.
// Other files, such as tombstones and what is in chunks/ and is not named by a
// number, are not part of a block in a bucket.
//
// Errors: a missing index or chunks directory, one of these that is not a regular
// file.
func ListFiles(dir string, hash HashFunc) ([]File, error) {
	entries, err := os.ReadDir(filepath.Join(dir, ChunksDir))
	if err != nil {
		return nil, fmt.Errorf("list chunks: %w", err)
	}
	files := make([]File, 0, len(entries)+2)
	for _, e := range entries {
		if !isSegment(ChunksDir + "/" + e.Name()) {
			continue
		}
		f, err := statFile(dir, ChunksDir+"/"+e.Name(), hash)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	f, err := statFile(dir, IndexFile, hash)
	if err != nil {
		return nil, err
	}
	files = append(files, f, File{RelPath: MetaFile})
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.RelPath, b.RelPath) })
	return files, nil
}

// statFile describes one file.
func statFile(dir, name string, hash HashFunc) (File, error) {
	path := filepath.Join(dir, filepath.FromSlash(name))
	info, err := os.Lstat(path)
	if err != nil {
		return File{}, err
	}
	if !info.Mode().IsRegular() {
		return File{}, fmt.Errorf("%s is not a regular file: %w", path, fs.ErrInvalid)
	}
	f := File{RelPath: name, SizeBytes: info.Size()}
	if hash != HashNone {
		if f.Hash, err = hashFile(path, hash); err != nil {
			return File{}, err
		}
	}
	return f, nil
}

// hashFile reads and hashes a file.
func hashFile(path string, hash HashFunc) (h *Hash, err error) {
	if hash != HashSHA256 {
		return nil, fmt.Errorf("hash function %q: %w", hash, errors.ErrUnsupported)
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer errcapture.Do(&err, f.Close, "close %s", path)
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, err
	}
	return &Hash{Func: hash, Value: hex.EncodeToString(sum.Sum(nil))}, nil
}
