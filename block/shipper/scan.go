package shipper

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// localBlocks returns the finished blocks in the data directory. Links to
// directories are none, as to Prometheus.
func (s *Shipper) localBlocks() ([]ulid.ULID, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list blocks: %w", err)
	}
	var ids []ulid.ULID
	for _, e := range entries {
		if id, ok := block.ParseID(e.Name()); ok && e.IsDir() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// readMetas reads what blocks say of themselves, the oldest first. One that is
// gone meanwhile is left out.
func (s *Shipper) readMetas(ids []ulid.ULID) (metas []*block.Meta, bad []*Error) {
	for _, id := range ids {
		dir := filepath.Join(s.dir, id.String())
		meta, err := block.ReadMeta(dir)
		if err == nil {
			metas = append(metas, meta)
			continue
		}
		if _, statErr := os.Stat(dir); errors.Is(statErr, fs.ErrNotExist) {
			continue
		}
		bad = append(bad, &Error{Block: id, Op: "read", Err: err})
	}
	slices.SortFunc(metas, func(a, b *block.Meta) int {
		return cmp.Or(cmp.Compare(a.MinTime, b.MinTime), a.ULID.Compare(b.ULID))
	})
	return metas, bad
}
