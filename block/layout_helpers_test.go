package block_test

import (
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
)

// newID returns the n-th ULID of the test, of a time long ago.
func newID(n int) ulid.ULID {
	id := ulid.MustParse("01EMS4F6G00000000000000000") // October 2020.
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// newMeta returns what the n-th block of level 1 says.
func newMeta(n int, change ...func(*block.Meta)) *block.Meta {
	m := &block.Meta{
		ULID:       newID(n),
		MinTime:    int64(n) * 7_200_000,
		MaxTime:    int64(n+1) * 7_200_000,
		Stats:      block.Stats{NumSamples: 10, NumSeries: 2, NumChunks: 3},
		Compaction: block.Compaction{Level: 1, Sources: []ulid.ULID{newID(n)}},
		Version:    1,
		Thanos:     block.Thanos{Version: 1, Labels: map[string]string{"cluster": "eu1", "replica": "a"}, Source: block.SourceSidecar},
	}
	for _, f := range change {
		f(m)
	}
	return m
}

// newBlock makes a directory with the n-th block: an index and three segments
// that begin as such do, and nothing that can be read.
func newBlock(t testing.TB, dir string, n int, change ...func(*block.Meta)) (*block.Meta, string) {
	t.Helper()
	m := newMeta(n, change...)
	dir = filepath.Join(dir, m.ULID.String())
	testutil.Ok(t, os.MkdirAll(filepath.Join(dir, "chunks"), 0o750))
	for i, name := range []string{"chunks/000001", "chunks/000002", "chunks/000003", "index"} {
		head := []byte{0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0}
		if name == "index" {
			head = []byte{0xba, 0xaa, 0xd7, 0x00, 2}
		}
		content := string(head) + strings.Repeat(name, 10+n+i)
		testutil.Ok(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	testutil.Ok(t, block.WriteMeta(dir, m))
	return m, dir
}

// readDir returns the files below a directory, without those that end in ".tmp".
func readDir(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	testutil.Ok(t, err)
	return files
}

// objects returns what is in a bucket, by name.
func objects(t testing.TB, bkt objstore.BucketReader) map[string]string {
	t.Helper()
	ctx, found := context.Background(), map[string]string{}
	err := bkt.Iter(ctx, "", func(name string) error {
		found[name] = object(t, bkt, name)
		return nil
	}, objstore.WithRecursiveIter())
	testutil.Ok(t, err)
	return found
}

func object(t testing.TB, bkt objstore.BucketReader, name string) string {
	t.Helper()
	r, err := bkt.Get(context.Background(), name)
	testutil.Ok(t, err)
	b, err := io.ReadAll(r)
	testutil.Ok(t, err)
	testutil.Ok(t, r.Close())
	return string(b)
}

func put(t testing.TB, bkt objstore.Bucket, name, content string) {
	t.Helper()
	testutil.Ok(t, bkt.Upload(context.Background(), name, strings.NewReader(content)))
}

// putMeta has a block that is nothing but its meta.json.
func putMeta(t testing.TB, bkt objstore.Bucket, m *block.Meta) {
	t.Helper()
	b, err := m.Encode()
	testutil.Ok(t, err)
	put(t, bkt, block.ObjectName(m.ULID, block.MetaFile), string(b))
}

// fetch is one Fetch of a new Fetcher without a cache.
func fetch(t testing.TB, bkt objstore.BucketReader, opts *block.FetcherOptions) *block.View {
	t.Helper()
	f, err := block.NewFetcher(bkt, "", opts)
	testutil.Ok(t, err)
	v, err := f.Fetch(context.Background())
	testutil.Ok(t, err)
	return v
}

// visible returns the files of a block as a reader of the bucket sees them, nil if
// it sees no block.
func visible(t testing.TB, bkt objstore.BucketReader, id ulid.ULID) map[string]string {
	t.Helper()
	if fetch(t, bkt, nil).Metas[id] == nil {
		return nil
	}
	files := map[string]string{}
	for name, content := range objects(t, bkt) {
		if rest, ok := strings.CutPrefix(name, id.String()+"/"); ok {
			files[rest] = content
		}
	}
	return files
}

// without returns a copy without some files.
func without(files map[string]string, names ...string) map[string]string {
	left := maps.Clone(files)
	for _, name := range names {
		delete(left, name)
	}
	return left
}

// since asserts that a time is between a moment before and now.
func since(t testing.TB, before, when time.Time) {
	t.Helper()
	testutil.Assert(t, !when.Before(before.Truncate(time.Second)) && !when.After(time.Now()), "%v is not between %v and now", when, before)
}
