package block_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

// uploaded has block 1 in a bucket, with hashes.
func uploaded(t testing.TB) (*block.Meta, *blocktest.Bucket) {
	t.Helper()
	_, dir := newBlock(t, t.TempDir(), 1)
	bkt := blocktest.NewBucket(objstore.NewInMemBucket())
	m, err := block.Upload(context.Background(), bkt, dir, &block.UploadOptions{Hash: block.HashSHA256})
	testutil.Ok(t, err)
	return m, bkt
}

// rewrite changes the meta.json of a block in a bucket.
func rewrite(t testing.TB, bkt objstore.Bucket, m *block.Meta, change func(*block.Meta)) {
	t.Helper()
	c := *m
	c.Thanos.Files = append([]block.File(nil), m.Thanos.Files...)
	change(&c)
	putMeta(t, bkt, &c)
}

func TestDownload(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, change := range map[string]func(*block.Meta){
		"as it is":   func(*block.Meta) {},
		"no hashes":  func(m *block.Meta) { m.Thanos.Files[0].Hash, m.Thanos.Files[3].Hash = nil, nil },
		"odd hashes": func(m *block.Meta) { m.Thanos.Files[0].Hash = &block.Hash{Func: "MD5", Value: "x"} },
		"no files":   func(m *block.Meta) { m.Thanos.Files = nil },
		"no sizes": func(m *block.Meta) {
			for i := range m.Thanos.Files {
				m.Thanos.Files[i].SizeBytes = 0
			}
		},
		"only segments": func(m *block.Meta) {
			m.Thanos.Files, m.Thanos.SegmentFiles = nil, []string{"000001", "000002", "000003"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, bkt := uploaded(t)
			rewrite(t, bkt, m, change)
			put(t, bkt, block.ObjectName(m.ULID, block.NoCompactMarkFile), "{}")
			want := without(visible(t, bkt, m.ULID), block.NoCompactMarkFile)
			dir := filepath.Join(t.TempDir(), "sub", m.ULID.String())
			testutil.Ok(t, block.Download(ctx, bkt, m.ULID, dir, nil))
			testutil.Equals(t, "", cmp.Diff(want, readDir(t, dir)))
			testutil.Equals(t, []string{m.ULID.String()}, names(t, filepath.Dir(dir)))

			// Once more is nothing but a look at sizes.
			n := len(ops(bkt, objstore.OpGet))
			testutil.Ok(t, block.Download(ctx, bkt, m.ULID, dir+"/", nil))
			testutil.Equals(t, 1, len(ops(bkt, objstore.OpGet))-n)
			testutil.Equals(t, 0, bkt.OpenBodies())
		})
	}
}

func TestDownloadOfNoSamples(t *testing.T) {
	t.Parallel()
	ctx, dir := context.Background(), t.TempDir()
	m, from := newBlock(t, dir, 1)
	for i := range 3 {
		testutil.Ok(t, os.Remove(filepath.Join(from, block.SegmentName(i))))
	}
	bkt := objstore.NewInMemBucket()
	_, err := block.Upload(ctx, bkt, from, nil)
	testutil.Ok(t, err)
	to := filepath.Join(t.TempDir(), m.ULID.String())
	testutil.Ok(t, block.Download(ctx, bkt, m.ULID, to, nil))
	testutil.Equals(t, []string{"chunks", "index", "meta.json"}, names(t, to))
}

