package shipper_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/shipper"
)

const hour = int64(time.Hour / time.Millisecond)

// external are the external labels of tests.
func external() labels.Labels { return labels.FromStrings("cluster", "eu1", "replica", "a") }

// newID returns the n-th ULID of a test.
func newID(n int) ulid.ULID {
	var entropy [10]byte
	entropy[8], entropy[9] = byte(n>>8), byte(n)
	return ulid.MustNew(uint64(1_700_000_000_000), bytes.NewReader(entropy[:]))
}

// files are the contents of files, by slash-separated path.
type files map[string][]byte

// made are blocks that Prometheus wrote, by MinTime.
var made = struct {
	sync.Mutex
	dirs map[int64]string
}{dirs: map[int64]string{}}

// promBlock returns the directory of a block of two hours from mint on, as
// Prometheus writes it. It must not be changed.
func promBlock(t testing.TB, mint int64) string {
	t.Helper()
	made.Lock()
	defer made.Unlock()
	if dir := made.dirs[mint]; dir != "" {
		return dir
	}
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), templates, 2*hour)
	testutil.Ok(t, err)
	app := w.Appender(t.Context())
	for _, series := range []string{"a", "b", "c"} {
		for i := range int64(240) {
			_, err := app.Append(0, labels.FromStrings("__name__", "requests_total", "series", series), mint+i*hour/120, float64(i*i%97))
			testutil.Ok(t, err)
		}
	}
	testutil.Ok(t, app.Commit())
	id, err := w.Flush(t.Context())
	testutil.Ok(t, err)
	testutil.Ok(t, w.Close())
	made.dirs[mint] = filepath.Join(templates, id.String())
	return made.dirs[mint]
}

// spec is a block to make.
type spec struct {
	n     int   // of newID
	at    int64 // MinTime in hours; the range is two hours
	level int   // 1 if 0
	empty bool
}

// put writes a block into a data directory, as it is when Prometheus has ended.
func put(t testing.TB, dir string, s spec) ulid.ULID {
	t.Helper()
	id, template := newID(s.n), promBlock(t, s.at*hour)
	meta, err := block.ReadMeta(template)
	testutil.Ok(t, err)
	meta.ULID, meta.Compaction.Level, meta.Compaction.Sources = id, max(s.level, 1), []ulid.ULID{id}
	if s.empty {
		meta.Stats = block.Stats{}
	}
	// What Prometheus writes has no section of Thanos.
	b, err := json.Marshal(meta)
	testutil.Ok(t, err)
	var plain map[string]any
	testutil.Ok(t, json.Unmarshal(b, &plain))
	delete(plain, "thanos")
	b, err = json.MarshalIndent(plain, "", "\t")
	testutil.Ok(t, err)
	tmp := filepath.Join(dir, id.String()+".tmp-for-creation")
	linkTree(t, template, tmp)
	testutil.Ok(t, os.Remove(filepath.Join(tmp, block.MetaFile)))
	testutil.Ok(t, os.WriteFile(filepath.Join(tmp, block.MetaFile), b, 0o600))
	testutil.Ok(t, os.Rename(tmp, filepath.Join(dir, id.String())))
	return id
}

// linkTree makes a directory like another one. To write the files of each block of
// thousands would take most of the time of all tests.
func linkTree(t testing.TB, from, to string) {
	t.Helper()
	testutil.Ok(t, filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o750)
		}
		return os.Link(path, filepath.Join(to, rel))
	}))
}

func writeFiles(t testing.TB, dir string, contents files) {
	t.Helper()
	for name, b := range contents {
		path := filepath.Join(dir, filepath.FromSlash(name))
		testutil.Ok(t, os.MkdirAll(filepath.Dir(path), 0o750))
		testutil.Ok(t, os.WriteFile(path, b, 0o600))
	}
}

func readFiles(t testing.TB, dir string) files {
	t.Helper()
	out := files{}
	testutil.Ok(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[filepath.ToSlash(rel)], err = os.ReadFile(path)
		return err
	}))
	return out
}

// objects returns what is in a bucket below a prefix.
func objects(t testing.TB, bkt objstore.Bucket, prefix string) files {
	t.Helper()
	out := files{}
	testutil.Ok(t, bkt.Iter(context.Background(), prefix, func(name string) error {
		r, err := bkt.Get(context.Background(), name)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		out[strings.TrimPrefix(name, prefix)] = b
		return errors.Join(err, r.Close())
	}, objstore.WithRecursiveIter()))
	return out
}

// visible returns the blocks that readers take for whole, and fails unless each
// of them is, compared with the one in the data directory.
func visible(t testing.TB, bkt objstore.Bucket, dir string) []ulid.ULID {
	t.Helper()
	var out []ulid.ULID
	testutil.Ok(t, bkt.Iter(context.Background(), "", func(name string) error {
		id, ok := block.ParseID(name)
		if !ok {
			return nil
		}
		meta, err := block.FetchMeta(context.Background(), bkt, id)
		if errors.Is(err, block.ErrNotFound) || errors.Is(err, block.ErrCorrupt) {
			return nil // none to readers
		}
		testutil.Ok(t, err)
		out = append(out, id)
		want, got := readFiles(t, filepath.Join(dir, id.String())), objects(t, bkt, id.String()+"/")
		delete(want, block.MetaFile)
		delete(got, block.MetaFile)
		delete(got, block.DeletionMarkFile)
		delete(want, "tombstones")
		testutil.Equals(t, len(want), len(got), "objects of block %s", id)
		for name, b := range want {
			testutil.Assert(t, bytes.Equal(b, got[name]), "object %s of block %s is not as it should be", name, id)
			f, ok := meta.File(name)
			testutil.Assert(t, ok && f.SizeBytes == int64(len(b)), "%s in meta.json of block %s: %+v", name, id, f)
		}
		return nil
	}))
	slices.SortFunc(out, ulid.ULID.Compare)
	return out
}

// newShipper returns a Shipper with external labels.
func newShipper(t testing.TB, bkt objstore.Bucket, dir string, opts shipper.Options) *shipper.Shipper {
	t.Helper()
	if opts.ExternalLabels == nil {
		opts.ExternalLabels = external
	}
	s, err := shipper.New(bkt, dir, &opts)
	testutil.Ok(t, err)
	return s
}

func readRecord(t testing.TB, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, shipper.DefaultMetaFileName))
	testutil.Ok(t, err)
	return string(b)
}

// record is what Thanos writes for blocks.
func record(ids ...ulid.ULID) string {
	if len(ids) == 0 {
		return "{\n\t\"version\": 1,\n\t\"uploaded\": []\n}\n"
	}
	var b strings.Builder
	b.WriteString("{\n\t\"version\": 1,\n\t\"uploaded\": [\n")
	for i, id := range ids {
		b.WriteString("\t\t\"" + id.String() + "\"")
		if i < len(ids)-1 {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
	b.WriteString("\t]\n}\n")
	return b.String()
}
