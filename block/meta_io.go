package block

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/efficientgo/core/errcapture"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// maxMetaBytes bounds what is read of a meta.json. A block of ten thousand
// sources and as many segments is far below.
const maxMetaBytes = 16 << 20

// FetchMeta reads a block's meta.json from a bucket.
//
// Errors: ErrNotFound if there is none, which is a block that does not exist or
// is not whole; *MetaError, *UnsupportedError, the bucket's.
// Cost: one request.
func FetchMeta(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID) (*Meta, error) {
	_, m, err := fetchMeta(ctx, bkt, id)
	return m, err
}

// fetchMeta returns the bytes as well.
func fetchMeta(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID) ([]byte, *Meta, error) {
	b, err := getObject(ctx, bkt, ObjectName(id, MetaFile), maxMetaBytes)
	if errors.Is(err, errTooLarge) {
		return nil, nil, &MetaError{Block: id, File: MetaFile, Err: err}
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := parseMetaOf(id, b)
	return b, m, err
}

// getObject reads a whole object.
//
// Errors: ErrNotFound, errTooLarge, io.ErrUnexpectedEOF for less than the bucket
// says that it is, the bucket's.
func getObject(ctx context.Context, bkt objstore.BucketReader, name string, maxSize int64) (b []byte, err error) {
	r, err := expectNotFound(bkt).Get(ctx, name)
	if err != nil {
		return nil, objectError(bkt, "get", name, err)
	}
	defer errcapture.Do(&err, r.Close, "close %s", name)
	size, sizeErr := objstore.TryToGetSize(r)
	b, err = readBounded(r, maxSize)
	if err == nil && sizeErr == nil && int64(len(b)) < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, objectError(bkt, "read", name, err)
	}
	return b, nil
}

// expectNotFound keeps a bucket's own metrics from counting objects that are not
// there as failures.
func expectNotFound(bkt objstore.BucketReader) objstore.BucketReader {
	if b, ok := bkt.(objstore.InstrumentedBucketReader); ok {
		return b.ReaderWithExpectedErrs(bkt.IsObjNotFoundErr)
	}
	return bkt
}

// objectError says what failed on which object, and is an ErrNotFound if it is
// not there.
func objectError(bkt objstore.BucketReader, verb, name string, err error) error {
	if bkt.IsObjNotFoundErr(err) {
		err = &notFoundError{err}
	}
	return fmt.Errorf("%s %s: %w", verb, name, err)
}

// ReadMeta reads the meta.json of a block in a directory. If the directory is
// named by a ULID, it is to be that block's.
//
// Errors: ErrNotFound, *MetaError, *UnsupportedError, those of reading.
func ReadMeta(dir string) (*Meta, error) {
	id, named := ParseID(filepath.Base(dir))
	b, err := readLocal(filepath.Join(dir, MetaFile), maxMetaBytes)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, &MetaError{Block: id, File: MetaFile, Err: err}
	case err != nil:
		return nil, fmt.Errorf("read meta.json: %w", err)
	case named:
		return parseMetaOf(id, b)
	}
	return ParseMeta(b)
}

// WriteMeta writes meta.json into a directory: to a temporary file that is
// synced and renamed, so that it is there as a whole or not at all.
//
// Errors: those of Meta.Encode, and of the file system.
func WriteMeta(dir string, m *Meta) (err error) {
	b, err := m.Encode()
	if err != nil {
		return err
	}
	l, err := openLocal(dir, nil)
	if err != nil {
		return fmt.Errorf("write meta.json: %w", err)
	}
	defer errcapture.Do(&err, l.close, "close %s", dir)
	if err := l.writeBytes(MetaFile, b); err != nil {
		return fmt.Errorf("write meta.json: %w", err)
	}
	return nil
}