func TestDownloadGoesOn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, bkt := uploaded(t)
	dir := filepath.Join(t.TempDir(), m.ULID.String())
	id := m.ULID.String()
	bkt.Fail(func(r blocktest.Request) error {
		if r.Op == objstore.OpGet && r.Name == id+"/chunks/000003" {
			return blocktest.ErrFault
		}
		return nil
	})
	err := block.Download(ctx, bkt, m.ULID, dir, &block.DownloadOptions{Concurrency: 1})
	testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
	_, err = os.Stat(dir)
	testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
	bkt.Fail(nil)

	// One file is complete, one was damaged since, and there are files that nobody
	// asked for.
	tmp := dir + block.DownloadSuffix
	testutil.Ok(t, os.WriteFile(filepath.Join(tmp, "chunks/000002"), []byte(strings.Repeat("x", int(m.Thanos.Files[1].SizeBytes))), 0o600))
	testutil.Ok(t, os.WriteFile(filepath.Join(tmp, "chunks/000009"), []byte("x"), 0o600))
	testutil.Ok(t, os.Symlink("/etc/passwd", filepath.Join(tmp, "chunks/000003")))
	n := len(ops(bkt, objstore.OpGet))
	testutil.Ok(t, block.Download(ctx, bkt, m.ULID, dir, &block.DownloadOptions{Concurrency: 1}))
	testutil.Equals(t, []string{id + "/meta.json", id + "/chunks/000002", id + "/chunks/000003", id + "/index"}, ops(bkt, objstore.OpGet)[n:])
	testutil.Equals(t, "", cmp.Diff(visible(t, bkt, m.ULID), readDir(t, dir)))
}

func TestDownloadRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	flip := func(t *testing.T, bkt objstore.Bucket, name string, at int, to byte) {
		b := []byte(object(t, bkt, name))
		b[at] = to
		put(t, bkt, name, string(b))
	}
	noHash := func(m *block.Meta) {
		for i := range m.Thanos.Files {
			m.Thanos.Files[i].Hash = nil
		}
	}
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, m *block.Meta, bkt *blocktest.Bucket, id string)
		want   error
		file   string
	}{
		{"no block", func(t *testing.T, _ *block.Meta, bkt *blocktest.Bucket, id string) {
			testutil.Ok(t, bkt.Delete(ctx, id+"/meta.json"))
		}, block.ErrNotFound, ""},
		{"no segment", func(t *testing.T, _ *block.Meta, bkt *blocktest.Bucket, id string) {
			testutil.Ok(t, bkt.Delete(ctx, id+"/chunks/000002"))
		}, block.ErrNotFound, ""},
		{"wrong hash", func(t *testing.T, _ *block.Meta, bkt *blocktest.Bucket, id string) {
			flip(t, bkt, id+"/chunks/000002", 30, 'X')
		}, block.ErrCorrupt, "chunks/000002"},
		{"no segment's magic", func(t *testing.T, m *block.Meta, bkt *blocktest.Bucket, id string) {
			rewrite(t, bkt, m, noHash)
			flip(t, bkt, id+"/chunks/000001", 0, 'X')
		}, block.ErrCorrupt, "chunks/000001"},
		{"no index's magic", func(t *testing.T, m *block.Meta, bkt *blocktest.Bucket, id string) {
			rewrite(t, bkt, m, noHash)
			flip(t, bkt, id+"/index", 0, 'X')
		}, block.ErrCorrupt, "index"},
		{"index of the future", func(t *testing.T, m *block.Meta, bkt *blocktest.Bucket, id string) {
			rewrite(t, bkt, m, noHash)
			flip(t, bkt, id+"/index", 4, 3)
		}, block.ErrUnsupported, "index"},
		{"segment of the future", func(t *testing.T, m *block.Meta, bkt *blocktest.Bucket, id string) {
			rewrite(t, bkt, m, noHash)
			flip(t, bkt, id+"/chunks/000003", 4, 9)
		}, block.ErrUnsupported, "chunks/000003"},
		{"short", func(t *testing.T, _ *block.Meta, bkt *blocktest.Bucket, id string) {
			put(t, bkt, id+"/index", "short")
		}, block.ErrCorrupt, "index"},
		{"short, size not known", func(t *testing.T, m *block.Meta, bkt *blocktest.Bucket, id string) {
			rewrite(t, bkt, m, func(m *block.Meta) { m.Thanos.Files = nil })
			put(t, bkt, id+"/index", "4")
		}, block.ErrCorrupt, "index"},
		{"empty, size not known", func(t *testing.T, m *block.Meta, bkt *blocktest.Bucket, id string) {
			rewrite(t, bkt, m, func(m *block.Meta) { m.Thanos.Files = nil })
			put(t, bkt, id+"/index", "")
		}, block.ErrCorrupt, "index"},
		{"long", func(t *testing.T, _ *block.Meta, bkt *blocktest.Bucket, id string) {
			put(t, bkt, id+"/index", object(t, bkt, id+"/index")+"x")
		}, block.ErrCorrupt, "index"},
		{"upwards", func(t *testing.T, _ *block.Meta, bkt *blocktest.Bucket, id string) {
			put(t, bkt, id+"/meta.json", strings.Replace(object(t, bkt, id+"/meta.json"), "chunks/000001", "../../../etc/x", 1))
		}, block.ErrCorrupt, "meta.json"},
		{"connection ends early", func(_ *testing.T, _ *block.Meta, bkt *blocktest.Bucket, _ string) {
			bkt.Body(func(r blocktest.Request, in io.Reader) io.Reader {
				if strings.HasSuffix(r.Name, "index") {
					return io.LimitReader(in, 20)
				}
				return in
			})
		}, io.ErrUnexpectedEOF, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, bkt := uploaded(t)
			tc.change(t, m, bkt, m.ULID.String())
			parent := t.TempDir()
			dir := filepath.Join(parent, m.ULID.String())
			err := block.Download(ctx, bkt, m.ULID, dir, nil)
			testutil.Assert(t, errors.Is(err, tc.want), "%v", err)
			testutil.Equals(t, errors.Is(tc.want, block.ErrCorrupt), errors.Is(err, block.ErrCorrupt), "%v", err)
			testutil.Assert(t, strings.Contains(err.Error(), m.ULID.String()) && strings.Contains(err.Error(), tc.file), "%v", err)
			_, err = os.Stat(dir)
			testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
			_, err = os.Stat(filepath.Join(dir+block.DownloadSuffix, "meta.json"))
			testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
			testutil.Equals(t, 0, bkt.OpenBodies())
		})
	}
}

