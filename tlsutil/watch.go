package tlsutil

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// settle is how old a file has to be, when it is read, for a change after that to
// show in its time of modification. Some file systems count in seconds.
const settle = 2 * time.Second

// watched is what some files say, as of now. It is safe for concurrent use.
type watched[T any] struct {
	files  []string
	parse  func(contents [][]byte) (T, error)
	report func(files []string, err error) // of every change but the first

	mu       sync.Mutex
	value    T             // of the last good contents
	contents [][]byte      // the last good ones
	err      error         // why the files are not the value; nil if they are
	infos    []fs.FileInfo // of the files when they were read; nil if they have to be again
	loaded   bool          // there is a value
}

// get returns what the files say, and the last good thing that they said if that
// is no good. The error says why it is no good.
func (w *watched[T]) get() (T, error) {
	w.mu.Lock()
	before, changed := w.err, false
	if !w.unchanged() {
		changed = w.look()
	}
	value, err, first := w.value, w.err, !w.loaded
	w.loaded = w.loaded || err == nil
	w.mu.Unlock()
	if !first && (changed || text(before) != text(err)) {
		w.report(w.files, err)
	}
	return value, err
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// unchanged reports whether the files are certainly what they were when they were
// read last.
func (w *watched[T]) unchanged() bool {
	if w.infos == nil {
		return false
	}
	for i, file := range w.files {
		info, err := os.Stat(file)
		if err != nil || !os.SameFile(info, w.infos[i]) || info.Size() != w.infos[i].Size() || !info.ModTime().Equal(w.infos[i].ModTime()) {
			return false
		}
	}
	return true
}

// look reads the files, and reports whether the value is a new one.
func (w *watched[T]) look() (changed bool) {
	w.infos, w.err = nil, nil
	now := time.Now()
	infos := make([]fs.FileInfo, len(w.files))
	contents := make([][]byte, len(w.files))
	settled := true
	for i, file := range w.files {
		var err error
		// First, so that a change while it is read is found at the next look.
		if infos[i], err = os.Stat(file); err == nil {
			contents[i], err = os.ReadFile(file)
		}
		if err != nil {
			w.err = &FileError{file, reason(err)}
			return false
		}
		settled = settled && now.Sub(infos[i].ModTime()) > settle
	}
	if !slices.EqualFunc(contents, w.contents, bytes.Equal) {
		value, err := w.parse(contents)
		if err != nil {
			w.err = err
			return false
		}
		w.value, w.contents, changed = value, contents, true
	}
	if settled {
		w.infos = infos
	}
	return changed
}

// reason is an error of package os without the name of the file, which it is
// given elsewhere.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// reporter tells a logger and a hook, either of which may be nil, of reloads.
func reporter(log *slog.Logger, hook func([]string, error)) func([]string, error) {
	return func(files []string, err error) {
		if log != nil {
			if err != nil {
				log.Error("TLS files are not good, the last good ones stay in use", slog.Any("files", files), slog.Any("err", err))
			} else {
				log.Info("TLS files reloaded", slog.Any("files", files))
			}
		}
		if hook != nil {
			hook(files, err)
		}
	}
}
