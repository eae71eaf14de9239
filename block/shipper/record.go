package shipper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb/fileutil"
)

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

// readRecord returns the blocks that the file names. It is empty without an
// error if there is no file.
func readRecord(path string) (map[ulid.ULID]bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[ulid.ULID]bool{}, nil
	}
	if err != nil {
		return map[ulid.ULID]bool{}, fmt.Errorf("read %w: %w", ErrRecord, err)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return map[ulid.ULID]bool{}, fmt.Errorf("read %w: %s: %w", ErrRecord, path, err)
	}
	if r.Version != recordVersion {
		return map[ulid.ULID]bool{}, fmt.Errorf("read %w: %s: version %d not supported", ErrRecord, path, r.Version)
	}
	sent := make(map[ulid.ULID]bool, len(r.Uploaded))
	for _, id := range r.Uploaded {
		sent[id] = true
	}
	return sent, nil
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
// data directory any more. What somebody else has added since it was read stays.
func (w *work) save(sent map[ulid.ULID]bool, local []ulid.ULID) error {
	path := w.s.recordPath()
	now, readErr := readRecord(path)
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