// sizeless is a bucket whose objects do not say how long they are.
type sizeless struct{ *blocktest.Bucket }

func (b sizeless) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	r, err := b.Bucket.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return struct{ io.ReadCloser }{r}, nil
}

// TestDownloadOfAnySize: no size that meta.json can give takes memory for it, nor is
// there one that cannot be had.
func TestDownloadOfAnySize(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1, 1 << 40, math.MaxInt64 - 1, math.MaxInt64} {
		m, bkt := uploaded(t)
		rewrite(t, bkt, m, func(m *block.Meta) {
			for i := range m.Thanos.Files {
				if m.Thanos.Files[i].RelPath == block.IndexFile {
					m.Thanos.Files[i].SizeBytes = size
				}
			}
		})
		want := io.ErrUnexpectedEOF
		if size == 1 {
			want = block.ErrCorrupt
		}
		err := block.Download(t.Context(), sizeless{bkt}, m.ULID, filepath.Join(t.TempDir(), m.ULID.String()), nil)
		testutil.Assert(t, errors.Is(err, want), "%d bytes: %v", size, err)
		testutil.Equals(t, 0, bkt.OpenBodies())
	}
}

// Without hashes it goes by sizes, those of the bucket if meta.json has none.
func TestDownloadGoesOnBySize(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, files := range map[string]func([]block.File) []block.File{
		"of meta.json": func(f []block.File) []block.File {
			for i := range f {
				f[i].Hash = nil
			}
			return f
		},
		"of the bucket": func([]block.File) []block.File { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, bkt := uploaded(t)
			rewrite(t, bkt, m, func(m *block.Meta) { m.Thanos.Files = files(m.Thanos.Files) })
			want := visible(t, bkt, m.ULID)
			dir := filepath.Join(t.TempDir(), m.ULID.String())
			tmp := dir + block.DownloadSuffix
			testutil.Ok(t, os.MkdirAll(filepath.Join(tmp, "chunks"), 0o750))
			testutil.Ok(t, os.WriteFile(filepath.Join(tmp, "chunks/000001"), []byte(want["chunks/000001"]), 0o600))
			testutil.Ok(t, os.WriteFile(filepath.Join(tmp, "chunks/000002"), []byte(want["chunks/000002"][:9]), 0o600))
			testutil.Ok(t, os.WriteFile(filepath.Join(tmp, "index"), nil, 0o600))
			n := len(ops(bkt, objstore.OpGet))
			testutil.Ok(t, block.Download(ctx, bkt, m.ULID, dir, &block.DownloadOptions{Concurrency: 1}))
			id := m.ULID.String()
			testutil.Equals(t, []string{id + "/meta.json", id + "/chunks/000002", id + "/chunks/000003", id + "/index"}, ops(bkt, objstore.OpGet)[n:])
			testutil.Equals(t, "", cmp.Diff(want, readDir(t, dir)))
		})
	}
}

