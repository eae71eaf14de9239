package indexheader

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
)

// fileName is that of the local file in a block's directory. Thanos' own is
// index-header, and the two may lie beside each other.
const fileName = "thanoskit-index-header"

// Pool has the index headers of many blocks, of which those that are used are
// open.
//
// Concurrency: safe.
type Pool struct {
	bkt  objstore.BucketReader
	dir  string
	opts Options

	mu   sync.Mutex
	open map[*Lazy]struct{}
}

// NewPool returns a pool that keeps its files in dir/ULID/. opts may be nil.
func NewPool(bkt objstore.BucketReader, dir string, opts *Options) *Pool {
	return &Pool{bkt: bkt, dir: dir, opts: opts.withDefaults(), open: map[*Lazy]struct{}{}}
}

// Block returns the index header of a block. Nothing is read yet. There must not
// be two of one block at a time. The meta must not be changed.
func (p *Pool) Block(meta *block.Meta) *Lazy {
	return &Lazy{pool: p, meta: meta, lock: make(chan struct{}, 1)}
}

// CloseIdle closes the headers that nobody has used since then. It returns how
// many.
func (p *Pool) CloseIdle(since time.Time) (n int, err error) {
	p.mu.Lock()
	open := make([]*Lazy, 0, len(p.open))
	for l := range p.open {
		open = append(open, l)
	}
	p.mu.Unlock()
	for _, l := range open {
		closed, cerr := l.closeIdle(since)
		if closed {
			n++
		}
		err = errors.Join(err, cerr)
	}
	return n, err
}

// Open returns how many headers are open.
func (p *Pool) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// Lazy is the index header of one block: built by the first that needs it, open
// while it is used and until it is idle. While it is closed it takes less than
// 1 KiB of memory.
//
// Concurrency: safe.
type Lazy struct {
	pool *Pool
	meta *block.Meta

	// lock is held to build and to open; who waits for it can be cancelled.
	lock chan struct{}

	mu   sync.Mutex // Guards the fields below; never held during I/O but to unmap.
	h    *Header
	refs int
	used time.Time // When the last one released it.
	gone bool      // No longer kept open.
}

// path returns where the file is.
func (l *Lazy) path() string {
	return filepath.Join(l.pool.dir, l.meta.ULID.String(), fileName)
}

// Acquire returns the header, which is valid until Release: each call of Acquire
// that succeeds needs one. The file is built if it is not there or not sound.
//
// Errors: those of Build and of the context.
func (l *Lazy) Acquire(ctx context.Context) (*Header, error) {
	if h := l.ref(); h != nil {
		return h, nil
	}
	select {
	case l.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-l.lock }()
	if h := l.ref(); h != nil {
		return h, nil
	}
	h, err := l.load(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.h, l.refs = h, 1
	l.mu.Unlock()
	l.pool.mu.Lock()
	l.pool.open[l] = struct{}{}
	l.pool.mu.Unlock()
	return h, nil
}

// load opens the file, which is built first if it is not there, not sound, or
// that of another index. The lock is held.
func (l *Lazy) load(ctx context.Context) (*Header, error) {
	h, err := Open(l.path())
	switch {
	case err == nil && l.own(&h.head):
		return h, nil
	case err == nil:
		err = h.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errFile):
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if err := l.build(ctx); err != nil {
		return nil, err
	}
	return Open(l.path())
}

// own reports whether a file is of the index that it should be of.
func (l *Lazy) own(h *head) bool {
	size := l.meta.IndexSize()
	return h.block == l.meta.ULID && (size <= 0 || h.indexSize == uint64(size))
}

// ref returns the header if it is open, and counts a use of it.
func (l *Lazy) ref() *Header {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.h != nil {
		l.refs++
	}
	return l.h
}

// Release ends a use of the header.
func (l *Lazy) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refs--
	l.used = time.Now()
	if l.gone && l.refs == 0 {
		_ = l.unmap() // Only memory is given back.
	}
}

// Prepare makes sure that the local file is there, so that a later Acquire does
// not have to build it. Of a file that is there only the head is read.
//
// Errors: those of Build and of the context.
func (l *Lazy) Prepare(ctx context.Context) error {
	select {
	case l.lock <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.lock }()
	if l.sound() {
		return nil
	}
	return l.build(ctx)
}

// sound reports whether there is a file of this block that has its size and the
// head that it should have.
func (l *Lazy) sound() bool {
	f, err := os.Open(l.path())
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // It was only read.
	var b [headSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return false
	}
	h, err := parseHead(b[:])
	if err != nil || !l.own(&h) {
		return false
	}
	_, _, _, size := h.sections()
	stat, err := f.Stat()
	return err == nil && uint64(stat.Size()) == size
}

// build builds the file. The lock is held.
func (l *Lazy) build(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(l.path()), 0o750); err != nil {
		return &DiskError{Path: l.path(), Err: err}
	}
	return Build(ctx, l.pool.bkt, l.meta, l.path(), &l.pool.opts)
}

// closeIdle closes the header if nobody uses it, or has since then.
func (l *Lazy) closeIdle(since time.Time) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.h == nil || l.refs > 0 || l.used.After(since) {
		return false, nil
	}
	return true, l.unmap()
}

// unmap closes the header, which nobody uses. The mutex is held.
func (l *Lazy) unmap() error {
	if l.h == nil {
		return nil
	}
	h := l.h
	l.h = nil
	l.pool.mu.Lock()
	delete(l.pool.open, l)
	l.pool.mu.Unlock()
	return h.Close()
}

// Close closes the header, at once or when the last use of it ends. An Acquire
// after that opens it again, for as long as it is used.
func (l *Lazy) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	if l.refs > 0 {
		return nil
	}
	return l.unmap()
}

// Remove removes the local file and its directory if nothing else is in it. The
// header should be closed.
func (l *Lazy) Remove() error {
	for _, name := range []string{l.path(), l.path() + tmpSuffix} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(filepath.Dir(l.path())) // Others may keep files there.
	return nil
}
