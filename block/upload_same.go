package block

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/efficientgo/core/errcapture"
	"github.com/thanos-io/objstore"
)

// differs says in what two blocks of one ULID differ, or "" if they are the same
// block. What may be added to a block later, or depends on who sent it, does not
// count.
func differs(a, b *Meta) string {
	switch {
	case a.ULID != b.ULID:
		return "ULID"
	case a.MinTime != b.MinTime || a.MaxTime != b.MaxTime:
		return "time range"
	case a.Stats != b.Stats:
		return "stats"
	case a.Compaction.Level != b.Compaction.Level || !slices.Equal(a.Compaction.Sources, b.Compaction.Sources):
		return "compaction"
	case !maps.Equal(a.Thanos.Labels, b.Thanos.Labels):
		return "labels"
	case a.Resolution() != b.Resolution():
		return "resolution"
	case !sameFiles(a, b):
		return "files"
	}
	return ""
}

// sameFiles compares sizes and hashes as far as both sides know them.
func sameFiles(a, b *Meta) bool {
	if len(a.Thanos.Files) == 0 || len(b.Thanos.Files) == 0 {
		return true
	}
	if len(a.Thanos.Files) != len(b.Thanos.Files) {
		return false
	}
	files := fileMap(b.Thanos.Files)
	for _, f := range a.Thanos.Files {
		g, ok := files[f.RelPath]
		if !ok || f.SizeBytes != g.SizeBytes {
			return false
		}
		if f.Hash != nil && g.Hash != nil && f.Hash.Func == g.Hash.Func && f.Hash.Value != g.Hash.Value {
			return false
		}
	}
	return true
}

// keepFor is how long what an upload has sent may be relied on. Compactors take
// uploads that nobody has gone on with for 48 hours for aborted and delete them
// object by object; what is sent anew keeps them from it.
const keepFor = 24 * time.Hour

// sameObject reports whether an object is what is to be uploaded under its name,
// which has that size, and may be relied on; content is read from its beginning,
// and rewound if it is not. See Upload for when the size suffices.
func sameObject(ctx context.Context, bkt objstore.Bucket, name string, content io.ReadSeeker, size int64) (same bool, err error) {
	attrs, err := bkt.Attributes(ctx, name)
	if bkt.IsObjNotFoundErr(err) {
		return false, nil
	}
	if err != nil {
		return false, objectError(bkt, "look at", name, err)
	}
	if attrs.Size != size || time.Since(attrs.LastModified) > keepFor {
		return false, nil
	}
	if bkt.Provider() != objstore.FILESYSTEM {
		return true, nil
	}
	r, err := bkt.Get(ctx, name)
	if bkt.IsObjNotFoundErr(err) {
		return false, nil
	}
	if err != nil {
		return false, objectError(bkt, "get", name, err)
	}
	defer errcapture.Do(&err, r.Close, "close %s", name)
	same, err = sameBytes(r, content)
	if err != nil {
		return false, objectError(bkt, "compare", name, err)
	}
	if !same {
		_, err = content.Seek(0, io.SeekStart)
	}
	return same, err
}

// sameBytes reads both to the end, or to where they differ.
func sameBytes(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		endA, endB := ended(errA), ended(errB)
		switch {
		case errA != nil && !endA:
			return false, errA
		case errB != nil && !endB:
			return false, errB
		case !bytes.Equal(x[:n], y[:m]):
			return false, nil
		case endA || endB:
			return endA && endB, nil
		}
	}
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
