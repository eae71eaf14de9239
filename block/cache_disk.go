package block

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/oklog/ulid/v2"
)

// cacheDirName is that of Thanos, so that either finds what the other left.
const cacheDirName = "meta-syncer"

// diskCache keeps small files of blocks. A file's modification time is that of
// its object, to the second, which tells whether that was written since. Nothing
// that goes wrong is an error: what cannot be read is fetched again, and files
// are not synced, because a torn one does not parse.
//
// It is safe for concurrent use on different files.
type diskCache struct {
	dir string // Empty means no cache.
	log *slog.Logger
	// opened is false until the directory is known to be there.
	opened bool
}

func newDiskCache(dir string, log *slog.Logger) *diskCache {
	c := &diskCache{log: log}
	if dir != "" {
		c.dir = filepath.Join(dir, cacheDirName)
	}
	return c
}

// open makes the directory.
func (c *diskCache) open() error {
	if c.dir == "" {
		return nil
	}
	err := os.MkdirAll(c.dir, 0o750)
	c.opened = err == nil
	return err
}

// read returns a file, or nil if there is none that is good. A zero time accepts
// any.
func (c *diskCache) read(id ulid.ULID, file string, modified time.Time) []byte {
	if !c.opened {
		return nil
	}
	f, err := os.Open(filepath.Join(c.dir, id.String(), file))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // It was only read from.
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxMetaBytes {
		return nil
	}
	if !modified.IsZero() && info.ModTime().Unix() != modified.Unix() {
		return nil
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil
	}
	return b
}

// write keeps a file.
func (c *diskCache) write(id ulid.ULID, file string, b []byte, modified time.Time) {
	if !c.opened {
		return
	}
	if err := c.tryWrite(filepath.Join(c.dir, id.String()), file, b, modified); err != nil {
		c.log.Warn("cannot cache file", "block", id, "file", file, "err", err)
	}
}

func (c *diskCache) tryWrite(dir, file string, b []byte, modified time.Time) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	path := filepath.Join(dir, file)
	tmp := path + partSuffix
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		_ = os.Remove(tmp) // The disk may be full because of it.
		return err
	}
	if !modified.IsZero() {
		if err := os.Chtimes(tmp, modified, modified); err != nil {
			return err
		}
	}
	return os.Rename(tmp, path)
}

// retain removes what is not of one of these blocks.
func (c *diskCache) retain(known map[ulid.ULID]*entry) {
	if !c.opened {
		return
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.log.Warn("cannot list cached files", "err", err)
		return
	}
	for _, e := range entries {
		id, ok := ParseID(e.Name())
		if !ok {
			continue
		}
		if k := known[id]; k != nil && (k.meta != nil || k.failed != nil) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(c.dir, e.Name())); err != nil {
			c.log.Warn("cannot remove cached files", "block", id, "err", err)
		}
	}
}