// TestDownloadSteps: nothing has its name before it is on disk, and meta.json and
// the directory are the last that get theirs.
func TestDownloadSteps(t *testing.T) {
	t.Parallel()
	m, bkt := uploaded(t)
	dir := filepath.Join(t.TempDir(), m.ULID.String())
	opts := &block.DownloadOptions{Concurrency: 1}
	var steps []string
	opts.SetStep(func(op, file string) error {
		steps = append(steps, op+" "+strings.TrimPrefix(file, filepath.Dir(dir)+"/"))
		return nil
	})
	testutil.Ok(t, block.Download(context.Background(), bkt, m.ULID, dir, opts))
	want := []string{"mkdir " + m.ULID.String() + block.DownloadSuffix, "mkdir chunks"}
	for _, name := range []string{"chunks/000001", "chunks/000002", "chunks/000003", "index", "meta.json"} {
		if name := path.Dir(name); name != "." {
			want = append(want, "mkdir "+name)
		}
		want = append(want, "create "+name+".tmp", "write "+name+".tmp", "fsync "+name+".tmp", "rename "+name, "fsync "+path.Dir(name))
	}
	want = append(want, "rename "+m.ULID.String(), "fsync "+filepath.Dir(dir))
	testutil.Equals(t, "", cmp.Diff(want, steps))
}

func TestDownloadOverSomethingElse(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, change := range map[string]func(t *testing.T, dir string){
		"no block":  func(t *testing.T, dir string) { testutil.Ok(t, os.Remove(filepath.Join(dir, "meta.json"))) },
		"torn file": func(t *testing.T, dir string) { testutil.Ok(t, os.Truncate(filepath.Join(dir, "index"), 3)) },
		"damaged file": func(t *testing.T, dir string) {
			b, err := os.ReadFile(filepath.Join(dir, "index"))
			testutil.Ok(t, err)
			b[10]++
			testutil.Ok(t, os.WriteFile(filepath.Join(dir, "index"), b, 0o600))
		},
		"file missing": func(t *testing.T, dir string) { testutil.Ok(t, os.Remove(filepath.Join(dir, "chunks/000002"))) },
		"another block": func(t *testing.T, dir string) {
			m := newMeta(1)
			m.Thanos.Labels["replica"] = "b"
			testutil.Ok(t, block.WriteMeta(dir, m))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, bkt := uploaded(t)
			dir := filepath.Join(t.TempDir(), m.ULID.String())
			testutil.Ok(t, os.MkdirAll(dir, 0o750)) // One that is empty is replaced.
			testutil.Ok(t, block.Download(ctx, bkt, m.ULID, dir, nil))
			change(t, dir)
			before := readDir(t, dir)
			err := block.Download(ctx, bkt, m.ULID, dir, nil)
			testutil.Assert(t, errors.Is(err, block.ErrExists), "%v", err)
			testutil.Equals(t, "", cmp.Diff(before, readDir(t, dir)))
		})
	}
}

