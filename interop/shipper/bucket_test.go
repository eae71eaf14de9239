package shipper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-kit/log"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/client"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/interop/internal/proc"
	"github.com/thanoskit/thanoskit/interop/internal/s3"
)

// kinds are kinds of buckets.
var kinds = []string{"filesystem", "S3"}

// bucket is a bucket that programs and tests know.
type bucket struct {
	objstore.Bucket
	config string // file
	dir    string // where its objects are, as files
}

func newBucket(t testing.TB, kind string) *bucket {
	t.Helper()
	b := &bucket{config: filepath.Join(t.TempDir(), "bucket.yml")}
	var yaml string
	if kind == "S3" {
		const prefix = "below/a/prefix"
		srv := s3.Start(t)
		yaml, b.dir = srv.Config(prefix), filepath.Join(srv.Dir, filepath.FromSlash(prefix))
	} else {
		b.dir = t.TempDir()
		yaml = fmt.Sprintf("type: FILESYSTEM\nconfig:\n  directory: %s\n", b.dir)
	}
	if err := os.WriteFile(b.config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.Bucket, err = client.NewBucket(log.NewNopLogger(), []byte(yaml), "test", nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// count returns how many objects there are of blocks.
func (b *bucket) count(blocks []string) int {
	n := 0
	for _, path := range blocks {
		for _, dir := range []string{"", block.ChunksDir} {
			entries, _ := os.ReadDir(filepath.Join(b.dir, filepath.Base(path), dir)) // it may not be there yet
			for _, e := range entries {
				if !e.IsDir() {
					n++
				}
			}
		}
	}
	return n
}

// look is what readers see in a bucket.
type look struct {
	whole   map[ulid.ULID]*block.Meta
	partial []ulid.ULID // objects without meta.json
}

// look fails unless each block that readers see is that of the data directory,
// byte by byte.
func (b *bucket) look(t testing.TB, dir string) look {
	t.Helper()
	out := look{whole: map[ulid.ULID]*block.Meta{}}
	err := b.Iter(context.Background(), "", func(name string) error {
		id, ok := block.ParseID(name)
		if !ok {
			return fmt.Errorf("%s is no block", name)
		}
		meta, err := block.FetchMeta(context.Background(), b, id)
		if errors.Is(err, block.ErrNotFound) || errors.Is(err, block.ErrCorrupt) {
			out.partial = append(out.partial, id)
			return nil
		}
		if err != nil {
			return err
		}
		out.whole[id] = meta
		return b.compare(meta, filepath.Join(dir, id.String()))
	})
	if err != nil {
		t.Fatalf("look at bucket: %v", err)
	}
	return out
}

func (b *bucket) compare(meta *block.Meta, dir string) error {
	if len(meta.Thanos.Files) < 3 {
		return fmt.Errorf("block %s has files %v", meta.ULID, meta.Thanos.Files)
	}
	for _, f := range meta.Thanos.Files {
		if f.RelPath == block.MetaFile {
			continue
		}
		want, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.RelPath)))
		if err != nil {
			return err
		}
		r, err := b.Get(context.Background(), block.ObjectName(meta.ULID, f.RelPath))
		if err != nil {
			return err
		}
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		if !bytes.Equal(want, got) {
			return fmt.Errorf("%s of block %s has %d bytes that are not the %d it should have", f.RelPath, meta.ULID, len(got), len(want))
		}
	}
	return nil
}

// awaitBlocks waits until so many blocks are to be seen.
func (b *bucket) awaitBlocks(t testing.TB, p *proc.Process, dir string, n int) look {
	t.Helper()
	var l look
	proc.Await(t, fmt.Sprintf("%d blocks in the bucket", n), p, proc.Patience, func(context.Context) error {
		if l = b.look(t, dir); len(l.whole) != n {
			return fmt.Errorf("there are %d, and %d in part", len(l.whole), len(l.partial))
		}
		return nil
	})
	return l
}

// thanosTools runs "thanos tools bucket" on the bucket.
func (b *bucket) thanosTools(t testing.TB, command ...string) string {
	t.Helper()
	args := append([]string{"tools", "bucket"}, command...)
	cmd := exec.CommandContext(t.Context(), proc.Binary(t, "thanos"), append(args, "--objstore.config-file="+b.config, "--log.level=warn")...)
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("thanos %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), log.String())
	}
	if strings.Contains(log.String(), "level=") {
		t.Errorf("thanos %s: %s", strings.Join(args, " "), log.String())
	}
	return out.String()
}
