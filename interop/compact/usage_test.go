package compact_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"github.com/thanos-io/objstore"
)

// usage is what a run takes of a bucket and of a disk.
type usage struct {
	read, sent int64 // bytes of objects
	disk       int64 // the most bytes that were in the directory of the run at a time
}

// written is how many bytes a run wrote to its disk: what it downloaded, and what it
// made and uploaded.
func (u usage) written() int64 { return u.read + u.sent }

func (u usage) String() string {
	return fmt.Sprintf("%d bytes read from the bucket, %d on disk at most, %d written there", u.read, u.disk, u.written())
}

// meteredBucket measures usage. The directory is looked at before each upload: in
// between it only grows, and nothing in it is removed before what was made of it is
// uploaded.
type meteredBucket struct {
	objstore.Bucket

	mu    sync.Mutex
	dir   string
	usage usage
}

// begin begins a run in a directory.
func (b *meteredBucket) begin(dir string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dir, b.usage = dir, usage{}
}

func (b *meteredBucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := b.Bucket.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return &meteredBody{r, b}, nil
}

func (b *meteredBucket) GetRange(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	r, err := b.Bucket.GetRange(ctx, name, off, length)
	if err != nil {
		return nil, err
	}
	return &meteredBody{r, b}, nil
}

func (b *meteredBucket) Upload(ctx context.Context, name string, r io.Reader, opts ...objstore.ObjectUploadOption) error {
	size, err := objstore.TryToGetSize(r)
	if err != nil {
		return err
	}
	if err := b.uploads(size); err != nil {
		return err
	}
	return b.Bucket.Upload(ctx, name, r, opts...)
}

// uploads counts an upload of some bytes.
func (b *meteredBucket) uploads(size int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.usage.sent += size
	if b.dir == "" {
		return nil
	}
	disk, err := sizeOf(b.dir)
	b.usage.disk = max(b.usage.disk, disk)
	return err
}

type meteredBody struct {
	io.ReadCloser
	b *meteredBucket
}

func (r *meteredBody) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	r.b.usage.read += int64(n)
	return n, err
}

// sizeOf returns the bytes of all files below a directory. Those that go while it
// looks, as what is written under another name does, are not counted.
func sizeOf(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		n += info.Size()
		return nil
	})
	return n, err
}
