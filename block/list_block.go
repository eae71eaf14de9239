package block

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
)

// iterBlock calls f for each object of a block, however deep, and for some more
// than once if others vanish meanwhile.
func iterBlock(ctx context.Context, bkt objstore.BucketReader, id ulid.ULID, f func(name string)) error {
	return iterDir(ctx, bkt, id.String(), f)
}

func iterDir(ctx context.Context, bkt objstore.BucketReader, dir string, f func(name string)) error {
	recursive := supports(bkt, objstore.Recursive)
	var (
		opts []objstore.IterOption
		dirs []string
	)
	if recursive {
		opts = append(opts, objstore.WithRecursiveIter())
	}
	err := whileVanishing(ctx, bkt, func() error {
		dirs = dirs[:0]
		return bkt.Iter(ctx, dir, func(name string) error {
			if strings.HasSuffix(name, objstore.DirDelim) && !recursive {
				dirs = append(dirs, name)
				return nil
			}
			f(name)
			return nil
		}, opts...)
	})
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, d := range dirs {
		if err := iterDir(ctx, bkt, d, f); err != nil {
			return err
		}
	}
	return nil
}

// supports reports whether a bucket knows an option of listings.
func supports(bkt objstore.BucketReader, option objstore.IterOptionType) bool {
	return slices.Contains(bkt.SupportedIterOptions(), option)
}

// cutObject returns the block that an object belongs to and the file in it. The
// block is zero if it belongs to none.
func cutObject(name string) (ulid.ULID, string) {
	id, ok := ParseID(name)
	if !ok {
		return ulid.ULID{}, ""
	}
	_, file, _ := strings.Cut(name, "/")
	return id, file
}

// isSegment reports whether a file of a block is a segment: one directly in
// chunks/ whose name is a number. Prometheus passes over any other, and so has
// everybody who counts segments.
func isSegment(file string) bool {
	name, ok := strings.CutPrefix(file, ChunksDir+"/")
	return ok && name != "" && strings.Trim(name, "0123456789") == ""
}

// inChunks reports whether a file of a block lies in chunks/, segment or not.
func inChunks(file string) bool { return strings.HasPrefix(file, ChunksDir+"/") }