// A disk that fills, at whatever write, leaves nothing that looks whole; with more
// room the next call ends it.
func TestDownloadFullDisk(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, bkt := uploaded(t)
	for room := 0; ; room++ {
		dir := filepath.Join(t.TempDir(), m.ULID.String())
		opts, writes := &block.DownloadOptions{Concurrency: 1}, 0
		opts.SetStep(func(op, _ string) error {
			if op != "write" {
				return nil
			}
			if writes++; writes > room {
				return fmt.Errorf("write: %w", syscall.ENOSPC)
			}
			return nil
		})
		err := block.Download(ctx, bkt, m.ULID, dir, opts)
		if err == nil {
			testutil.Assert(t, room >= 5, "%d", room)
			return
		}
		testutil.Assert(t, errors.Is(err, syscall.ENOSPC) && !errors.Is(err, block.ErrCorrupt), "%v", err)
		_, err = os.Stat(dir)
		testutil.Assert(t, errors.Is(err, os.ErrNotExist), "%v", err)
		for name := range readDir(t, dir+block.DownloadSuffix) {
			testutil.Assert(t, name != "meta.json" && !strings.HasSuffix(name, ".tmp"), "%s is there", name)
		}
		testutil.Ok(t, block.Download(ctx, bkt, m.ULID, dir, nil))
		testutil.Equals(t, "", cmp.Diff(visible(t, bkt, m.ULID), readDir(t, dir)))
	}
}

// A disk that refuses any one thing is an error; the next call ends it.
func TestDownloadDiskFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, bkt := uploaded(t)
	want := visible(t, bkt, m.ULID)
	for n := 1; ; n++ {
		dir := filepath.Join(t.TempDir(), m.ULID.String())
		// Something to be removed.
		testutil.Ok(t, os.MkdirAll(dir+block.DownloadSuffix, 0o750))
		testutil.Ok(t, os.WriteFile(filepath.Join(dir+block.DownloadSuffix, "x"), nil, 0o600))
		opts, steps := &block.DownloadOptions{Concurrency: 1}, 0
		opts.SetStep(func(op, file string) error {
			if steps++; steps == n {
				return fmt.Errorf("%s %s: %w", op, file, syscall.EIO)
			}
			return nil
		})
		err := block.Download(ctx, bkt, m.ULID, dir, opts)
		if steps < n {
			testutil.Ok(t, err)
			testutil.Assert(t, n > 20, "%d", n)
			return
		}
		testutil.Assert(t, errors.Is(err, syscall.EIO), "%v", err)
		if _, err := os.Stat(dir); err == nil {
			testutil.Equals(t, "", cmp.Diff(want, readDir(t, dir)))
		}
		testutil.Ok(t, block.Download(ctx, bkt, m.ULID, dir, nil))
		testutil.Equals(t, "", cmp.Diff(want, readDir(t, dir)))
		testutil.Equals(t, 0, bkt.OpenBodies())
	}
}

// The disk itself may refuse: a file is where the directory is to be.
func TestDownloadNowhere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	m, bkt := uploaded(t)
	file := filepath.Join(t.TempDir(), "x")
	testutil.Ok(t, os.WriteFile(file, nil, 0o600))
	testutil.NotOk(t, block.Download(ctx, bkt, m.ULID, filepath.Join(file, "y"), nil))
	testutil.NotOk(t, block.Download(ctx, bkt, m.ULID, file, nil))
	dir := filepath.Join(t.TempDir(), m.ULID.String())
	testutil.Ok(t, os.MkdirAll(filepath.Join(dir+block.DownloadSuffix, "index"), 0o700))
	testutil.NotOk(t, block.Download(ctx, bkt, m.ULID, dir, nil))
	testutil.Equals(t, 0, bkt.OpenBodies())
}
