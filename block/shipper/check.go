package shipper

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// verdict is what is wrong with a block, nil for nothing, as long as its files
// are the same.
type verdict struct {
	files   string
	problem error
}

// forget drops verdicts on blocks that are gone.
func (s *Shipper) forget(local []ulid.ULID) {
	for id := range s.verdicts {
		if !slices.Contains(local, id) {
			delete(s.verdicts, id)
		}
	}
}

// check returns what keeps readers from reading the block in dir. While the
// files stay the same, it reads them once.
func (s *Shipper) check(ctx context.Context, id ulid.ULID, dir string) error {
	files, err := fingerprint(filepath.Join(s.dir, id.String()))
	if err == nil {
		if v, ok := s.verdicts[id]; ok && v.files == files {
			return v.problem
		}
	}
	problem := s.verify(ctx, dir)
	if err == nil && ctx.Err() == nil {
		s.verdicts[id] = verdict{files: files, problem: problem}
	}
	return problem
}

// fingerprint tells a block's files from others by their names, sizes and times.
func fingerprint(dir string) (string, error) {
	segments, err := segmentNames(filepath.Join(dir, block.ChunksDir))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, name := range append([]string{block.IndexFile}, segments...) {
		path := filepath.Join(dir, name)
		if name != block.IndexFile {
			path = filepath.Join(dir, block.ChunksDir, name)
		}
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
	}
	return b.String(), nil
}
