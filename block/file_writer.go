package block

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// stepFunc is asked before each operation that changes the disk, and what it
// returns is what the operation returns: crash tests cut there.
type stepFunc func(op, file string) error

// do asks, if there is anybody to ask.
func (s stepFunc) do(op, file string) error {
	if s == nil {
		return nil
	}
	return s(op, file)
}

// fileWriter is a new file that is written from front to back, but for a few
// bytes that are known only later.
type fileWriter struct {
	f    *os.File
	buf  *bufio.Writer
	pos  uint64 // with what is in buf
	step stepFunc

	zeros [16]byte
}

func createFile(name string, bufSize int, step stepFunc) (*fileWriter, error) {
	if err := step.do("create", name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // As Prometheus writes blocks: who may read them is the umask's to say.
	if err != nil {
		return nil, err
	}
	w := &fileWriter{f: f, step: step}
	w.buf = bufio.NewWriterSize(stepped{w}, bufSize)
	return w, nil
}

// stepped is what a fileWriter's buffer is flushed to.
type stepped struct{ w *fileWriter }

func (s stepped) Write(b []byte) (int, error) {
	if err := s.w.step.do("write", s.w.f.Name()); err != nil {
		return 0, err
	}
	return s.w.f.Write(b)
}

func (w *fileWriter) Write(b []byte) (int, error) {
	n, err := w.buf.Write(b)
	w.pos += uint64(n)
	return n, err
}

// pad writes zeros up to a multiple of align, at most 16.
func (w *fileWriter) pad(align uint64) error {
	if rest := w.pos % align; rest != 0 {
		_, err := w.Write(w.zeros[:align-rest])
		return err
	}
	return nil
}

// writeAt overwrites what was written before.
func (w *fileWriter) writeAt(b []byte, off uint64) error {
	if err := w.buf.Flush(); err != nil {
		return err
	}
	if err := w.step.do("write", w.f.Name()); err != nil {
		return err
	}
	_, err := w.f.WriteAt(b, int64(off))
	return err
}

// finish flushes, syncs and closes.
func (w *fileWriter) finish() error {
	err := w.buf.Flush()
	if err == nil {
		err = w.step.do("fsync", w.f.Name())
	}
	if err == nil {
		err = w.f.Sync()
	}
	return errors.Join(err, w.close())
}

// close closes without flushing; more than once does no harm.
func (w *fileWriter) close() error {
	if w == nil || w.f == nil {
		return nil
	}
	err := w.f.Close()
	w.f = nil
	return err
}

// syncPath makes sure that the names in a directory are on disk.
func syncPath(dir string, step stepFunc) error {
	if err := step.do("fsync", dir); err != nil {
		return err
	}
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return syncAndClose(d)
}

// syncAndClose syncs and closes a directory. Where directories cannot be synced,
// nothing can be done about it.
func syncAndClose(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
