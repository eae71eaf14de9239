package shipper

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/efficientgo/core/errcapture"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb/fileutil"

	"github.com/thanoskit/thanoskit/block"
)

// work is the place of one Sync in the data directory. Nobody else is in it.
type work struct {
	s      *Shipper
	dir    string
	lock   fileutil.Releaser // nil if there can be none
	noLock error             // an ErrNoLocks then
}

const (
	lockFile = "lock"
	dirMode  = 0o750
)

// openWork takes the lock, and clears away what a shipper that died has left.
//
// Errors: ErrBusy, if another shipper has the lock.
func (s *Shipper) openWork() (*work, error) {
	w := &work{s: s, dir: filepath.Join(s.dir, "thanos", "upload", s.opts.MetaFileName)}
	// The data directory itself is Prometheus' to make.
	if _, err := os.Stat(s.dir); err != nil {
		return nil, err
	}
	if err := s.do("make upload directory", func() error { return os.MkdirAll(w.dir, dirMode) }); err != nil {
		return nil, err
	}
	lock, _, err := s.flock(filepath.Join(w.dir, lockFile))
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, ErrBusy
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
		// As with --storage.tsdb.no-lockfile: to send nothing would be worse.
		w.noLock = fmt.Errorf("lock upload directory: %w: %w", ErrNoLocks, err)
	case err != nil:
		return nil, fmt.Errorf("lock upload directory: %w", err)
	default:
		w.lock = lock
	}
	if err := w.clear(); err != nil {
		return nil, errors.Join(fmt.Errorf("clear upload directory: %w", err), w.close())
	}
	return w, nil
}

func (w *work) close() error {
	if w.lock == nil {
		return nil
	}
	return w.lock.Release()
}

func (w *work) clear() error {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == lockFile {
			continue
		}
		if err := w.remove(e.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) remove(name string) error {
	return w.s.do("remove "+name, func() error { return os.RemoveAll(filepath.Join(w.dir, name)) })
}

// stage makes a directory for a block, with its files as they are now and meta
// as its meta.json, and returns it. The names of the segments are put into meta.
//
// Errors: ErrVanished, if the block is gone.
func (w *work) stage(id ulid.ULID, meta *block.Meta) (string, error) {
	from, to := filepath.Join(w.s.dir, id.String()), filepath.Join(w.dir, id.String())
	err := w.fill(from, to, meta)
	if errors.Is(err, fs.ErrNotExist) {
		if _, statErr := os.Stat(from); errors.Is(statErr, fs.ErrNotExist) {
			return "", ErrVanished
		}
	}
	return to, err
}

func (w *work) fill(from, to string, meta *block.Meta) error {
	if err := w.s.do("make "+meta.ULID.String(), func() error { return os.MkdirAll(filepath.Join(to, block.ChunksDir), dirMode) }); err != nil {
		return err
	}
	segments, err := segmentNames(filepath.Join(from, block.ChunksDir))
	if err != nil {
		return err
	}
	files := []string{block.IndexFile}
	for _, name := range segments {
		files = append(files, filepath.Join(block.ChunksDir, name))
	}
	for _, name := range files {
		if err := w.s.do("link "+filepath.ToSlash(name), func() error {
			return w.s.linkOrCopy(filepath.Join(from, name), filepath.Join(to, name))
		}); err != nil {
			return err
		}
	}
	meta.Thanos.SegmentFiles = segments
	return w.writeMeta(to, meta)
}

// writeMeta writes a block's meta.json beside the links. It is a file of its own:
// Prometheus' stays as it is.
func (w *work) writeMeta(to string, meta *block.Meta) error {
	b, err := meta.Encode()
	if err != nil {
		return err
	}
	return w.s.do("write "+block.MetaFile, func() error { return os.WriteFile(filepath.Join(to, block.MetaFile), b, 0o600) })
}

// segmentNames returns the files that Prometheus takes for segments of chunks,
// sorted: those with a number for a name.
func segmentNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if _, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// linkOrCopy makes a hard link, or a copy where there can be none: the
// filesystem has none, or the file is another user's. On a full disk a copy would
// only take from Prometheus what room is left.
func (s *Shipper) linkOrCopy(from, to string) error {
	linkErr := s.link(from, to)
	if linkErr == nil || errors.Is(linkErr, fs.ErrNotExist) ||
		errors.Is(linkErr, syscall.ENOSPC) || errors.Is(linkErr, syscall.EDQUOT) {
		return linkErr
	}
	if err := copyFile(from, to); err != nil {
		return fmt.Errorf("%w; copy instead: %w", linkErr, err)
	}
	return nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, in.Close, "close")
	// What is there already could be a link to Prometheus' own file.
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, out.Close, "close")
	_, err = io.Copy(out, in)
	return err
}
