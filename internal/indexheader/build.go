package indexheader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/efficientgo/core/errcapture"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"golang.org/x/sync/errgroup"

	"github.com/thanoskit/thanoskit/block"
)

// Options of Build. The zero value is usable.
type Options struct {
	// SmallIndex is the size in bytes up to which an index is read whole, by one
	// request. 0 is 512 KiB: what takes about as long to read as a request takes to
	// be answered.
	SmallIndex int64
	// Tail is how many bytes are read from the end of a larger index. 0 is a
	// sixteenth of it, but at least 64 KiB and at most 4 MiB.
	Tail int64

	// step is called before each step that leaves something behind: in tests.
	step func(string) error
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.SmallIndex == 0 {
		out.SmallIndex = 512 << 10
	}
	if out.step == nil {
		out.step = func(string) error { return nil }
	}
	return out
}

// tail returns how much of the end of an index of that size is read first.
func (o *Options) tail(size int64) int64 {
	n := o.Tail
	if n == 0 {
		n = min(max(size/16, 64<<10), 4<<20)
	}
	return min(max(n, tocSize), size)
}

// DiskError is a local file that could not be written: a full disk above all.
// Nothing is left of it.
type DiskError struct {
	Path string
	Err  error
}

// Error returns "write index header PATH: cause".
func (e *DiskError) Error() string { return fmt.Sprintf("write index header %s: %v", e.Path, e.Err) }

// Unwrap returns the cause.
func (e *DiskError) Unwrap() error { return e.Err }

// Build reads what is needed of a block's index and writes the local file, in
// place of one that is there. Its directory must exist.
//
// Errors: *block.CorruptError, *block.UnsupportedError, *DiskError;
// block.ErrNotFound if there is no index; others are the bucket's. The file is
// there as a whole or not at all, also when the process dies.
// Concurrency: not safe for two with the same path.
// Cost: requests as in the package's documentation; memory for symbols and the
// table of postings, twice.
func Build(ctx context.Context, bkt objstore.BucketReader, meta *block.Meta, path string, opts *Options) error {
	o := opts.withDefaults()
	r, err := readRemote(ctx, bkt, meta, &o)
	if err != nil {
		return err
	}
	pieces, err := r.encode()
	if version, ok := errors.AsType[unknownVersionError](err); ok {
		return &block.UnsupportedError{Block: r.block, File: block.IndexFile, What: version.Error()}
	}
	if err != nil {
		return &block.CorruptError{Block: r.block, File: block.IndexFile, Err: err}
	}
	w := fileWriter{step: o.step, sync: r.size > o.SmallIndex}
	if err := w.write(path, pieces); err != nil {
		return &DiskError{Path: path, Err: err}
	}
	return nil
}

// readRemote reads what is needed of an index.
func readRemote(ctx context.Context, bkt objstore.BucketReader, meta *block.Meta, o *Options) (*remote, error) {
	r := &remote{block: meta.ULID, size: meta.IndexSize()}
	f := indexFile{bkt: bkt, id: meta.ULID}
	if r.size <= 0 {
		attrs, err := bkt.Attributes(ctx, f.name())
		if err != nil {
			return nil, f.fail("look up", err)
		}
		r.size = attrs.Size
	}
	if r.size < minIndex {
		return nil, f.corrupt(fmt.Errorf("index of %d bytes", r.size))
	}
	tailSize := r.size
	if r.size > o.SmallIndex {
		tailSize = o.tail(r.size)
	}
	tail, err := f.read(ctx, r.size-tailSize, tailSize)
	if err != nil {
		return nil, err
	}
	if r.toc, err = parseTOC(tail, r.size); err != nil {
		return nil, f.corrupt(err)
	}
	have := r.size - tailSize // From there on.
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		if have == 0 {
			r.head = tail[:r.toc.series]
			return nil
		}
		r.head, err = f.read(gctx, 0, int64(r.toc.series))
		return err
	})
	g.Go(func() error {
		at := int64(r.toc.postingsTable)
		if at >= have {
			r.table = tail[at-have : tailSize-tocSize]
			return nil
		}
		missing, err := f.read(gctx, at, have-at)
		r.table = append(missing, tail[:tailSize-tocSize]...)
		return err
	})
	return r, g.Wait()
}

// indexFile is the index of a block in a bucket.
type indexFile struct {
	bkt objstore.BucketReader
	id  ulid.ULID
}

func (f indexFile) name() string { return block.ObjectName(f.id, block.IndexFile) }

func (f indexFile) corrupt(err error) error {
	return &block.CorruptError{Block: f.id, File: block.IndexFile, Err: err}
}

// fail returns an error of the bucket with what was done.
func (f indexFile) fail(verb string, err error) error {
	if f.bkt.IsObjNotFoundErr(err) {
		return fmt.Errorf("%s index of block %s: %w: %w", verb, f.id, block.ErrNotFound, err)
	}
	return fmt.Errorf("%s index of block %s: %w", verb, f.id, err)
}

// read reads a range. An object that ends before is corrupt.
func (f indexFile) read(ctx context.Context, off, n int64) (b []byte, err error) {
	body, err := f.bkt.GetRange(ctx, f.name(), off, n)
	if err != nil {
		return nil, f.fail("read", err)
	}
	defer errcapture.Do(&err, body.Close, "close index")
	b = make([]byte, n)
	got := 0
	for got < len(b) && err == nil {
		var k int
		k, err = body.Read(b[got:])
		got += k
	}
	switch {
	case got == len(b):
		return b, nil
	case errors.Is(err, io.EOF): // Not a broken connection, which is another error.
		return nil, f.corrupt(fmt.Errorf("%d of %d bytes at %d: %w", got, n, off, io.ErrUnexpectedEOF))
	}
	return nil, f.fail("read", err)
}

// tmpSuffix is that of a file that is being written. There is at most one, which
// the next one overwrites.
const tmpSuffix = ".tmp"

// fileWriter writes files so that they are there as a whole or not at all.
type fileWriter struct {
	step func(string) error
	// sync waits until the file is on disk. That is worth it for a file that takes
	// several requests to build: any file that a machine leaves behind when its power
	// fails is found out by its checksums, and built anew.
	sync bool
}

// write writes a file beside its place, and renames it.
func (w *fileWriter) write(path string, pieces [][]byte) (err error) {
	tmp := path + tmpSuffix
	defer func() {
		if err != nil && w.step("remove") == nil {
			_ = os.Remove(tmp) // It is overwritten by the next one if it stays.
		}
	}()
	if err := w.step("create"); err != nil {
		return err
	}
	if err := w.create(tmp, pieces); err != nil {
		return err
	}
	if err := w.step("rename"); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// create writes a file.
func (w *fileWriter) create(path string, pieces [][]byte) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, f.Close, "close")
	for _, p := range pieces {
		if err := w.step("write"); err != nil {
			return err
		}
		if _, err := f.Write(p); err != nil {
			return err
		}
	}
	if !w.sync {
		return nil
	}
	if err := w.step("sync"); err != nil {
		return err
	}
	return f.Sync()
}
