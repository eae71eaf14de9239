package block

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/efficientgo/core/errcapture"
)

// local changes files below one directory, and never outside of it, whatever the
// names are and wherever links point.
type local struct {
	root *os.Root
	step stepFunc
}

// openLocal opens a directory, which is made if it is not there.
func openLocal(dir string, step stepFunc) (*local, error) {
	if err := step.do("mkdir", dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &local{root: root, step: step}, nil
}

func (l *local) close() error { return l.root.Close() }

// write writes a file so that it is there as a whole, and on disk, or not at all.
// What fill returns is what write returns.
func (l *local) write(name string, fill func(w io.Writer) error) (err error) {
	part := name + partSuffix
	if dir := path.Dir(name); dir != "." {
		if err := l.mkdir(dir); err != nil {
			return err
		}
	}
	if err := l.step.do("create", part); err != nil {
		return err
	}
	f, err := l.root.OpenFile(filepath.FromSlash(part), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	if err := l.fill(f, part, fill); err != nil {
		// Nobody can use it, and the disk may be full because of it.
		if l.step.do("remove", part) == nil {
			_ = l.root.Remove(filepath.FromSlash(part))
		}
		return err
	}
	if err := l.step.do("rename", name); err != nil {
		return err
	}
	if err := l.root.Rename(filepath.FromSlash(part), filepath.FromSlash(name)); err != nil {
		return err
	}
	return l.sync(path.Dir(name))
}

// partSuffix is that of files that are being written.
const partSuffix = ".tmp"

func (l *local) fill(f *os.File, name string, fill func(w io.Writer) error) (err error) {
	defer errcapture.Do(&err, f.Close, "close %s", name)
	if err := fill(stepWriter{f, l, name}); err != nil {
		return err
	}
	if err := l.step.do("fsync", name); err != nil {
		return err
	}
	return f.Sync()
}

type stepWriter struct {
	w    io.Writer
	l    *local
	name string
}

func (w stepWriter) Write(p []byte) (int, error) {
	if err := w.l.step.do("write", w.name); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

func (l *local) mkdir(name string) error {
	if err := l.step.do("mkdir", name); err != nil {
		return err
	}
	return l.root.MkdirAll(filepath.FromSlash(name), 0o750)
}

// removeAll removes what is there, or nothing.
func (l *local) removeAll(name string) error {
	if err := l.step.do("remove", name); err != nil {
		return err
	}
	return l.root.RemoveAll(filepath.FromSlash(name))
}

// sync puts a directory's entries on disk.
func (l *local) sync(name string) error {
	if err := l.step.do("fsync", name); err != nil {
		return err
	}
	f, err := l.root.Open(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	return syncAndClose(f)
}

// readLocal reads a file of at most maxSize bytes.
func readLocal(name string, maxSize int64) (b []byte, err error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &notFoundError{err}
		}
		return nil, err
	}
	defer errcapture.Do(&err, f.Close, "close %s", name)
	return readBounded(f, maxSize)
}

// errTooLarge says that something is larger than anything of its kind.
var errTooLarge = errors.New("too large")

// readBounded reads all of r, or fails with errTooLarge.
func readBounded(r io.Reader, maxSize int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > maxSize {
		return nil, fmt.Errorf("%w: more than %d bytes", errTooLarge, maxSize)
	}
	return b, nil
}

// notFoundError is an ErrNotFound that keeps its cause.
type notFoundError struct{ err error }

func (e *notFoundError) Error() string        { return e.err.Error() }
func (e *notFoundError) Unwrap() error        { return e.err }
func (e *notFoundError) Is(target error) bool { return target == ErrNotFound }

// writeBytes is write of bytes.
func (l *local) writeBytes(name string, b []byte) error {
	return l.write(name, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}
