package shipper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/efficientgo/core/errcapture"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb/fileutil"
)

// maxRecordBytes bounds what is read of the file: half a million blocks.
const maxRecordBytes = 16 << 20

// errGarbled says that the file could be read and is none of ours: there is nothing
// in it to lose.
var errGarbled = errors.New("no record")

// recordVersion is the one version of the file there is.
const recordVersion = 1

// record is the file that says which blocks have been sent.
//
// Source: Meta in Thanos' pkg/shipper, and exludeBlocksPendingUpload of
// cmd/prometheus, which reads it too.
type record struct {
	Version  int         `json:"version"`
	Uploaded []ulid.ULID `json:"uploaded"`
}

// readRecord returns the blocks that the file names: none, without an error, if
// there is no file.
//
// Errors: ErrRecord, and errGarbled too if it is about what was read.
func readRecord(path string) (map[ulid.ULID]bool, error) {
	b, err := readBounded(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[ulid.ULID]bool{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %w: %w", ErrRecord, err)
	}
	garbled := func(err error) error { return fmt.Errorf("read %w: %s: %w: %w", ErrRecord, path, errGarbled, err) }
	if len(b) > maxRecordBytes {
		return nil, garbled(fmt.Errorf("more than %d bytes", maxRecordBytes))
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, garbled(err)
	}
	if r.Version != recordVersion {
		return nil, garbled(fmt.Errorf("version %d not supported", r.Version))
	}
	sent := make(map[ulid.ULID]bool, len(r.Uploaded))
	for _, id := range r.Uploaded {
		sent[id] = true
	}
	return sent, nil
}

// readBounded reads a file, and at most one byte more than is good.
func readBounded(path string) (b []byte, err error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer errcapture.Do(&err, f.Close, "close")
	return io.ReadAll(io.LimitReader(f, maxRecordBytes+1))
}

// encodeRecord returns the file's contents, as Thanos writes them.
func encodeRecord(uploaded []ulid.ULID) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "\t")
	err := e.Encode(record{Version: recordVersion, Uploaded: uploaded})
	return b.Bytes(), err
}

// save adds blocks to the file, and removes from it those that are not in the
// data directory any more. What somebody else has added since it was read stays,
// and so does all of a file that cannot be read now: the disk may be ill, or too
// many files open, and what it names would be sent again.
func (w *work) save(sent map[ulid.ULID]bool, local []ulid.ULID) error {
	path := w.s.recordPath()
	now, readErr := readRecord(path)
	if readErr != nil && !errors.Is(readErr, errGarbled) {
		return readErr
	}
	uploaded := []ulid.ULID{} // never null
	for _, id := range local {
		if sent[id] || now[id] {
			uploaded = append(uploaded, id)
		}
	}
	if _, err := os.Stat(path); err == nil && readErr == nil && len(uploaded) == len(now) &&
		!slices.ContainsFunc(uploaded, func(id ulid.ULID) bool { return !now[id] }) {
		return nil // says so already
	}
	b, err := encodeRecord(uploaded)
	if err != nil {
		return fmt.Errorf("write %w: %w", ErrRecord, err)
	}
	tmp := filepath.Join(w.dir, "record.tmp")
	if err := w.s.do("write record", func() error { return writeSynced(tmp, b) }); err != nil {
		return fmt.Errorf("write %w: %w", ErrRecord, err)
	}
	if err := w.s.do("rename record", func() error { return fileutil.Rename(tmp, path) }); err != nil {
		return fmt.Errorf("write %w: %w", ErrRecord, err)
	}
	return nil
}

// writeSynced writes a file that is on disk when it returns. Prometheus, which
// may run as another user, can read it.
func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // Prometheus reads it
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}
