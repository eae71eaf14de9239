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

// verdict is what was found out about a block, as long as its files are the
// same.
type verdict struct {
	files    string
	problems []block.Problem // that keep readers from reading it
	stats    block.IndexStats
}

// forget drops verdicts on blocks that are gone.
func (s *Shipper) forget(local []ulid.ULID) {
	for id := range s.verdicts {
		if !slices.Contains(local, id) {
			delete(s.verdicts, id)
		}
	}
}

// check looks at the block in dir, which is linked to that in the data
// directory. While the files stay the same, it reads them once.
func (s *Shipper) check(ctx context.Context, id ulid.ULID, dir string) (verdict, error) {
	files, printErr := fingerprint(filepath.Join(s.dir, id.String()))
	if v, ok := s.verdicts[id]; ok && printErr == nil && v.files == files {
		return v, nil
	}
	report, err := block.Verify(ctx, dir, &block.VerifyOptions{Depth: block.VerifyChecksums})
	if err != nil {
		return verdict{}, err
	}
	v := verdict{files: files, stats: report.IndexStats}
	for _, p := range report.Problems {
		if p.Kind.Unreadable() {
			v.problems, v.stats = append(v.problems, p), block.IndexStats{}
		}
	}
	if printErr == nil { // else it is gone, and will not be asked for again
		s.verdicts[id] = v
	}
	return v, nil
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
